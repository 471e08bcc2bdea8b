"""What holds of every merged table, whatever it merges: each value is that of the first source that has one.

Read from the rows that `source_keys` names, not from the SELECT's joins. A row is there as long as one of those is that gives
its key (`gives`); what is only joined makes no row. Which of several rows of one input speaks, and whether
one does, is the table's own rule: any of them may have. Where an input gives one row, the value is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from sqlglot import exp

from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.precedence import candidates, contested
from lsats_dagster_tests.contracts.histories import World

Row = Mapping[str, Any]
# Columns by a rule beyond precedence, which an oracle of their table's own or a scenario proves.
OWN_RULES: Mapping[str, Mapping[str, str]] = {
    "departments": {
        "is_active": "HR speaks of it only where there is no account",
        "parent_dept_id": "the parent is joined, and no contributor",
    },
    "users": dict.fromkeys(
        ("work_address_line1", "work_city", "work_state", "work_postal_code", "work_country"),
        "an address comes from one source as a whole",
    ),
    "workers": {"approver_name": "who approves is joined, and no contributor"},
}


@dataclass(frozen=True)
class Precedence:
    """A column that is the first of these that has a value: (source, input, column). contested: field_sources names it."""

    offers: tuple[tuple[str, str, str], ...]
    contested: bool


_known: dict[tuple[str, str], dict[str, Precedence]] = {}


def plain_precedence(definition: Definition) -> dict[str, Precedence]:
    """The columns that are nothing but the first value of some inputs' columns."""
    known = _known.get((definition.table, definition.select))
    if known is not None:
        return known
    given, disputed = candidates(definition), contested(definition)
    found = {}
    for output in definition.tree.selects:
        name, expression = output.alias_or_name, output.unalias()
        if name not in given or name in OWN_RULES.get(definition.table, ()):
            continue
        if len(given[name]) == 1 + len(expression.expressions if isinstance(expression, exp.Coalesce) else ()):
            parts = [(source, *part.split(".")) for source, part in given[name]]
            offers = tuple((source, input_of(definition, alias) or "", column) for source, alias, column in parts)
            found[name] = Precedence(offers, name in disputed)
    return _known.setdefault((definition.table, definition.select), found)


def check(world: World, definition: Definition, given: set[str]) -> None:
    """Check the rows whose keys the definition gives (`given`: as `row(...)::text`)."""
    named = contributors(world, definition)
    columns = {name: {column for row in rows.values() for column in row} for name, rows in named.items()}
    for row in world.rows(f"select *, row({', '.join(definition.key)})::text as row_key from {definition.name}"):
        if row.row_key not in given:
            continue
        values = row._mapping
        behind = {name: [named[name][key] for key in keys] for name, keys in values["source_keys"].items()}
        is_present = any(
            found["is_present"] for name, rows in behind.items() if definition.reach[name].gives for found in rows
        )
        assert values["is_present"] == is_present, (definition.name, row.row_key)
        speaking = {
            name: [found for found in rows if found["is_present"] or not is_present] for name, rows in behind.items()
        }
        for field, precedence in plain_precedence(definition).items():
            # What a column of none of the inputs holds was computed on the way.
            if all(column in columns.get(name, ()) for _, name, column in precedence.offers):
                possible = offers(speaking, precedence)
                found = (values[field], values["field_sources"].get(field))
                assert found in possible, f"{definition.name} {row.row_key}: {field} is {found}, none of {possible}"


def offers(speaking: Mapping[str, list[Row]], precedence: Precedence) -> list[tuple[Any, str | None]]:
    """(value, source) that precedence gives, for each choice of one row an input; none may speak where several are."""
    inputs = sorted({name for _, name, _ in precedence.offers})
    choices = []
    for name in inputs:
        rows: list[Row | None] = [*speaking.get(name, [])]
        choices.append(rows if len(rows) == 1 else [*rows, None])
    found: list[tuple[Any, str | None]] = []
    for chosen in product(*choices):
        by_input = dict(zip(inputs, chosen, strict=True))
        offered = ((speaks[column], source) for source, name, column in precedence.offers if (speaks := by_input[name]))
        value, source = next((offer for offer in offered if offer[0] is not None), (None, None))
        found.append((value, source if precedence.contested else None))
    return found


def contributors(world: World, definition: Definition) -> dict[str, dict[str, Row]]:
    """input -> key as source_keys writes it -> row. The keys of every source_keys must be here; curated tables have none."""
    return {
        name: {row.contributor_key: row._mapping for row in world.rows(f"select *, ({key})::text as contributor_key from {name}")}
        for name, key in definition.input_keys.items()
        if not name.startswith("curated.")
    }  # fmt: skip


def input_of(definition: Definition, alias: str) -> str | None:
    """The input whose rows an alias of the SELECT stands for, through its CTEs."""
    trees = {cte.alias: cte.this for cte in definition.tree.ctes}
    tables = {table.alias_or_name: table for table in direct_tables(definition.tree)}
    table = tables.get(alias)
    while table is not None and not table.db:
        table = next(iter(direct_tables(trees[table.name])), None) if table.name in trees else None
    return f"{table.db}.{table.name}" if table is not None else None


def direct_tables(select: Any) -> list[exp.Table]:
    """Tables and CTEs that a SELECT itself joins, the first first."""
    start = select.args.get("from") or select.args.get("from_")
    found = [start.this, *(join.this for join in select.args.get("joins") or [])] if start else []
    return [table for table in found if isinstance(table, exp.Table)]
