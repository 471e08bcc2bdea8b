"""The data dictionary: docs/tables, written from the definitions. A test checks that it is current."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lsats_dagster.runs.state import LARGEST_FALL, LARGEST_RISE, LEAST_RISE
from lsats_dagster.transforms.checks import DANGLING_SHARE, LARGEST_LOSS, LEAST_LOSS, QUALITY_THRESHOLD
from lsats_dagster.transforms.definition import COMPUTED, Column, Definition, tables_read
from lsats_dagster.transforms.lineage import Origin, lineage

# Of a column that is made from more fields of one input, so many are named.
NAMED = 6
COLUMNS = ("| column | type | meaning | from |", "|---|---|---|---|")


def pages(definitions: Sequence[Definition], sql_root: Path) -> dict[str, str]:
    """File name -> Markdown text, one page per table and an index."""
    views = {
        f"silver.{path.stem}": tables_read(path.read_text(encoding="utf-8"))
        for path in sorted((sql_root / "views").glob("*.sql"))
    }
    readers = {d.name: [other.name for other in definitions if d.name in other.inputs] for d in definitions}
    for view, read in views.items():
        for name in read & readers.keys():
            readers[name].append(view)
    found = {f"{definition.table}.md": page(definition, readers[definition.name]) for definition in definitions}
    lines = [f"| [{d.name}]({d.table}.md) | {d.kind} | {d.row} |" for d in definitions]
    index = [
        "# Silver tables",
        "",
        "Written by `make docs` from `sql/silver`; change the definition, not these pages.",
        "",
    ]
    found["README.md"] = "\n".join([*index, "| table | kind | one row is |", "|---|---|---|", *lines]) + "\n"
    return found


def page(definition: Definition, read_by: Sequence[str]) -> str:
    """The page of one table; `read_by`: the tables and views that are made from it."""
    made_from = lineage(definition)
    lines = [
        f"# {definition.name}",
        "",
        definition.row,
        "",
        definition.description,
        "",
        f"- Key: {', '.join(f'`{name}`' for name in definition.key)}",
        f"- Kind: {definition.kind}{', always computed whole' if definition.whole else ''}",
        f"- Made from: {', '.join(map(linked, definition.inputs))}",
        f"- Read by: {', '.join(map(linked, read_by)) or 'nothing yet'}",
        f"- Definition: `sql/silver/{definition.path.parent.name}/{definition.path.name}`",
        "",
        *picture(definition, read_by),
        "",
        *COLUMNS,
        *(_line(column, made_from) for column in definition.business_columns),
        "",
        "Of every table of its kind:",
        "",
        *COLUMNS,
        *(_line(column, made_from) for column in definition.columns[len(definition.business_columns) :]),
        "",
        "| check | is red when |",
        "|---|---|",
        *(f"| {name} | {red} |" for name, red in checks(definition).items()),
    ]
    if definition.deductions:
        lines += ["", "| quality flag | deduction | meaning |", "|---|---|---|"]
        lines += [
            f"| `{flag}` | {cost} | {meaning} |" for flag, (cost, meaning) in sorted(definition.deductions.items())
        ]
    lines += [
        "",
        "<details>",
        "<summary>The SELECT</summary>",
        "",
        "```sql",
        definition.select,
        "```",
        "",
        "</details>",
    ]
    return "\n".join(lines) + "\n"


def _line(column: Column, made_from: Mapping[str, Sequence[Origin]]) -> str:
    came_from = COMPUTED.get(column.name) or told(made_from[column.name]) or "the same in every row"
    return f"| `{column.name}` | {column.type} | {column.comment} | {came_from} |"


def linked(name: str) -> str:
    """A table by its name; one of silver leads to its page."""
    schema, _, table = name.partition(".")
    return f"[`{name}`]({table}.md)" if schema == "silver" and not table.startswith("v_") else f"`{name}`"


def told(origins: Sequence[Origin]) -> str:
    """What a column is made from, input by input."""
    by_table: dict[str, list[str]] = {}
    for origin in origins:
        by_table.setdefault(origin.table, []).append(f"`{origin.field or origin.column}`")
    parts = []
    for table, names in by_table.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        parts.append(f"{table}: {', '.join(names[:NAMED])}{more}")
    return "<br>".join(parts)


def checks(definition: Definition) -> Mapping[str, str]:
    """Check -> what makes it red."""
    reasons = []
    if definition.dangling:
        flags = ", ".join(f"`{flag}`" for flag in definition.dangling)
        reasons.append(f"more than {DANGLING_SHARE:.0%} of present rows have {flags}")
    if definition.keeps:
        reasons.append(f"a row of {', '.join(f'`{name}`' for name in definition.keeps)} that belongs here is in none")
    broken = ", or ".join(reasons) or "nothing does: no flag of this table means a reference that leads nowhere"
    red = {
        "integrity": f"{broken}; a key that stands twice, or a flag without deduction, fails the refresh itself",
        "quality": f"the mean score of present rows is below {QUALITY_THRESHOLD}",
        "volume": f"present rows fall by more than {LARGEST_FALL:.0%}, "
        f"or rise by more than {LARGEST_RISE:.0%} and {LEAST_RISE} rows",
    }
    if definition.retained:
        retained = ", ".join(f"`{name}`" for name in definition.retained)
        red["volume"] += (
            f", or {retained} is emptied in more than {LARGEST_LOSS:.0%} of the rows that held it and {LEAST_LOSS} rows"
        )
    return red


def picture(definition: Definition, read_by: Sequence[str]) -> list[str]:
    """The table between its inputs and its readers."""
    edges = [f"    {_node(name)} --> {_node(definition.name)}" for name in definition.inputs]
    edges += [f"    {_node(definition.name)} --> {_node(name)}" for name in read_by]
    return ["```mermaid", "flowchart LR", *edges, "```"]


def _node(name: str) -> str:
    return f'{name.replace(".", "_")}["{name}"]'
