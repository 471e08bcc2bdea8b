"""Histories of one table over the tables and streams that it reads itself.

Streams are read as everywhere in the suite. Rows of silver inputs are written as a refresh would write them, of values that
such a table really holds, put together anew: what joins rows collides all the time, whichever tables lie below.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import text

from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.runs import Origin, running
from lsats_dagster.transforms.definition import STANDARD, Definition, columns_in
from lsats_dagster.transforms.engine import subject
from lsats_dagster_tests.contracts.histories import (
    FILLED,
    LOCK_WAIT_SECONDS,
    READS,
    REFRESHES,
    Change,
    Read,
    World,
    change_of,
)

STEPS = 4
KEYS = 5
# Values of a column that joins rows; the fewer, the more of them meet.
COLLIDING = 4
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
# A dry read shows a table nothing.
SEEN = tuple(how for how in READS if how != "dry")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """A refresh of a silver input writes these rows, whole and as JSON."""

    table: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class MadeAnew:
    """The definition of a silver input changed: it was made anew, and is empty."""

    table: str


@dataclass(frozen=True)
class Seen:
    """A stream is read after some changes."""

    changes: tuple[Change, ...]
    read: Read


Event = Written | MadeAnew | Seen
# What happens, then how the table is refreshed, if at all.
Step = tuple[tuple[Event, ...], str | None]
_pools: dict[str, dict[str, list[Row]]] = {}


def pools(world: World) -> dict[str, list[Row]]:
    """table -> the rows that it has in a rich world, in order of their keys. Made once for a database; fills and empties it."""
    if world.url not in _pools:
        world.reset().fill()
        world.refresh_all()
        _pools[world.url] = {
            d.name: [
                row.content
                for row in world.rows(f"select to_jsonb(t) as content from {d.name} t order by {d.key_text}")
            ]
            for d in world.definitions
        }
        world.reset()
    return _pools[world.url]


def silver_inputs(world: World, definition: Definition) -> list[Definition]:
    return [world.definition(name) for name in definition.inputs if name.startswith("silver.")]


def own_streams(world: World, definition: Definition) -> list[str]:
    """Streams that a table itself reads, lists before their details."""
    views = {f"{stream.layer}.{stream.table}": stream for stream in world.streams.values()}
    found: list[str] = []
    for stream in (views[name] for name in definition.inputs if name in views):
        found += [stream.list_stream.name] if isinstance(stream, DetailStream) else []
        found.append(stream.name)
    return list(dict.fromkeys(found))


class Writer:
    """Makes up the rows of one silver input; what it made last is what the table holds."""

    def __init__(self, definition: Definition, pool: list[Row], joining: set[str], chance: Random) -> None:
        self.definition, self.chance = definition, chance
        names = [column.name for column in definition.columns]
        given = [n for n in names if n not in STANDARD or n in ("source_keys", "field_sources", "quality_flags")]
        # As text: unlike values may be equal in Python, and lists cannot be told apart by a set.
        self.values = {n: [json.loads(v) for v in dict.fromkeys(json.dumps(row[n]) for row in pool)] for n in given}
        own = [n for n in given if n not in STANDARD and n not in definition.key]
        links = [n for n in own if n in joining or {str(v) for v in self.values[n]} & joining]
        self.values |= {n: self.values[n][:COLLIDING] for n in links}
        self.links, self.others = links or own, [n for n in given if n not in definition.key]
        self.keys = list(dict.fromkeys(tuple(row[n] for n in definition.key) for row in pool))[:KEYS]
        self.rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.clock = 0

    def written(self, keys: int) -> Written:
        """Some rows come, change, go or return."""
        self.clock += 1
        chosen = dict.fromkeys(self._key() for _ in range(keys))
        return Written(self.definition.name, tuple(self._row(key) for key in chosen))

    def _key(self) -> tuple[Any, ...]:
        """Of several columns any combination."""
        if len(self.definition.key) == 1:
            return self.chance.choice(self.keys)
        return tuple(self.chance.choice(self.keys)[place] for place, _ in enumerate(self.definition.key))

    def _value(self, name: str) -> Any:
        empty = name not in STANDARD and self.chance.random() < 0.15
        return None if empty else self.chance.choice(self.values[name])

    def _row(self, key: tuple[Any, ...]) -> Row:
        row, moment = self.rows.get(key), EPOCH + timedelta(days=100 + self.clock)
        if row is None:
            number = len(self.rows) + 1
            row = {n: self._value(n) for n in self.others} | dict(zip(self.definition.key, key, strict=True))
            row |= {
                "raw_id": str(UUID(int=number)), "first_seq": number, "source_systems": ["example"],
                "data_quality_score": 1, "is_present": self.chance.random() < 0.8,
                "first_seen_at": str(EPOCH + timedelta(days=self.chance.randint(0, 9))),
            }  # fmt: skip
        elif self.chance.random() < 0.25:
            row = row | {"is_present": not row["is_present"]}
        else:
            names = self.links if self.chance.random() < 0.6 else self.others
            changed = (self.chance.choice(names) for _ in range(self.chance.randint(1, 2)))
            row = row | {n: self._value(n) for n in changed}
        row |= {
            "removed_at": None if row["is_present"] else str(moment),
            "updated_at": str(moment), "entity_hash": f"written {self.clock}",
        }  # fmt: skip
        self.rows[key] = row
        return row


def history(world: World, definition: Definition, number: int) -> list[Step]:
    """The history with this number of one table: STEPS times events at its inputs, and mostly a refresh; in the end
    the table is up to date.

    The same number is the same history, and a failing one is plain data: it can be cut down and lived again.
    """
    chance = Random(f"{definition.table} {number}")
    inputs, streams = silver_inputs(world, definition), own_streams(world, definition)
    by_table = pools(world)
    joining = {str(row[n]) for d in inputs for row in by_table[d.name] for n in d.key}
    for name, reach in definition.reach.items():
        if name.startswith("silver.") and reach.gives:
            joining |= columns_in(reach.gives)
    writers = [Writer(d, by_table[d.name], joining, chance) for d in inputs]
    steps: list[Step] = [(tuple(writer.written(KEYS) for writer in writers), "incremental")]
    for _ in range(STEPS):
        events: list[Event] = []
        for source in chance.choices([*writers, *streams], k=chance.randint(1, 2) if writers else 1):
            if isinstance(source, str):
                changes = tuple(change_of(chance.choice(streams), chance) for _ in range(chance.randint(1, 4)))
                events.append(Seen(changes, (source, chance.choice(SEEN))))
            elif chance.random() < 0.05:
                source.rows.clear()
                events.append(MadeAnew(source.definition.name))
            else:
                events.append(source.written(chance.randint(1, 2)))
        steps.append((tuple(events), chance.choice(REFRESHES) if chance.random() < 0.8 else None))
    last: list[Event] = [writer.written(KEYS) for writer in writers if not writer.rows]
    if last or steps[-1][1] not in ("incremental", "full"):
        steps.append((tuple(last), "incremental"))
    return steps


def begin(world: World, definition: Definition) -> None:
    """Empty what a history of this table fills; its lists have all entities but one each."""
    world.empty(*FILLED, *(d.name for d in silver_inputs(world, definition)), definition.name)
    world.define_as_before()
    world.start_sources()
    world.arrive()


def happen(world: World, event: Event) -> None:
    """One event at the inputs."""
    if isinstance(event, Seen):
        world.apply(*event.changes)
        stream, how = event.read
        if how != "full" or isinstance(world.streams[stream], DetailStream):
            world.read(stream, how)
    elif isinstance(event, MadeAnew):
        world.empty(event.table)
        world.administer(
            "update meta.silver_definitions set deployed_at = clock_timestamp() "
            f"where table_name = '{event.table.removeprefix('silver.')}'"
        )
    else:
        write(world, world.definition(event.table), event.rows)


def write(world: World, definition: Definition, rows: tuple[Row, ...]) -> None:
    """One run of a silver table that writes these rows."""
    names = [column.name for column in definition.columns if column.name not in ("changed_seq", "run_id")]
    changed = [*(name for name in names if name not in definition.key), "changed_seq", "run_id"]
    as_of = max(datetime.fromisoformat(row["updated_at"]) for row in rows).isoformat()
    with (
        running(
            world.database, subject(definition), "incremental", Origin(), metadata={"as_of": as_of}, statistics={},
            wait_seconds=LOCK_WAIT_SECONDS,
        ) as work,
        work.last_transaction(),
    ):  # fmt: skip
        work.connection.execute(
            text(
                f"insert into {definition.name} ({', '.join(names)}, changed_seq, run_id) "
                f"select {', '.join(names)}, (select nextval('meta.changed_seq')), :run_id "
                f"from jsonb_populate_recordset(null::{definition.name}, cast(:rows as jsonb)) "
                f"on conflict ({', '.join(definition.key)}) do update set "
                + ", ".join(f"{name} = excluded.{name}" for name in changed)
            ),
            {"rows": json.dumps(rows), "run_id": work.run.run_id},
        )
