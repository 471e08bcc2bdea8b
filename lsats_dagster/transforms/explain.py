"""Where every value of one row came from, what lost, and what its score is made of. Reads only."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from lsats_dagster.transforms.definition import Definition, is_stream
from lsats_dagster.transforms.engine import run_step, subject
from lsats_dagster.transforms.kept import places
from lsats_dagster.transforms.precedence import candidates, computed_from


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
class Contributor:
    """One silver row that shaped the explained row. table: its asset key. told: what it, or a row about it, says of how it was
    joined, by column. made_from: what shaped it in turn.
    """

    table: str
    key: str
    is_present: bool
    told: dict[str, Any]
    made_from: list["Contributor | BronzeRow"]


@dataclass(frozen=True)
class Apart:
    """A present row that may belong to a row and did not shape it. table: its asset key. told: what is said of it, by column."""

    table: str
    key: str
    told: dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """What people decided about a row. table: as `curated.table`. told: all that stands there, by column."""

    table: str
    told: dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One column: its value, the source that gave it, what the other sources would have given, and where it stands in bronze.

    agreeing: sources that would have given the same; losing: another value. computed_from: sources of a value that is none of
    theirs as it stands. bronze: seq of the bronze rows behind the value, the newest last; read_at: when that one was read.
    """

    name: str
    value: Any
    source: str | None = None
    agreeing: list[str] = field(default_factory=list)
    losing: dict[str, Any] = field(default_factory=dict)
    computed_from: list[str] = field(default_factory=list)
    bronze: list[int] = field(default_factory=list)
    read_at: datetime | None = None


@dataclass(frozen=True)
class Explanation:
    """One row of a silver table, explained. table: its asset key. told: what it says itself of how it was joined. decisions: of
    people, about it. apart: what may belong to it, and was not joined. bronze: all bronze rows below made_from, each once.
    """

    table: str
    key: str
    is_present: bool
    score: float
    flags: list[tuple[str, str, str]]
    fields: list[Field]
    told: dict[str, Any]
    decisions: list[Decision]
    apart: list[Apart]
    made_from: list[Contributor | BronzeRow]
    bronze: list[BronzeRow]


def explain(
    connection: Connection, definition: Definition, key: str, definitions: Sequence[Definition]
) -> Explanation | None:
    """Explain the row with this key; None when the table has none. Keys of several columns are joined by colons."""
    rows = _rows(connection, definition, [key])
    if not rows:
        return None
    ((row, scope),) = rows
    offers = _offers(connection, definition, key, scope)
    by_name = {found.name: found for found in definitions}
    inputs = [by_name[name] for name in definition.inputs if name in by_name]
    # A row that is about another, and a contributor itself, tells it in its own place.
    about = [found for found in inputs if found.about and found.name not in row.get("source_keys", {})]
    made_from = _made_from(connection, definition, row, by_name, about)
    bronze = _in_order(made_from)
    computed = computed_from(definition)
    return Explanation(
        subject(definition).label,
        key,
        row["is_present"],
        float(row["data_quality_score"]),
        [(flag, *definition.deductions[flag.split(":")[0]]) for flag in row["quality_flags"]],
        [
            _field(column.name, row, offers.get(column.name, []), computed.get(column.name, []), bronze)
            for column in definition.business_columns
        ],
        _told(definition, row),
        _decisions(connection, definition, key),
        apart(connection, inputs, key, row.get("source_keys", {})),
        made_from,
        bronze,
    )


def bronze_behind(
    connection: Connection, definition: Definition, key: str, definitions: Sequence[Definition]
) -> list[BronzeRow] | None:
    """All bronze rows behind the row with this key, each once, by stream and age; None when the table has no such row."""
    rows = _rows(connection, definition, [key])
    if not rows:
        return None
    ((row, _),) = rows
    return _in_order(_made_from(connection, definition, row, {found.name: found for found in definitions}))


NEAR = """
select {key} as key, {name} as name
from {table}
where {key} ilike :pattern or {name} ilike :pattern
order by not is_present, length({key}), {key}
limit 5
"""


