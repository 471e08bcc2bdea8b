"""Bronze histories without a network: sources in memory, read by the engine's own `ingest` and `enrich`.

Only the function that asks the source is replaced (`read`, `fetch`); keys, hashes, batches, certificates and tombstones
are the real ones. Random histories are plain data, so that a failing one can be read and run again. Those of one table over
its own inputs stand in `inputs`; here are the chains, which go through every table.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, partial
from random import Random
from typing import Any

from sqlalchemy import text

from lsats_dagster.clients.errors import TransientSourceError
from lsats_dagster.database import Database, DatabaseError
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.details import enrich
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import DetailStream, Extract, ListStream, UnprovenReadError, no_evidence
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Origin, Run
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import refresh
from lsats_dagster.transforms.tables import deploy
from lsats_dagster_tests.conftest import DEFINITIONS, new_database
from lsats_dagster_tests.contracts.shapes import ABSENT, HOSTILE, SHAPES

LOCK_WAIT_SECONDS = 30.0
# Everything that a history fills; emptied as superuser with triggers off, which no role of the hub can do.
FILLED = ("bronze.raw_entities", "bronze.current_entities", "meta.ingestion_runs", "meta.quarantine",
          "meta.detail_fetches", "meta.refused_removals")  # fmt: skip


@dataclass(frozen=True)
class Change:
    """Something happens at a source: `field` of an entity takes `value`; an entity that is not there arrives or returns.

    field "" only lets it be there; None lets it go.
    """

    stream: str
    key: str
    field: str | None = ""
    value: Any = None


@dataclass
class Source:
    """What one stream's source holds: every record it ever had, and which of them are there now."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)

    def shown(self) -> list[dict[str, Any]]:
        return [record for key, record in self.records.items() if key in self.present]


Read = tuple[str, str]
Refresh = tuple[str, str]
Step = tuple[tuple[Change, ...], tuple[Read, ...], tuple[Refresh, ...]]


@cache
def shared_database(server: EmbeddedPostgres) -> str:
    """The URL of the one database of this process that the table suite empties and fills; nothing waits for the disk."""
    url = new_database(server)
    wait_for_no_disk(url)
    return url


def wait_for_no_disk(url: str) -> None:
    """Sessions of this database wait for no disk from now on."""
    admin = Database(url, role=None)
    with admin.transaction() as connection:
        connection.exec_driver_sql(f"alter database {admin.url.database} set synchronous_commit = off")
    admin.dispose()


