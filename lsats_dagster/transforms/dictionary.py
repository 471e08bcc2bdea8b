"""The data dictionary: docs/tables, written from the definitions. A test checks that it is current."""

from collections.abc import Sequence

from lsats_dagster.transforms.definition import Definition


def pages(definitions: Sequence[Definition]) -> dict[str, str]:
    """File name -> Markdown text, one page per table and an index."""
    found = {f"{definition.table}.md": page(definition) for definition in definitions}
    lines = [f"| [{d.name}]({d.table}.md) | {d.row} |" for d in definitions]
    index = [
        "# Silver tables",
        "",
        "Written by `make docs` from `sql/silver`; change the definition, not these pages.",
        "",
    ]
    found["README.md"] = "\n".join([*index, "| table | one row is |", "|---|---|", *lines]) + "\n"
    return found


def page(definition: Definition) -> str:
    """The page of one table."""
    lines = [
        f"# {definition.name}",
        "",
        definition.row,
        "",
        definition.description,
        "",
        f"- Key: {', '.join(f'`{name}`' for name in definition.key)}",
        f"- Made from: {', '.join(f'`{name}`' for name in definition.inputs)}",
        f"- Definition: `sql/silver/{definition.path.parent.name}/{definition.path.name}`",
        "",
        "| column | type | meaning |",
        "|---|---|---|",
        *(f"| `{column.name}` | {column.type} | {column.comment} |" for column in definition.columns),
    ]
    if definition.deductions:
        lines += ["", "| quality flag | deduction | meaning |", "|---|---|---|"]
        lines += [
            f"| `{flag}` | {cost} | {meaning} |" for flag, (cost, meaning) in sorted(definition.deductions.items())
        ]
    return "\n".join(lines) + "\n"