def near(connection: Connection, definition: Definition, key: str) -> dict[str, str]:
    """Keys like `key`, or of rows whose name holds it, with the name: at most five, of what is most alike."""
    named = next((column.name for column in definition.business_columns if column.name.endswith("name")), "null")
    statement = text(NEAR.format(key=f"({definition.key_text})", name=f"cast({named} as text)", table=definition.name))
    plain = key.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    for pattern in (f"%{plain}%", f"{plain[: len(plain) * 2 // 3]}%", f"{plain[:2]}%"):
        if found := connection.execute(statement, {"pattern": pattern}).all():
            return {row.key: row.name or "" for row in found}
    return {}


APART = """
select {place} as place, {key} as key, {told} as told
from {table}
where is_present and ({candidates} @> array[cast(:key as text)] or (:own and {key} = :key))
order by 1, 2
limit 50
"""


def apart(
    connection: Connection, tables: Iterable[Definition], key: str, besides: Mapping[str, Sequence[str]] | None = None
) -> list[Apart]:
    """Present rows of those of the tables that name candidates, of which `key` is one; without those that `besides` names, as
    source_keys does. Where no row has the key, and so nothing is said of `besides`: those that have it themselves, too.
    """
    found = []
    for table in tables:
        if table.candidates:
            where, own = places(table.name, table.key_text, table.about)[-1]
            statement = APART.format(
                place=where, key=own, told=_told_as_json(table), table=table.name, candidates=table.candidates
            )
            rows = connection.execute(text(statement), {"key": key, "own": besides is None})
            found += [
                Apart(row.place.replace(".", "/"), row.key, row.told)
                for row in rows
                if row.key not in (besides or {}).get(row.place, ())
            ]
    return found


def decisions_query(definition: Definition, name: str) -> str:
    """SQL: the rows of a curated input that decide about the row `:key`, as objects."""
    return (
        f"select to_jsonb(c) as told from {name} c "
        f"join (select *, {definition.key_text} as key_of_the_row from {definition.name}) t on t.key_of_the_row = :key "
        f"where {definition.decides[name]} order by 1"
    )


def _decisions(connection: Connection, definition: Definition, key: str) -> list[Decision]:
    return [
        Decision(name, {column: value for column, value in told.items() if value is not None})
        for name in definition.decides
        for told in connection.execute(text(decisions_query(definition, name)), {"key": key}).scalars()
    ]


