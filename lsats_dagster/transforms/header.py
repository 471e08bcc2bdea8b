"""What is wrong with a definition, in words: entries of another form, names that mean nothing, what does not fit together."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lsats_dagster.transforms.definition import IDENTIFIER, STREAM_LAYERS, Definition, Reach, columns_in

SCHEMAS = (*STREAM_LAYERS, "silver", "curated")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_table(value: Any, of: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(map(of, value.values()))


# What an entry may be, in words, and whether a value is that.
TEXT = "a text"
TEXTS = "a list of texts"
FORMS: Mapping[str, Callable[[Any], bool]] = {
    TEXT: _is_text,
    TEXTS: _are_texts,
    "true or false": lambda value: isinstance(value, bool),
    "name = text": lambda value: _is_table(value, _is_text),
    "name = list of texts": lambda value: _is_table(value, _are_texts),
    "name = [type, description]": lambda value: _is_table(value, lambda v: _are_texts(v) and len(v) == 2),
    'tables [inputs."schema.table"]': lambda value: _is_table(value, lambda v: isinstance(v, dict)),
    "tables [[steps]]": lambda value: isinstance(value, list) and all(isinstance(v, dict) for v in value),
}
ENTRIES = {
    "row": TEXT, "description": TEXT, "key": TEXTS, "columns": "name = [type, description]",
    "inputs": 'tables [inputs."schema.table"]', "kind": TEXT, "scope": TEXT, "whole": "true or false", "classes": TEXTS,
    "sources": "name = text", "computed_from": "name = list of texts", "indexes": TEXTS, "dangling": TEXTS,
    "retained": TEXTS, "told": TEXTS, "about": TEXTS, "candidates": TEXT, "steps": "tables [[steps]]",
}  # fmt: skip
REQUIRED = ("row", "description", "key", "columns", "inputs")
INPUT = {"gives": TEXT, "joined": TEXT, "reach": TEXT, "keeps": TEXT, "decides": TEXT}
STEP = {"name": TEXT, "nodes": TEXT, "run": TEXT, "columns": "name = text"}


def form_problems(header: Mapping[str, Any]) -> list[str]:
    """Entries that there are not, that are missing, or that are of another form."""
    problems = [*_forms(header, ENTRIES, REQUIRED)]
    if not problems:
        for name, spec in header["inputs"].items():
            problems += [f"inputs.{name}: {problem}" for problem in _forms(spec, INPUT)]
        for number, step in enumerate(header.get("steps", ()), start=1):
            problems += [f"steps, number {number}: {problem}" for problem in _forms(step, STEP, STEP)]
        problems += [f"{name} names nothing" for name in ("key", "columns", "inputs") if not header[name]]
    return problems


def _forms(found: Mapping[str, Any], entries: Mapping[str, str], required: Iterable[str] = ()) -> Iterator[str]:
    if unknown := sorted(found.keys() - entries):
        yield f"no entry {', '.join(unknown)}; there are {', '.join(entries)}"
    yield from (f"{name} is missing" for name in required if name not in found)
    yield from (
        f"{name} must be {form}" for name, form in entries.items() if name in found and not FORMS[form](found[name])
    )


def problems_of(definition: Definition) -> list[str]:
    """What does not fit together, without a look at SQL."""
    names = [column.name for column in definition.columns]
    indexed = [name.strip() for entry in definition.indexes for name in entry.split(",")]
    steps = [step.name for step in definition.steps]
    problems = [f"column name {name!r}" for name in names if not IDENTIFIER.match(name)]
    problems += [f"column {name} stands twice" for name in names if names.count(name) > 1]
    problems += [f"key column {name} is not a column" for name in definition.key if name not in names]
    problems += [f"indexes: {name} is not a column" for name in indexed if name not in names]
    problems += [
        f"dangling flag {flag} has no deduction" for flag in definition.dangling if flag not in definition.deductions
    ]
    problems += [f"retained column {name} is not a column" for name in definition.retained if name not in names]
    problems += [f"classes: {name} is not a column" for name in definition.classes if name not in names]
    problems += [f"told: {name} is not a column" for name in definition.told if name not in names]
    problems += [f"about: {name} is not a column" for name in definition.about if name not in names]
    if definition.about and len(definition.about) != 2:
        problems.append("about is two columns: one with the name of a table, one with the key of a row there")
    lists = [column.name for column in definition.columns if column.type == "text[]"]
    if definition.candidates not in (None, *lists):
        problems.append(f"candidates: {definition.candidates} is no column of type text[]")
    if definition.keeps and definition.kind == "source":
        problems.append("keeps is for tables with source_keys, which name the rows that are kept")
    problems += [
        f"inputs.{name}: decides is for curated tables"
        for name in definition.decides
        if not name.startswith("curated.")
    ]
    problems += [f"computed_from: {name} is not a column" for name in definition.computed_from if name not in names]
    problems += [
        f"computed_from: {name}: {alias} is no alias of sources"
        for name, aliases in definition.computed_from.items()
        for alias in aliases
        if alias not in definition.sources
    ]
    problems += [f"{name}: schema and table" for name in definition.inputs if name.count(".") != 1]
    problems += [
        f"inputs.{name}: no table of {', '.join(SCHEMAS)}"
        for name in definition.inputs
        if name.partition(".")[0] not in SCHEMAS
    ]
    problems += [f"steps: name {name!r}" for name in steps if not IDENTIFIER.match(name)]
    problems += [f"steps: name {name} stands twice" for name in dict.fromkeys(steps) if steps.count(name) > 1]
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
        if reach.query and ":since" not in reach.query:
            problems.append(f"inputs.{name}: reach does not ask for what is behind the cursor :since")
    return problems


def sql_problems(definition: Definition) -> list[str]:
    """What is wrong with the SELECT, and with the SQL of the header. DefinitionError where the SELECT cannot be read."""
    own = {column.name for column in definition.business_columns}
    problems = _expression_problems("scope", definition.scope, own)
    if not (problems or _columns_in(definition.scope)):
        problems = [f"scope: {definition.scope} is the same for all rows"]
    read = _tables(definition.tree)
    for step in definition.steps:
        nodes = _query(step.nodes)
        problems += [] if nodes else [f"steps.{step.name}: nodes cannot be read"]
        read |= _tables(nodes) if nodes else set()
    for name, reach in definition.reach.items():
        columns = set(definition.input_columns.get(name, ())) or None
        if reach.gives:
            problems += _expression_problems(f"inputs.{name}: gives", reach.gives, columns)
        if reach.query:
            problems += _reach_query_problems(f"inputs.{name}: reach", reach.query)
        if condition := definition.keeps.get(name):
            problems += _expression_problems(f"inputs.{name}: keeps", condition, columns)
        if condition := definition.decides.get(name):
            problems += _expression_problems(f"inputs.{name}: decides", condition, None)
    problems += [f"the SELECT reads {name}, which is not in inputs" for name in sorted(read - set(definition.inputs))]
    problems += [f"inputs.{name}: the SELECT does not read it" for name in definition.inputs if name not in read]
    return problems + _select_problems(definition)


def _reach_query_problems(what: str, sql: str) -> list[str]:
    query = _query(sql)
    if query is None:
        return [f"{what} cannot be read"]
    return [f"{what} has no parameter :{name}" for name in sorted(_parameters(query) - {"since"})]


def _select_problems(definition: Definition) -> list[str]:
    tree = definition.tree
    problems = []
    output = tuple(tree.named_selects)
    if output != definition.selected:
        unlike = sorted(set(output) ^ set(definition.selected)) or "order"
        problems.append(f"the SELECT gives other columns, or another order, than the header: {unlike}")
    parameters = _parameters(tree)
    known = {"keys", "field_sources"} if definition.kind == "merged" else {"keys"}
    problems += [f"the SELECT has no parameter :{name}" for name in sorted(parameters - known)]
    if definition.kind == "merged" and "field_sources" not in parameters:
        problems.append("a merged table says `:field_sources as field_sources`")
    joined = [tree.args.get("from_") or tree.args.get("from"), *(tree.args.get("joins") or ())]
    aliases = {found.alias_or_name for found in joined if found}
    problems += [
        f"sources: {alias} is no table of the outermost SELECT" for alias in definition.sources.keys() - aliases
    ]
    return problems


def _expression_problems(what: str, expression: str, columns: set[str] | None) -> list[str]:
    """columns: those that the expression may read; None where they are not known."""
    found = _columns_in(expression)
    if found is None:
        return [f"{what}: {expression!r} is not an expression"]
    return [f"{what}: {name} is not a column" for name in sorted(found - columns)] if columns is not None else []


def _columns_in(expression: str) -> set[str] | None:
    """Names of the columns that an expression reads; None where it is none."""
    from sqlglot.errors import SqlglotError

    try:
        return columns_in(expression)
    except SqlglotError:
        return None


def _query(sql: str) -> Any:
    """A parsed query; None where it is none."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(sql, dialect="postgres")
    except SqlglotError:
        return None
    return tree if isinstance(tree, exp.Query) else None


def _parameters(tree: Any) -> set[str]:
    from sqlglot import exp

    return {found.name for found in tree.find_all(exp.Placeholder)}


def _tables(tree: Any) -> set[str]:
    from sqlglot import exp

    return {f"{table.db}.{table.name}" for table in tree.find_all(exp.Table) if table.db}
