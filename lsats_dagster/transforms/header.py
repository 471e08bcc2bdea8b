"""What is wrong with the header of a definition, in words: entries that do not fit together, and names that mean nothing."""

from lsats_dagster.transforms.definition import IDENTIFIER, Definition, Reach


def problems_of(definition: Definition) -> list[str]:
    """What does not fit together; nothing where all does."""
    names = [column.name for column in definition.columns]
    problems = [f"column name {name!r}" for name in names if not IDENTIFIER.match(name)]
    problems += [f"column {name} stands twice" for name in names if names.count(name) > 1]
    problems += [f"key column {name} is not a column" for name in definition.key if name not in names]
    problems += [
        f"dangling flag {flag} has no deduction" for flag in definition.dangling if flag not in definition.deductions
    ]
    problems += [f"retained column {name} is not a column" for name in definition.retained if name not in names]
    problems += [f"classes: {name} is not a column" for name in definition.classes if name not in names]
    problems += [f"computed_from: {name} is not a column" for name in definition.computed_from if name not in names]
    problems += [
        f"computed_from: {name}: {alias} is no alias of sources"
        for name, aliases in definition.computed_from.items()
        for alias in aliases
        if alias not in definition.sources
    ]
    problems += [f"{name}: schema and table" for name in definition.inputs if name.count(".") != 1]
    if definition.sources and definition.kind != "merged":
        problems.append(f"sources are for merged tables, and this one is {definition.kind}")
    return problems + _reach_problems(definition)


def _reach_problems(definition: Definition) -> list[str]:
    """What is wrong with what the header says of scope and reach."""
    asks_for_keys = ":keys" in definition.select
    if definition.whole:
        forms = [
            f"inputs.{name}" for name, reach in definition.reach.items() if reach not in (Reach(), Reach("external_id"))
        ]
        forms += ["classes"] if definition.classes else []
        problems = [f"a whole table is reached by any change: {', '.join(forms)} have no use"] if forms else []
        return problems + (["a whole table has no :keys in its SELECT"] if asks_for_keys else [])
    problems = (
        [] if asks_for_keys else ["the SELECT does not ask for :keys; a table that is always computed whole says so"]
    )
    problems += ["steps need a whole table"] if definition.steps else []
    names = [column.name for column in definition.business_columns]
    for name, reach in definition.reach.items():
        if reach == Reach() and not name.startswith("curated."):
            problems.append(f"inputs.{name}: what does a change of it reach? One of gives, joined, reach")
        if (own := reach.joined_column) is not None:
            problems += [] if reach.joined_key else [f'inputs.{name}: joined is "own column = key of the input"']
            problems += [f"inputs.{name}: joined: {own} is not a column"] if own not in names else []
    return problems
