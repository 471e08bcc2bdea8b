"""How far the sources of a merged table agree: which gives each field how often, and how often they differ. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from lsats_dagster.database import WHOLE_TABLES
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import run_step
from lsats_dagster.transforms.precedence import contested

AGREEMENT = """
select o.field, o.offer[1] as winner, count(*) as rows, count(*) filter (where o.offer[2] = 'several') as several,
    count(*) filter (where o.offer[3] = 'differ') as differing
from (
    select f.field, string_to_array(f.offer, ' ') as offer
    from ({statement}) d cross join lateral unnest(cast(:fields as text[]), d.field_sources) f (field, offer)
    where d.is_present and f.offer is not null
) o
group by 1, 2
"""


@dataclass(frozen=True)
class Agreement:
    """One field of the present rows. won: source -> rows in which it gives the value, in order of precedence. several: rows in
    which more than one source has a value; differing: those of them in which the values are not equal, letter by letter.
    """

    field: str
    won: Mapping[str, int]
    several: int
    differing: int


def agreement(connection: Connection, definition: Definition) -> list[Agreement]:
    """Of each field that several sources may give, in the order of the table's columns. Computes the whole table.

    Takes a transaction of its own: steps leave temporary tables in it.
    """
    fields = {name: pairs for name, pairs in contested(definition).items() if len({source for source, _ in pairs}) > 1}
    if not fields:
        return []
    connection.exec_driver_sql(WHOLE_TABLES)
    for step in definition.steps:
        run_step(connection, step)
    statement = definition.select.replace(":field_sources", f"array[{', '.join(map(_offer, fields.values()))}]")
    found = connection.execute(
        text(AGREEMENT.format(statement=statement)),
        {"fields": list(fields)} | ({} if definition.whole else {"keys": None}),
    ).all()
    return [
        Agreement(
            name,
            {
                source: sum(row.rows for row in found if (row.field, row.winner) == (name, source))
                for source in dict.fromkeys(source for source, _ in pairs)
            },
            sum(row.several for row in found if row.field == name),
            sum(row.differing for row in found if row.field == name),
        )
        for name, pairs in fields.items()
    ]


def _offer(pairs: list[tuple[str, str]]) -> str:
    """SQL: what the sources offer of one field of one row: `source`, `source several`, `source several differ`, or NULL."""
    wins = " ".join(f"when {expression} is not null then '{source}'" for source, expression in pairs)
    value = f"coalesce({', '.join(expression for _, expression in pairs)})"
    several = " + ".join(
        f"cast({' or '.join(f'{expression} is not null' for name, expression in pairs if name == source)} as integer)"
        for source in dict.fromkeys(source for source, _ in pairs)
    )
    differ = " or ".join(f"{expression} <> {value}" for _, expression in pairs[1:])
    return (
        f"case {wins} end || case when {several} < 2 then '' when {differ} then ' several differ' else ' several' end"
    )
