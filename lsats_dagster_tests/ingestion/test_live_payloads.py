"""The last payload of each record: what an upgrade carries over, what a run of details leaves, and what finding it costs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lsats_dagster.database import WHOLE_TABLES, Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.views import view_statements
from lsats_dagster.migrations import upgrade
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster_tests.conftest import new_database
from lsats_dagster_tests.ingestion.memory import Things

MIGRATION = "0012_live_payloads.sql"
LIVE_VERSION = """(
    select r.raw_id from bronze.raw_entities r
    where (r.source_system, r.entity_type, r.external_id) = (c.source_system, c.entity_type, c.external_id)
        and r.change <> 'removed'
    order by r.seq desc limit 1
)"""
# What the view of a stream was before.
FORMER_VIEW = """
select c.external_id, r.raw_id, c.seq, r.seq as live_seq, c.first_seq, r.raw_data as payload, c.removed_at is null as is_present,
    c.first_seen_at, c.changed_at, c.removed_at
from bronze.current_entities c
join bronze.raw_entities r on r.raw_id = c.live_raw_id
order by c.external_id
"""
VIEW = "select * from bronze.things order by external_id"


def lived_through(things: Things) -> None:
    """Records of one and of several versions, removed ones, one that returned, and one that changed as it did."""
    things.ingest()
    for day in range(2):
        for number in (1, 2, 3):
            things.listed[number] = {"ID": number, "Name": f"Day {day}"}
        things.ingest()
    gone = [things.listed.pop() for _ in range(3)]
    things.listed = [thing for thing in things.listed if thing["ID"] != 2]
    things.ingest()
    things.listed += [gone[0], gone[1] | {"Name": "Returned"}]
    things.ingest()


def sql_before(migration: str, folder: Path) -> Path:
    """A copy of `sql` from before a migration, without silver."""
    former = shutil.copytree(SQL_ROOT, folder / "sql")
    for path in (former / "views").glob("*.sql"):
        path.write_text("select 1 as example")
    for path in (former / "migrations").glob("*.sql"):
        if path.name >= migration:
            path.unlink()
    return former


def rows(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(sql.encode()).fetchall()


def test_an_upgrade_carries_over_what_a_hub_has_lived_through(
    hub: Database, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    things = Things(hub, 30)
    lived_through(things)
    former = sql_before(MIGRATION, tmp_path)
    url = new_database(server, template="template1")
    database = Database(url, role=None)
    upgrade(database, former, (), ())
    lived = hub.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(lived) as source, psycopg.connect(url) as target:
        for table, columns in (
            ("raw_entities", "raw_id, seq, source_system, entity_type, external_id, change, raw_data, entity_hash, hash_version, "
             "ingested_at, ingestion_run_id"),
            ("current_entities", "source_system, entity_type, external_id, raw_id, seq, live_raw_id, first_seq, entity_hash, "
             "hash_version, first_seen_at, changed_at, removed_at"),
        ):  # fmt: skip
            selected = columns.replace("live_raw_id", LIVE_VERSION)
            with (
                source.cursor().copy(f"copy (select {selected} from bronze.{table} c) to stdout".encode()) as read,
                target.cursor().copy(f"copy bronze.{table} ({columns}) from stdin".encode()) as write,
            ):
                for block in read:
                    write.write(block)
    before = rows(url, FORMER_VIEW)
    assert [row[0] for row in before if not row[6]] == ["2", "27"], "removed ones are among them"
    shutil.copytree(SQL_ROOT / "migrations", former / "migrations", dirs_exist_ok=True)
    assert upgrade(database, former, (things.stream,), ()).applied[0] == MIGRATION
    assert rows(url, VIEW) == before
    live = "select external_id, raw_id, seq, live_seq from bronze.current_entities order by external_id"
    assert rows(url, live) == rows(lived, live), "as if it had been there from the beginning"
    database.dispose()


def test_a_tombstone_between_two_answers_leaves_the_payload(hub: Database) -> None:
    """A run of details writes tombstones and payloads in turn; of what is removed the last payload stays to be read."""
    things = Things(hub, 150)
    things.ingest()
    things.enrich()
    del things.listed[0]
    things.ingest()
    things.fetch = lambda _, key: None if key == "0" else {"ID": key, "Text": "Newer"}  # type: ignore[method-assign]
    # All are due again, what is gone first; the answers come in two portions.
    run = things.enrich(full=True)
    assert (run.counts.removed, run.counts.updated) == (1, 149)
    assert things.payload("0", "thing_detail") == {"ID": "0", "Text": "Detail of 0"}


@contextmanager
def seen_by_view(things: Things) -> Iterator[psycopg.Connection[Any]]:
    """A connection on which the view of these things stands, and nobody else sees it."""
    url = things.hub.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        for statement in view_statements(things.stream):
            connection.execute(statement.encode())
        yield connection
        connection.rollback()


@pytest.mark.parametrize("analyzed", [False, True])
def test_reading_a_view_reads_no_history(hub: Database, analyzed: bool) -> None:
    things = Things(hub, 100)
    for day in range(5):
        things.listed = [{"ID": thing["ID"], "Name": f"Day {day}"} for thing in things.listed]
        things.ingest()
    with seen_by_view(things) as connection:
        if analyzed:
            connection.execute("analyze bronze.raw_entities, bronze.current_entities")
        read = "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'raw_entities'"
        before = connection.execute(read).fetchone()
        found = connection.execute("select payload ->> 'Name', count(*) from bronze.things group by 1").fetchall()
        after = connection.execute(read).fetchone()
    assert found == [("Day 4", 100)]
    assert before is not None
    assert after is not None
    assert after[0] - before[0] == 100


def test_a_view_is_read_in_parallel(hub: Database) -> None:
    """As a refresh of a whole table does; what stands below a row of another query never is."""
    things = Things(hub, 100)
    things.ingest()
    with seen_by_view(things) as connection:
        connection.execute("set parallel_setup_cost = 0; set parallel_tuple_cost = 0")
        connection.execute(WHOLE_TABLES.encode())
        plan = connection.execute("explain select payload ->> 'Name' from bronze.things").fetchall()
    assert plan[0][0].startswith("Gather")