class World:
    """One hub database and the sources in memory that feed it."""

    def __init__(
        self,
        url: str,
        definitions: tuple[Definition, ...] = DEFINITIONS,
        streams: tuple[StreamDeclaration, ...] = STREAMS,
    ) -> None:
        self.url = url
        self.definitions = definitions
        # What tables were defined as before a history changed that.
        self.former: dict[str, Definition] = {}
        self.streams = {stream.name: stream for stream in streams}
        self.database = Database(url)
        self.admin = Database(url, role=None, application="lsats suite")
        self.sources: dict[str, Source] = {}
        self.start_sources()

    def start_sources(self) -> None:
        """Lists begin empty; a detail source knows every entity that the histories have."""
        for name, stream in self.streams.items():
            known = SHAPES[name].keys if isinstance(stream, DetailStream) else ()
            self.sources[name] = Source({key: SHAPES[name].ordinary(key) for key in known}, set(known))

    def dispose(self) -> None:
        self.database.dispose()
        self.admin.dispose()

    def reset(self) -> "World":
        """An empty hub, with its own definitions, and sources as at the beginning."""
        self.empty(*FILLED, *(definition.name for definition in self.definitions))
        self.define_as_before()
        self.start_sources()
        return self

    def define_as_before(self) -> None:
        """Change every definition back that a history has changed."""
        for table in list(self.former):
            self.redefine(table)

    def empty(self, *tables: str) -> None:
        """Delete all rows, triggers or not; of few rows that costs less than TRUNCATE."""
        deletes = "; ".join(f"delete from {table}" for table in tables)
        self.administer(f"set local session_replication_role = replica; {deletes}")

    def redefine(self, table: str) -> None:
        """Change the definition of a table, or change it back: its key is another, and it no longer gives one entity.

        What the table held under the former key is gone (docs/adding_a_table.md); it waits to be filled anew.
        """
        current = self.definition(table)
        if table in self.former:
            changed = self.former.pop(table)
        else:
            self.former[table], changed = current, replace(current, description="All but one.")
            one = self.rows(f"select min({current.key[0]}::text) from {current.name}")[0][0]
            select = f"select * from ({current.statement}) s where s.{current.key[0]}::text is distinct from '{one}'"
            changed.__dict__.update(statement=select, hash=current.hash[::-1])
        with self.admin.transaction() as connection:
            # To another key and back: in the end only the rows are others.
            deploy(connection, replace(current, key=(*current.key, "first_seen_at")))
            deploy(connection, changed)
        self.definitions = tuple(changed if definition is current else definition for definition in self.definitions)

    def administer(self, script: str) -> None:
        """Run a script as superuser."""
        with self.admin.transaction() as connection:
            connection.exec_driver_sql(script)

    def rows(self, sql: str, **values: Any) -> list[Any]:
        with self.admin.transaction() as connection:
            return list(connection.execute(text(sql), values).all())

    def apply(self, *changes: Change) -> None:
        for change in changes:
            source = self.sources[change.stream]
            if change.field is None:
                source.present.discard(change.key)
                continue
            record = source.records.setdefault(change.key, SHAPES[change.stream].ordinary(change.key))
            source.present.add(change.key)
            if change.value is ABSENT:
                record.pop(change.field, None)
            elif change.field:
                record[change.field] = change.value

    def read(self, stream: str, how: str = "whole", records: list[dict[str, Any]] | None = None) -> Run | None:
        """One run of a stream, over `records` if given; None where it must fail, because the source did.

        how: whole; limit (stops by intent after two records); fails (the source breaks half-way); dry; full (details).
        """
        declared = self.streams[stream]
        request = ReadRequest(limit=2 if how == "limit" else None, full=how == "full", dry_run=how == "dry")
        shown = self.sources[stream].shown() if records is None else records
        read = (
            partial(self._read_details, declared, self.sources[stream])
            if isinstance(declared, DetailStream)
            else (partial(self._read_list, declared, shown))
        )
        try:
            run = read(request, how)
            if not run.dry and "refused_removals" in run.metadata:
                # Worlds are so small that the guard asks about nearly everything.
                run = read(replace(request, approve_removals=run.run_id), how)
            return run
        except TransientSourceError:
            if how != "fails":
                raise
        except UnprovenReadError:
            if shown:
                raise
        return None

    def _read_list(self, stream: ListStream[Any], records: list[dict[str, Any]], request: ReadRequest, how: str) -> Run:
        def pages(_client: Any, extract: Extract) -> Iterator[list[Any]]:
            if how == "fails":
                yield records[: len(records) // 2]
                raise TransientSourceError("the source in memory breaks off")
            yield records
            extract.complete("end of the list in memory", records=len(records))

        return ingest(
            self.database, replace(stream, read=pages, evidence=no_evidence, parent=None, confirm=None), None,
            request=request, origin=Origin(), batch_size=500, lock_wait_seconds=LOCK_WAIT_SECONDS,
        )  # fmt: skip

    def _read_details(self, stream: DetailStream[Any], source: Source, request: ReadRequest, how: str) -> Run:
        asked: list[str] = []

        def fetch(_client: Any, key: str) -> Any | None:
            asked.append(key)
            if how == "fails" and len(asked) > 1:
                raise TransientSourceError("the source in memory breaks off")
            return source.records[key] if key in source.present else None

        return enrich(
            self.database, replace(stream, fetch=fetch, evidence=no_evidence), None, request=request, origin=Origin(),
            minutes=60, every_minutes=60, workers=1, max_age=timedelta(days=30), lock_wait_seconds=LOCK_WAIT_SECONDS,
        )  # fmt: skip

    def read_all(self) -> None:
        """Every stream once, whole; lists before their details."""
        for name in sorted(self.streams, key=lambda name: isinstance(self.streams[name], DetailStream)):
            self.read(name)

    def definition(self, table: str) -> Definition:
        return next(definition for definition in self.definitions if table in (definition.table, definition.name))

    def refresh(
        self, table: str, *, full: bool = False, dry_run: bool = False, database: Database | None = None
    ) -> Run:
        return refresh(
            database or self.database, self.definition(table), origin=Origin(), full=full, dry_run=dry_run,
            lock_wait_seconds=LOCK_WAIT_SECONDS,
        )  # fmt: skip

    def refresh_all(self, *, full: bool = False) -> dict[str, Run]:
        return {definition.table: self.refresh(definition.table, full=full) for definition in self.definitions}

    def refresh_failing(self, table: str) -> None:
        """A refresh whose first write fails. One that has nothing to write succeeds."""
        name = self.definition(table).name
        self.administer(
            f"create trigger broken before insert or update on {name} for each statement "
            "execute function bronze.refuse_rewrite()"
        )
        try:
            self.refresh(table)
        except DatabaseError as error:
            if error.sqlstate != "P0001":
                raise
        finally:
            self.administer(f"drop trigger broken on {name}")

    def arrive(self) -> None:
        """Every entity but the last of each list is there from the start."""
        for name, stream in self.streams.items():
            if isinstance(stream, ListStream):
                self.apply(*(Change(name, key) for key in SHAPES[name].keys[:-1]))

    def fill(self) -> None:
        """The rich world: every stream, every entity, some of them gone, moved or without a match."""
        shapes = {name: SHAPES[name] for name in self.streams}
        for name, shape in shapes.items():
            if isinstance(self.streams[name], ListStream):
                self.apply(*(Change(name, key) for key in shape.keys))
        self.read_all()
        for name, shape in shapes.items():
            for number, (fieldname, values) in enumerate({**shape.links, **shape.others}.items()):
                for offset, value in enumerate((values[0], values[-1])):
                    self.apply(Change(name, shape.keys[(number + offset) % len(shape.keys)], fieldname, value))
            self.apply(Change(name, shape.keys[-1], None))
        self.read_all()


def reached_from(world: World, definition: Definition) -> tuple[list[str], list[str]]:
    """(tables, streams) that a table is made from, itself included, each after its inputs; lists before details."""
    tables: list[str] = []
    streams: list[str] = []
    by_view = {f"{stream.layer}.{stream.table}": stream for stream in world.streams.values()}

    def walk(current: Definition) -> None:
        for name in current.inputs:
            if name in by_view:
                stream = by_view[name]
                streams.extend([stream.list_stream.name] if isinstance(stream, DetailStream) else [])
                streams.append(stream.name)
            elif name.startswith("silver."):
                walk(world.definition(name))
        tables.append(current.table)

    walk(definition)
    return list(dict.fromkeys(tables)), list(dict.fromkeys(streams))


def change_of(stream: str, chance: Random) -> Change:
    """What may happen at a source: half of it joins rows to others, a quarter is coming and going, the rest any value."""
    shape = SHAPES[stream]
    key, kind = chance.choice(shape.keys), chance.random()
    if kind < 0.25:
        return Change(stream, key, chance.choice(["", None]))
    fields = shape.links if shape.links and kind < 0.75 else {**shape.links, **shape.others}
    name = chance.choice(list(fields))
    poison = kind > 0.9
    return Change(stream, key, name, chance.choice(HOSTILE if poison else fields[name]))


READS = ("whole",) * 6 + ("limit", "fails", "dry", "full")
REFRESHES = ("incremental",) * 6 + ("full", "dry", "failing")
STEPS = 8


def random_history(world: World, number: int) -> list[Step]:
    """The history with this number of all tables: changes, then reads, then refreshes, STEPS times.

    The same number is the same history, and a failing one is plain data: it can be cut down and lived again.
    """
    chance = Random(number)
    tables, streams = [definition.table for definition in world.definitions], list(world.streams)
    read_by_others = [table for table in tables if any(f"silver.{table}" in d.inputs for d in world.definitions)]
    history: list[Step] = []
    for _ in range(STEPS):
        changes = [change_of(chance.choice(streams), chance) for _ in range(chance.randint(2, 8))]
        reads = [(chance.choice(streams), chance.choice(READS)) for _ in range(chance.randint(1, 3))]
        # Now and then every table, so that the next change meets one that is up to date; else any, in any order.
        refreshes = [(table, "incremental") for table in tables] if chance.random() < 0.4 else []
        refreshes += [(chance.choice(tables), chance.choice(REFRESHES)) for _ in range(chance.randint(0, 3))]
        if chance.random() < 0.1:
            refreshes.append((chance.choice(read_by_others), "redefined"))
        history.append((tuple(changes), tuple(reads), tuple(refreshes)))
    return history
