"""Where every value of one row came from, what lost, and what its score is made of. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from lsats_dagster.transforms.definition import Definition, candidates
from lsats_dagster.transforms.engine import subject


@dataclass(frozen=True)
class BronzeRow:
    """One bronze row behind the explained row: its stream, its key there, and when it was read."""

    stream: str
    key: str
    raw_id: str
    seq: int
    ingested_at: datetime
    is_present: bool


@dataclass(frozen=True)
class Field:
    """One column: its value, the source that gave it, what the other sources would have given, and where it stands in bronze.

    bronze: seq of the bronze rows that the giving source's row is made of, the newest last; read_at: when that one was read.
    """

    name: str
    value: Any
    source: str | None = None
    losing: dict[str, Any] = field(default_factory=dict)
    bronze: list[int] = field(default_factory=list)
    read_at: datetime | None = None


@dataclass(frozen=True)
class Explanation:
    """One row of a silver table, explained. table: its asset key."""

    table: str
    key: str
    is_present: bool
    score: float
    flags: list[tuple[str, str, str]]
    fields: list[Field]
    bronze: list[BronzeRow]


def explain(
    connection: Connection, definition: Definition, key: str, definitions: Sequence[Definition]
) -> Explanation | None:
    """Explain the row with this key; None when the table has none. Keys of several columns are joined by colons."""
    by_key = "concat_ws(':', " + ", ".join(definition.key) + ")"
    row = (
        connection.execute(text(f"select * from {definition.name} where {by_key} = :key"), {"key": key})
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    stored = dict(row)
    offers = _offers(connection, definition, key, stored)
    bronze = _bronze(connection, definition, stored, definitions)
    fields = [_field(column.name, stored, offers, bronze) for column in definition.business_columns]
    return Explanation(
        subject(definition).label,
        key,
        row["is_present"],
        float(row["data_quality_score"]),
        [(flag, *definition.deductions[flag.split(":")[0]]) for flag in row["quality_flags"]],
        fields,
        bronze,
    )


NEAR = """
select {key} as key, {name} as name
from {table}
where {key} ilike :pattern or {name} ilike :pattern
order by not is_present, length({key}), {key}
limit 5
"""


def near(connection: Connection, definition: Definition, key: str) -> dict[str, str]:
    """Keys like `key`, or of rows whose name holds it, with the name: at most five, of what is most alike."""
    by_key = "concat_ws(':', " + ", ".join(definition.key) + ")"
    named = next((column.name for column in definition.business_columns if column.name.endswith("name")), "null")
    statement = text(NEAR.format(key=by_key, name=f"cast({named} as text)", table=definition.name))
    plain = key.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    for pattern in (f"%{plain}%", f"{plain[: len(plain) * 2 // 3]}%", f"{plain[:2]}%"):
        if found := connection.execute(statement, {"pattern": pattern}).all():
            return {row.key: row.name or "" for row in found}
    return {}


def _offers(
    connection: Connection, definition: Definition, key: str, row: Mapping[str, Any]
) -> dict[str, list[tuple[str, Any]]]:
    """Per column, what each source offers, in order of precedence: the SELECT itself with its candidates shown."""
    if not definition.sources:
        return {}
    pairs = [
        f"select '{name}' as field, {rank} as rank, '{source}' as source, to_jsonb({expression}) as value"
        for name, found in candidates(definition).items()
        for rank, (source, expression) in enumerate(found)
    ]
    shown = (
        f"(select jsonb_agg(to_jsonb(o) order by o.rank) from ({' union all '.join(pairs)}) o where o.value <> 'null')"
    )
    statement = definition.select.replace(":field_sources", shown)
    by_key = "concat_ws(':', " + ", ".join(f"d.{name}" for name in definition.key) + ")"
    found = connection.execute(
        text(f"select d.field_sources from ({statement}) d where {by_key} = :key"),
        {"keys": [str(row[definition.scope])], "key": key},
    ).scalar_one_or_none()
    offers: dict[str, list[tuple[str, Any]]] = {}
    for offer in found or []:
        offers.setdefault(offer["field"], []).append((offer["source"], offer["value"]))
    return offers


def _field(
    name: str, row: Mapping[str, Any], offers: Mapping[str, list[tuple[str, Any]]], bronze: Sequence[BronzeRow]
) -> Field:
    merged = "field_sources" in row
    given = row["field_sources"].get(name) if merged else None
    losing = {source: value for source, value in offers.get(name, []) if source != given}
    # A table of one source has all its values from there.
    behind = [found for found in bronze if not merged or found.stream.split("/")[0] == given]
    behind.sort(key=lambda found: found.seq)
    return Field(
        name, row[name], given, losing, [found.seq for found in behind], behind[-1].ingested_at if behind else None
    )


def _bronze(
    connection: Connection, definition: Definition, row: Mapping[str, Any], definitions: Sequence[Definition]
) -> list[BronzeRow]:
    """The bronze rows behind `row`: its own raw_id, or those of the source rows that source_keys names."""
    if "raw_id" in row:
        return _bronze_rows(connection, definition, [str(row[definition.key[0]])])
    found = []
    for table in definitions:
        if table.name in definition.inputs and not table.sources:
            keys = [
                str(key) for source in set(definition.sources.values()) for key in row["source_keys"].get(source, [])
            ]
            found += _bronze_rows(connection, table, keys)
    return found


def _bronze_rows(connection: Connection, table: Definition, keys: list[str]) -> list[BronzeRow]:
    raw_ids = ", ".join(f"t.{column.name}" for column in table.columns if column.name.endswith("raw_id"))
    rows = connection.execute(
        text(
            f"select r.source_system || '/' || r.entity_type as stream, t.{table.key[0]}::text as key, r.raw_id::text, "
            f"r.seq, r.ingested_at, t.is_present "
            f"from {table.name} t join bronze.raw_entities r on r.raw_id in ({raw_ids}) "
            f"where t.{table.key[0]}::text = any(:keys) order by 1, r.seq"
        ),
        {"keys": keys},
    )
    return [BronzeRow(**row) for row in rows.mappings()]
