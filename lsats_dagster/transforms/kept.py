"""Conservation: a present row of an input that belongs into a table is behind a present row of it. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from lsats_dagster.transforms.definition import Definition


@dataclass(frozen=True)
class Kept:
    """What became of one input's present rows in one table: how many there are, belong into the table, and are not in it."""

    table: str
    input: str
    present: int
    belonging: int
    lost: int


KEPT = """
with belonging as (
    select {places}
    from {input}
    where is_present and ({condition})
)
select
    (select count(*) from {input} where is_present) as present,
    (select count(*) from belonging) as belonging,
    (select count(*) from belonging b where {lost}) as lost
"""
NOWHERE = """
not exists (
    select
    from {table} t
    cross join lateral jsonb_each(t.source_keys) p (place, keys)
    cross join lateral jsonb_array_elements_text(p.keys) k (key)
    where t.is_present and p.place = b.place{number} and k.key collate "C" = b.key{number}
)
"""
# The same where the place is one for all rows, at an eighth of the cost.
NOT_THERE = """
not exists (
    select
    from {table} t
    cross join lateral jsonb_array_elements_text(t.source_keys -> {place}) k (key)
    where t.is_present and k.key collate "C" = b.key{number}
)
"""


def places(table: str, key: str, about: Sequence[str]) -> list[tuple[str, str]]:
    """SQL over the columns of `table`: table and key by which source_keys may name one of its rows, or the row it is about."""
    return [(f"'{table}'", key), *([(f"'silver.' || {about[0]}", about[1])] if about else [])]


def kept_query(definition: Definition, name: str, table: str) -> str:
    """SQL that counts the rows of the input `name`; `table`: where the rows of the definition stand."""
    named = places(name, definition.input_keys[name], definition.input_about.get(name, ()))
    columns = [
        f'{place} as place{n}, cast({key} as text) collate "C" as key{n}' for n, (place, key) in enumerate(named)
    ]
    lost = [
        (NOWHERE if n else NOT_THERE).format(table=table, place=place, number=n) for n, (place, _) in enumerate(named)
    ]
    return KEPT.format(places=", ".join(columns), input=name, condition=definition.keeps[name], lost=" and ".join(lost))


def kept(connection: Connection, definition: Definition, table: str | None = None) -> list[Kept]:
    """Input by input, as far as the header says which of its rows belong into the table. table: by default the stored one."""
    return [
        Kept(
            definition.name,
            name,
            *connection.execute(text(kept_query(definition, name, table or definition.name))).one(),
        )
        for name in definition.keeps
    ]
