"""What must hold when refreshes, reads and deaths meet. Plain functions, as in table_checks.

A session of the superuser holds a table lock at the point where a run is to be caught; the run itself is the real one,
in a thread of its own. Nothing here depends on how fast the machine is: each step waits until the one before has got
where it must be, as pg_stat_activity shows.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from lsats_dagster.database import Database, DatabaseError
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.runs import Run
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import apply, subject
from lsats_dagster_tests.contracts.histories import Change, World, reached_from
from lsats_dagster_tests.contracts.shapes import MOVED_BY, SHAPES
from lsats_dagster_tests.contracts.table_checks import all_rows, check_moves, check_same_as_full, computed

PATIENCE_SECONDS = 30.0
# Allows reading, makes every write wait.
NO_WRITES = "share"
MOVES = count(1)


@contextmanager
def holding(world: World, table: str, mode: str = NO_WRITES) -> Iterator[None]:
    """Another session holds a lock on `table` meanwhile."""
    with world.admin.connect() as connection, connection.begin():
        connection.exec_driver_sql(f"lock table {table} in {mode} mode")
        yield


@contextmanager
def beside(world: World, name: str) -> Iterator[tuple[Database, Callable[..., Future[Any]]]]:
    """A second process, as far as Postgres can tell: connections of its own named `name`, and a thread to work in."""
    database = Database(world.url, application=name)
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield database, pool.submit
    database.dispose()


def blocked(world: World, application: str, running: Future[Any]) -> tuple[int, str]:
    """(process id, kind of lock) of the session named `application`, as soon as it waits for a lock."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = world.rows(
            "select pid, wait_event from pg_stat_activity where application_name = :name "
            "and datname = current_database() and wait_event_type = 'Lock'",
            name=application,
        )
        if found:
            return int(found[0].pid), str(found[0].wait_event)
        if running.done():
            break
        time.sleep(0.01)
    raise AssertionError(f"{application} waits for no lock")


def move_sources(world: World, definition: Definition, mark: str) -> None:
    """Change one entity of every stream below a table visibly, to what no other test made of it, and read that into bronze."""
    streams = reached_from(world, definition)[1]
    for name in streams:
        shape = SHAPES[name]
        text_field = next(field for field in shape.others if isinstance(shape.ordinary(shape.keys[0])[field], str))
        world.apply(Change(name, shape.keys[0], text_field, f"Moved {mark} {next(MOVES)}"))
    if definition.table in MOVED_BY:
        name, key, field, values = MOVED_BY[definition.table]
        now = world.sources[name].records[key][field]
        world.apply(Change(name, key, field, values[now == values[0]]))
    for name in streams:
        world.read(name)


def settled(world: World, definition: Definition) -> list[str]:
    """Bring everything that `definition` is made from up to date; the tables before it."""
    tables = reached_from(world, definition)[0][:-1]
    for table in tables:
        world.refresh(table)
    return tables


def check_two_at_once(world: World, definition: Definition) -> None:
    """Two refreshes of one table: the second waits for the first, and neither loses what the other wrote."""
    settled(world, definition)
    world.refresh(definition.table)
    move_sources(world, definition, "first")
    settled(world, definition)
    with beside(world, "first") as (first, start_first), beside(world, "second") as (second, start_second):
        with holding(world, definition.name):
            one = start_first(world.refresh, definition.table, database=first)
            blocked(world, "first", one)
            # The first one's snapshot is taken: this is news for the second only.
            move_sources(world, definition, "second")
            settled(world, definition)
            two = start_second(world.refresh, definition.table, database=second)
            assert blocked(world, "second", two)[1] == "advisory", "the second does not wait for the first"
        runs = [one.result(PATIENCE_SECONDS), two.result(PATIENCE_SECONDS)]
    assert all(run.counts.updated for run in runs)
    assert runs[0].watermark < runs[1].watermark
    check_same_as_full(world, definition)