def _told(definition: Definition, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says of how it was joined, as far as it says anything."""
    return {name: row[name] for name in definition.told if row[name] not in (None, [])}


def _told_as_json(definition: Definition) -> str:
    """SQL: the same, as an object."""
    entries = ", ".join(f"'{name}', nullif(to_jsonb({name}), '[]')" for name in definition.told)
    return f"jsonb_strip_nulls(jsonb_build_object({entries}))"


def _told_of(
    connection: Connection, name: str, keys: Sequence[str], tables: Iterable[Definition]
) -> dict[str, dict[str, Any]]:
    """Key -> what these tables, whose rows are about rows of others, say of the rows of the table `name`."""
    told: dict[str, dict[str, Any]] = {}
    for table in tables:
        # By its own columns, for which there is the index of its key.
        where, key = table.about
        statement = (
            f"select {key} as key, {_told_as_json(table)} as told from {table.name} "
            f"where {where} = :table and {key} = any(:keys)"
        )
        values = {"table": name.removeprefix("silver."), "keys": list(keys)}
        for row in connection.execute(text(statement), values):
            told[row.key] = told.get(row.key, {}) | row.told
    return told


def changed_key(connection: Connection, definition: Definition) -> str | None:
    """The key of a present row that the newest refresh to write any has written: of most sources, then known for longest."""
    found: str | None = connection.execute(
        text(
            f"select {definition.key_text} from {definition.name} "
            f"where is_present and updated_at = (select max(updated_at) from {definition.name}) "
            "order by cardinality(source_systems) desc, first_seen_at, 1 limit 1"
        )
    ).scalar_one_or_none()
    return found


def _rows(connection: Connection, definition: Definition, keys: list[str]) -> list[tuple[dict[str, Any], str]]:
    """The rows with these keys, each with its scope value."""
    found = connection.execute(
        text(
            f"select *, ({definition.scope})::text as scope_of_the_row from {definition.name} "
            f"where {definition.key_text} = any(:keys) order by {', '.join(definition.key)}"
        ),
        {"keys": keys},
    )
    names = list(found.keys())[:-1]
    return [(dict(zip(names, row[:-1], strict=True)), row[-1]) for row in found]


def _offers(connection: Connection, definition: Definition, key: str, scope: str) -> dict[str, list[tuple[str, Any]]]:
    """Per column, what each source offers, in order of precedence: the SELECT itself with its candidates shown."""
    pairs = [
        f"select '{name}' as field, {rank} as rank, '{source}' as source, to_jsonb({expression}) as value"
        for name, found in candidates(definition).items()
        for rank, (source, expression) in enumerate(found)
    ]
    if not pairs:
        return {}
    for step in definition.steps:
        run_step(connection, step)
    shown = (
        f"(select jsonb_agg(to_jsonb(o) order by o.rank) from ({' union all '.join(pairs)}) o where o.value <> 'null')"
    )
    statement = definition.select.replace(":field_sources", shown)
    found = connection.execute(
        text(f"select field_sources from ({statement}\n) d where {definition.key_text} = :key"),
        {"key": key} | ({} if definition.whole else {"keys": [scope]}),
    ).scalar_one_or_none()
    offers: dict[str, list[tuple[str, Any]]] = {}
    for offer in found or []:
        offers.setdefault(offer["field"], []).append((offer["source"], offer["value"]))
    return offers


def _field(
    name: str, row: Mapping[str, Any], offers: list[tuple[str, Any]], computed: list[str], bronze: Sequence[BronzeRow]
) -> Field:
    merged = "field_sources" in row
    # The first that offers something gave it: the same expression decided the value.
    given = offers[0][0] if merged and offers and row[name] is not None else None
    others = [(source, value) for source, value in offers if source != given]
    sources = {given} if given else set(computed)
    behind = [found for found in bronze if not sources or found.stream.split("/")[0] in sources]
    if merged and not sources:
        behind = []
    behind.sort(key=lambda found: found.seq)
    return Field(
        name,
        row[name],
        given,
        [source for source, value in others if value == offers[0][1]],
        {source: value for source, value in others if value != offers[0][1]},
        [] if given else computed,
        [found.seq for found in behind],
        behind[-1].ingested_at if behind else None,
    )


def _made_from(
    connection: Connection,
    definition: Definition,
    row: Mapping[str, Any],
    definitions: Mapping[str, Definition],
    about: Sequence[Definition] = (),
) -> list[Contributor | BronzeRow]:
    """What shaped `row`: the bronze rows of its own raw ids, or the rows that its source_keys name, down to bronze.

    about: tables whose rows are about those rows.
    """
    if definition.kind == "source":
        raw_ids = [str(row[name]) for name in row if name.endswith("raw_id") and row[name]]
        return list(_bronze_rows(connection, "r.raw_id = any(cast(:values as uuid[]))", raw_ids))
    found: list[Contributor | BronzeRow] = []
    for name, keys in row["source_keys"].items():
        if is_stream(name):
            in_view = f"r.raw_id in (select raw_id from {name} where external_id = any(:values))"
            found += _bronze_rows(connection, in_view, keys)
        elif table := definitions.get(name):
            told = _told_of(connection, name, keys, about)
            for other, _ in _rows(connection, table, keys):
                key = ":".join(str(other[column]) for column in table.key)
                found.append(
                    Contributor(
                        subject(table).label,
                        key,
                        other["is_present"],
                        _told(table, other) | told.get(key, {}),
                        _made_from(connection, table, other, definitions),
                    )
                )
    return found


def _bronze_rows(connection: Connection, condition: str, values: list[str]) -> Iterator[BronzeRow]:
    rows = connection.execute(
        text(
            "select r.source_system || '/' || r.entity_type as stream, r.external_id as key, r.raw_id::text, r.seq, "
            "r.ingested_at, c.removed_at is null as is_present from bronze.raw_entities r "
            "join bronze.current_entities c using (source_system, entity_type, external_id) "
            f"where {condition} order by 1, r.seq"
        ),
        {"values": values},
    )
    return (BronzeRow(**row) for row in rows.mappings())


def _in_order(made_from: Iterable[Contributor | BronzeRow]) -> list[BronzeRow]:
    return sorted(_leaves(made_from), key=lambda found: (found.stream, found.seq))


def _leaves(made_from: Iterable[Contributor | BronzeRow]) -> set[BronzeRow]:
    return {
        leaf for found in made_from for leaf in ([found] if isinstance(found, BronzeRow) else _leaves(found.made_from))
    }
