"""A hub database that a test took before is for the next test as good as a new one, whatever was done to it."""

import contextlib
import select
import threading
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from lsats_dagster.database import Database, DatabaseError, take_lock
from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres, cluster_folder, embedded_postgres
from lsats_dagster.runs import Origin
from lsats_dagster.transforms.engine import refresh
from lsats_dagster_tests.conftest import Hub, new_database
from lsats_dagster_tests.contracts.stream_cases import (
    quick,
    roomy,
)
from lsats_dagster_tests.contracts.stream_states import dump
from lsats_dagster_tests.databases import HubDatabases, own_server, shape
from lsats_dagster_tests.hubs import FEW_STREAMS, FEW_TABLES


def identity(url: str) -> int:
    """What a database keeps under every name."""
    database = Database(url)
    with database.transaction() as connection:
        found = connection.execute(text("select oid from pg_database where datname = current_database()"))
        oid = int(found.scalar_one())
    database.dispose()
    return oid


def test_a_server_of_its_own_holds_nothing_of_a_killed_run_and_leaves_nothing(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path) as left, psycopg.connect(left.url("postgres"), autocommit=True) as connection:
        connection.execute("create role left_behind")
    with own_server(tmp_path) as server, psycopg.connect(server.url("postgres")) as connection:
        assert connection.execute("select from pg_roles where rolname = 'left_behind'").fetchall() == []
    assert cluster_folder(tmp_path) is None


def test_an_emptied_database_is_the_same_one_and_holds_what_a_new_one_holds(
    server: EmbeddedPostgres, campus: Campus
) -> None:
    databases = HubDatabases(server)
    first = quick(Hub(Database(databases.emptied(0)), roomy(campus)))
    oid = identity(first.database.url.render_as_string(hide_password=False))
    for stream in FEW_STREAMS:
        first.run(stream)
    for definition in FEW_TABLES:
        refresh(first.database, definition, origin=Origin(), lock_wait_seconds=10)
    filled = dump(first)
    url = databases.emptied(0)
    assert identity(url) == oid
    again, new = Hub(Database(url), campus), Hub(Database(new_database(server)), campus)
    assert dump(again) == dump(new) != filled
    for hub in (first, again, new):
        hub.database.dispose()


def test_what_a_test_left_open_neither_blocks_nor_reaches_the_database_again(server: EmbeddedPostgres) -> None:
    databases = HubDatabases(server)
    url = databases.emptied(0)
    oid, left, locking = identity(url), Database(url), Database(url, role=None)
    with locking.connect() as idle, left.connect() as holder:
        idle.exec_driver_sql("lock table bronze.raw_entities in access exclusive mode")
        take_lock(holder, "example", 10)
        assert identity(databases.emptied(0)) == oid
        for ended in (idle, holder):
            ended.invalidate()
        with pytest.raises(DatabaseError, match="does not exist"), left.connect():
            pass
    left.dispose()
    locking.dispose()


def test_a_thread_that_comes_back_is_kept_out(server: EmbeddedPostgres) -> None:
    databases = HubDatabases(server)
    url = databases.emptied(0)
    oid = identity(url)
    came, over = threading.Event(), threading.Event()

    def come_back() -> None:
        while not over.is_set():
            with contextlib.suppress(psycopg.Error), psycopg.connect(url) as connection:
                came.set()
                select.select([connection.fileno()], [], [], 30)  # until the server ends the session

    thread = threading.Thread(target=come_back)
    thread.start()
    try:
        came.wait()
        assert identity(databases.emptied(0)) == oid
    finally:
        over.set()
        thread.join()


def test_each_number_is_a_database_of_its_own(server: EmbeddedPostgres) -> None:
    databases = HubDatabases(server)
    assert identity(databases.emptied(0)) != identity(databases.emptied(1))


def test_every_alteration_is_seen(server: EmbeddedPostgres) -> None:
    url = new_database(server)
    statements = [
        "alter table bronze.current_entities set (autovacuum_enabled = off)",
        "alter table bronze.raw_entities alter column external_id set statistics 1",
        "alter table bronze.raw_entities alter column ingestion_metadata set default '[]'",
        "alter table bronze.raw_entities add constraint odd check (external_id <> '15')",
        "alter table bronze.raw_entities disable trigger append_only",
        "alter view meta.current_ingestion_status set schema silver",
        "create or replace view silver.v_departments as select * from silver.v_departments where false",
        "create or replace function bronze.refuse_rewrite() returns trigger language plpgsql as 'begin return null; end'",
        "create schema example",
        "alter default privileges in schema silver grant delete on tables to lsats_writer",
        f"alter database {url.rpartition('/')[2]} set jit = on",
        f"revoke all on database {url.rpartition('/')[2]} from public",
        "delete from meta.schema_migrations",
        "update meta.silver_definitions set definition_hash = 'older'",
        "delete from meta.deployed_views",
        "delete from curated.flag_deductions",
    ]
    with psycopg.connect(url) as connection:
        untouched = shape(connection)
        unseen = []
        for statement in statements:
            connection.execute(statement.encode())
            if shape(connection) == untouched:
                unseen.append(statement)
            connection.rollback()
        assert unseen == []
        # A temporary table alters nothing.
        connection.execute("create temporary table example (a integer default 1 primary key) on commit drop")
        connection.commit()
        assert shape(connection) == untouched


def test_an_altered_database_is_replaced(server: EmbeddedPostgres) -> None:
    databases = HubDatabases(server)
    url = databases.emptied(0)
    oid = identity(url)
    with psycopg.connect(url) as connection:
        connection.execute("drop table silver.tdx_departments cascade")
    replacement = identity(databases.emptied(0))
    assert replacement != oid
    assert identity(databases.emptied(0)) == replacement