def check_killed(world: World, definition: Definition) -> None:
    """A refresh whose session dies leaves the table as it was and a failed run; the next one is right."""
    settled(world, definition)
    world.refresh(definition.table)
    move_sources(world, definition, "killed")
    settled(world, definition)
    before = all_rows(world, definition)
    with beside(world, "victim") as (database, start):
        with holding(world, definition.name):
            running = start(world.refresh, definition.table, database=database)
            pid, _ = blocked(world, "victim", running)
            world.rows("select pg_terminate_backend(:pid)", pid=pid)
            with pytest.raises(DatabaseError):
                running.result(PATIENCE_SECONDS)
        assert all_rows(world, definition) == before
    assert last_run(world, definition).status == "failed"
    run = world.refresh(definition.table)
    check_moves(before, all_rows(world, definition), run)
    assert run.counts.updated
    check_same_as_full(world, definition)


def check_committed_meanwhile(world: World, definition: Definition) -> None:
    """What is committed to the inputs while a refresh works is caught by the next one."""
    settled(world, definition)
    world.refresh(definition.table)
    move_sources(world, definition, "before")
    settled(world, definition)
    with beside(world, "slow") as (database, start):
        with holding(world, definition.name):
            running = start(world.refresh, definition.table, database=database)
            blocked(world, "slow", running)
            move_sources(world, definition, "meanwhile")
            settled(world, definition)
        assert running.result(PATIENCE_SECONDS).counts.updated
    stored = all_rows(world, definition)
    unlike = {
        key
        for key, row in computed(world, definition).items()
        if any(stored[key][name] != row[name] for name in definition.compared)
    }
    assert unlike, "the refresh saw what came after its snapshot"
    run = world.refresh(definition.table)
    assert run.mode == ("full" if definition.whole else "incremental")
    assert run.counts.updated == len(unlike), "the next refresh does not catch what came meanwhile"
    check_same_as_full(world, definition)


def check_committed_late(world: World, definition: Definition) -> None:
    """Rows of a read that began before a refresh and commits after it are caught by the next one, whatever clocks say."""
    tables, streams = reached_from(world, definition)
    for table in tables:
        world.refresh(table)
    stream = next(name for name in streams if isinstance(world.streams[name], ListStream))
    key, field = SHAPES[stream].keys[0], SHAPES[stream].fields[0]
    former = world.sources[stream].records[key][field]
    world.apply(Change(stream, key, field, f"Committed late {next(MOVES)}"))
    with beside(world, "late") as (database, start):
        writer = World(world.url, world.definitions, tuple(world.streams.values()))
        writer.database.dispose()
        writer.database, writer.sources = database, world.sources
        with holding(world, "bronze.current_entities"):
            running = start(writer.read, stream)
            blocked(world, "late", running)
            for table in tables:
                world.refresh(table)
        assert running.result(PATIENCE_SECONDS).counts.updated == 1
        writer.dispose()
    for table in tables:
        world.refresh(table)
        check_same_as_full(world, world.definition(table))
    # By this field other tables find the entity, and are moved by it in other tests of the same world.
    world.apply(Change(stream, key, field, former))
    world.read(stream)


def last_run(world: World, definition: Definition) -> Any:
    """The newest run row of a table."""
    return world.rows(
        "select status, error_message from meta.ingestion_runs where source_system = 'silver_transformation' "
        "and entity_type = :table order by run_seq desc limit 1",
        table=definition.table,
    )[0]


def rows_fetched(world: World, definition: Definition, table: str) -> int:
    """How many rows of `table` one full refresh of `definition` fetches, as Postgres counts them. The refresh is kept."""
    with world.database.transaction() as connection:
        apply(connection, definition, Run(subject(definition), "full", run_id=uuid4()), full=True)
        counted = connection.execute(
            text(
                "select coalesce(idx_tup_fetch, 0) + seq_tup_read from pg_stat_xact_user_tables "
                "where relid = cast(:name as regclass)"
            ),
            {"name": table},
        )
        return int(counted.scalar_one_or_none() or 0)
