"""Which scope values of a table its changed inputs touch: queries made from what the header says, and closed classes.

Nothing here needs an image of a row before its change: what a row was made from stands in its own columns and in `source_keys`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, text

from lsats_dagster.transforms.definition import Definition, is_stream


def reach_query(definition: Definition, name: str) -> str | None:
    """The query for the scope values that changes of one input behind `:since` touch; None: a change touches everything.

    They are what changed rows give, the rows whose contributors or joined columns hold a changed key, and what a written
    query adds.
    """
    reach = definition.reach[name]
    schema, table = name.split(".")
    if schema == "curated" and reach.query is None:
        return None
    cursor = "seq" if is_stream(name) else "changed_seq"
    # Postgres counts on a tenth of what a limit that it does not know lets through: it takes the few changed rows by their
    # cursor and looks each up, where it would take a stream that was read long ago for changed in good part.
    changed = f"(select * from {name} where {cursor} > :since order by {cursor} limit (select null::bigint)) {table}"
    # A key of its own name: columns of the table itself must not hide it. Keys of bronze have a collation of their own, in which
    # no index of the table could be used.
    keys = f'(select ({definition.input_keys[name]})::text collate "default" as changed_key from {changed}) changed'
    parts = []
    if reach.gives:
        parts.append(f"select ({reach.gives})::text from {changed}")
    if definition.kind != "source" and schema != "curated":
        held = f"jsonb_build_object('{name}', jsonb_build_array(changed_key))"
        parts.append(f"select ({definition.scope})::text from {keys}, {definition.name} where source_keys @> {held}")
    if reach.joined_column:
        parts.append(
            f"select ({definition.scope})::text from {keys}, {definition.name} "
            f"where {as_text(definition, reach.joined_column)} = changed_key"
        )
    if reach.query:
        parts.append(f"select r.key from ({reach.query}\n) r (key)")
    return "\nunion\n".join(parts)


def as_text(definition: Definition, column: str) -> str:
    """SQL: a column of the table as it is compared with keys; the engine's indexes are on this very expression."""
    type_ = next(found.type for found in definition.columns if found.name == column)
    return column if type_ == "text" else f"({column})::text"


def reached_keys(connection: Connection, query: str, since: int, limit: int) -> set[str]:
    """The keys that a reach query gives behind the cursor `since`; of more than `limit` only as many as show that."""
    found = connection.execute(
        text(f"select distinct r.key from ({query}\n) r (key) where r.key is not null limit :enough"),
        {"since": since, "enough": limit + 1},
    )
    return set(found.scalars())


def class_members(connection: Connection, definition: Definition, keys: Iterable[str], limit: int) -> set[str] | None:
    """`keys` and the scope values of all rows tied to them: rows that share a value of a class column with one of them.

    Values count as just computed into `refreshed` for the keys, and as stored; both, because a row leaves a class as well as
    it enters one. Rows that are found tie further ones by their other class columns. None when there are more than `limit`.
    """
    members = set(keys)
    columns = {name: as_text(definition, name) for name in definition.classes}
    listed = ", ".join(columns.values())
    met: dict[str, set[str]] = {name: set() for name in columns}
    rows: Sequence[tuple[Any, ...]] = connection.execute(
        text(
            f"select {listed} from refreshed union select {listed} from {definition.name} "
            f"where ({definition.scope})::text = any(:keys)"
        ),
        {"keys": sorted(members)},
    ).all()
    shared = " or ".join(f"{expression} = any(:{name})" for name, expression in columns.items())
    tied = text(
        f"select distinct ({definition.scope})::text, {listed} from {definition.name} where {shared} limit :enough"
    )
    while len(members) <= limit:
        fresh = {
            name: {row[place] for row in rows if row[place] is not None} - met[name]
            for place, name in enumerate(columns)
        }
        if not any(fresh.values()):
            return members
        for name, values in fresh.items():
            met[name] |= values
        found = connection.execute(
            tied, {name: sorted(values) for name, values in fresh.items()} | {"enough": limit + 1}
        ).all()
        if len(found) > limit:
            return None
        members |= {row[0] for row in found}
        rows = [tuple(row[1:]) for row in found]
    return None
