"""Connections to the hub's Postgres: what each one asks for, whatever environment and server say, and locks that end."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import ProgrammingError

from lsats_dagster.cli.doctor import look_at_database
from lsats_dagster.database import (
    READER,
    Database,
    LockTimeoutError,
    UnusableServerError,
    database_border,
    release_lock,
    take_lock,
)
from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.migrations import MigrationError, pending, upgrade
from lsats_dagster.runs import Origin
from lsats_dagster.settings import SQL_ROOT, load_settings
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.engine import refresh
from lsats_dagster_tests import wire
from lsats_dagster_tests.cli.aids import assert_wrong_use, environment, in_process
from lsats_dagster_tests.conftest import DEFINITIONS, Hub, new_database
from lsats_dagster_tests.hubs import FEW_TABLES

# Each wait ends as soon as what it waits for has happened. Only a test that fails waits so long.
PATIENCE = 60
NAME = "École – x"


@pytest.fixture
def url(emptied_database: Callable[[], str]) -> str:
    return emptied_database()


def alter_database(server: EmbeddedPostgres, url: str, setting: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"alter database {url.rpartition('/')[2]} set {setting}")


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    database = Database(url)
    with database.connect() as connection:
        yield connection
    database.dispose()


def test_text_comes_back_whatever_encoding_environment_and_database_ask_for(
    server: EmbeddedPostgres, url: str, campus: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    alter_database(server, url, "client_encoding = 'LATIN1'")
    key, code = campus.add("tdx/department"), "100999"
    campus.put("tdx/department", key, {"Code": code, "Name": NAME})
    hub = Hub(Database(url), campus)
    hub.run(next(stream for stream in STREAMS if stream.name == "tdx/department"))
    for definition in FEW_TABLES:
        refresh(hub.database, definition, origin=Origin(), lock_wait_seconds=PATIENCE)
    reader = Database(url, role=READER, read_only=True)
    with reader.transaction() as connection:
        assert connection.execute(
            text("select department_name from silver.v_departments where dept_id = :code"), {"code": code}
        ).scalars().all() == [NAME]  # fmt: skip
    assert hub.rows(
        "select convert_to(raw_data ->> 'Name', 'UTF8') from bronze.raw_entities where external_id = :key", key=key
    ) == [(NAME.encode(),)]
    reader.dispose()
    hub.database.dispose()


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "SQL_ASCII", "EUC_JP"])
def test_a_database_in_another_encoding_is_refused(
    server: EmbeddedPostgres, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database(server, template=f"template0 encoding '{encoding}' locale 'C'")
    database = Database(url, role=None)
    with pytest.raises(MigrationError, match=rf"encoding {encoding}\b.*encoding 'UTF8'") as refused:
        upgrade(database, SQL_ROOT, STREAMS, DEFINITIONS)
    assert len(str(refused.value).splitlines()) == 1
    with database.transaction() as connection:
        assert connection.execute(text("select to_regnamespace('meta')")).scalar_one() is None
        with pytest.raises(MigrationError, match=re.escape(str(refused.value))):
            pending(connection, SQL_ROOT, STREAMS, DEFINITIONS)
    database.dispose()
    monkeypatch.setenv("DATABASE_URL", url)
    faults = [finding for finding in look_at_database(load_settings()) if finding.state != "ok"]
    assert [(fault.about, fault.state, fault.sentence) for fault in faults] == [
        ("database", "fault", str(refused.value))
    ]
    if encoding == "LATIN1":
        done = in_process("db", "upgrade", folder=tmp_path, variables=environment(tmp_path, DATABASE_URL=url))
        assert_wrong_use(done, str(refused.value))


def test_a_server_that_lacks_what_we_ask_for_is_too_old(url: str) -> None:
    """An error as an older server words it."""
    with pytest.raises(UnusableServerError, match="16 or newer") as refused, database_border():
        psycopg.connect(url, options="-c no_such_setting=0")
    assert not refused.value.transient


def refused_first(address: str, folder: Path, *words: str) -> None:
    """Commands say so, and nothing else."""
    for command in (("db", "upgrade"), ("doctor",), ("doctor", "--json")):
        variables = environment(folder, DATABASE_URL=address, DAGSTER_PG_DATABASE="dagster")
        done = in_process(*command, folder=folder, variables=variables)
        assert_wrong_use(done, *words)
        assert done.stdout == ""


def test_an_older_server_is_refused_before_anything_else(url: str, tmp_path: Path) -> None:
    """Also by one that does not know the hub's roles."""

    def without_roles(asked: dict[str, str]) -> dict[str, str]:
        return {name: value.replace("role=lsats_writer", "role=no_such_role") for name, value in asked.items()}

    older = wire.of_version("15.18 (Debian 15.18-0+deb12u1)")
    with wire.proxy(url, answer=older, startup=without_roles) as address:
        refused_first(address, tmp_path, "Postgres 15.18 is too old", "Postgres 16 or newer")


POOLERS: dict[str, dict[str, Any]] = {
    "drops options": {"startup": wire.without_options},
    "shares sessions": {"answer": wire.with_a_key_of_its_own},
    # As the login's own settings would make up for.
    "drops options, and the role is given otherwise": {"startup": lambda asked: asked | {"options": "-c role=lsats_writer"}},
}  # fmt: skip


@pytest.mark.parametrize("pooler", POOLERS)
def test_a_pooler_is_refused_so_that_no_two_runs_write_through_it(
    url: str, campus: Campus, pooler: str, tmp_path: Path
) -> None:
    with wire.proxy(url, **POOLERS[pooler]) as address:
        for asked in ({}, {"role": READER, "read_only": True}, {"role": None}):
            database = Database(address, **asked)
            with pytest.raises(UnusableServerError, match=r"PgBouncer.*Postgres itself") as refused, database.connect():
                pass
            assert not refused.value.transient
            assert len(str(refused.value).splitlines()) == 1
            database.dispose()
        runs = [Hub(Database(address), campus) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            ended = [pool.submit(run.run, STREAMS[0]) for run in runs]
            assert {type(one.exception()) for one in ended} == {UnusableServerError}
        for run in runs:
            run.database.dispose()
        refused_first(address, tmp_path, "PgBouncer")
    direct = Hub(Database(url), campus)
    assert direct.rows("select 1 from bronze.raw_entities union all select 1 from meta.ingestion_runs") == []
    direct.database.dispose()


def test_a_proxy_that_hands_everything_on_is_none_of_these(url: str) -> None:
    with wire.proxy(url) as address:
        database = Database(address, role=READER, read_only=True)
        with database.connect() as connection:
            assert connection.exec_driver_sql("select current_user").scalar_one() == READER
        database.dispose()


def test_whoever_holds_a_lock_is_named(url: str, connection: Connection) -> None:
    """By process and login, also where it is no run of the hub."""
    with psycopg.connect(url) as stranger, psycopg.connect(url) as other:
        stranger.execute("select pg_advisory_lock(hashtextextended('lsats:example', 0))")
        other.execute("select pg_advisory_lock(1)")
        with pytest.raises(LockTimeoutError) as refused:
            take_lock(connection, "example", 0)
        assert f"(pid {stranger.info.backend_pid} of login {stranger.info.user})" in str(refused.value)


FORGED = {
    "log": (
        "bronze.raw_entities (seq, source_system, entity_type, external_id, change, raw_data, entity_hash, hash_version, "
        "ingestion_run_id)",
        "999999, 'tdx', 'department', 'x', 'new', '{}', '', 1, gen_random_uuid()",
    ),
    "runs": ("meta.ingestion_runs (run_seq, source_system, entity_type, mode)", "999999, 'tdx', 'department', 'full'"),
}  # fmt: skip


@pytest.mark.parametrize("table", FORGED)
def test_numbers_of_the_history_come_from_the_server_alone(connection: Connection, table: str) -> None:
    target, row = FORGED[table]
    with pytest.raises(ProgrammingError, match="permission denied"):
        connection.exec_driver_sql(f"insert into {target} overriding system value values ({row})")
    connection.rollback()
    driver: Any = connection.connection.driver_connection
    with pytest.raises(psycopg.errors.InsufficientPrivilege), driver.cursor().copy(f"copy {target} from stdin"):
        pass
    driver.rollback()
    name, _, columns = target.partition(" (")
    number = columns.partition(",")[0]
    with pytest.raises(ProgrammingError, match="permission denied"):
        connection.exec_driver_sql(f"update {name} set {number} = default")


def test_no_setting_of_others_makes_the_hub_refuse_its_own_session(
    server: EmbeddedPostgres, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a session says at its start wins over environment, server and database."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    database = Database(url)
    try:
        alter_database(server, url, "client_encoding = 'LATIN1'")
        for setting in ("idle_session_timeout", "idle_in_transaction_session_timeout"):
            alter_database(server, url, f"{setting} = '1min'")
        with database.transaction() as connection:
            assert connection.exec_driver_sql("show client_encoding").scalar_one() == "UTF8"
    except UnusableServerError as refusal:
        pytest.fail(str(refusal))
    finally:
        database.dispose()


def test_every_connection_asks_for_keepalives_and_no_idle_limit(connection: Connection) -> None:
    expected = {
        "client_encoding": "UTF8", "idle_session_timeout": "0", "idle_in_transaction_session_timeout": "0",
        "tcp_keepalives_idle": "60", "tcp_keepalives_interval": "15", "tcp_keepalives_count": "4",
        "tcp_user_timeout": "120000",
    }  # fmt: skip
    assert {name: connection.exec_driver_sql(f"show {name}").scalar_one() for name in expected} == expected
    # Of the two sides each sees only the other one vanish.
    driver: Any = connection.connection.driver_connection
    with socket.socket(fileno=os.dup(driver.fileno())) as ours:
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 120_000}
        for name, value in options.items():
            if hasattr(socket, name):  # Linux has them all
                assert ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value, name


@pytest.mark.parametrize(
    ("setting", "in_transaction"),
    [("idle_session_timeout", False), ("idle_in_transaction_session_timeout", True)],
)
def test_a_session_that_holds_a_lock_outlasts_the_servers_idle_limit(
    server: EmbeddedPostgres, url: str, setting: str, in_transaction: bool
) -> None:
    alter_database(server, url, f"{setting} = '1s'")
    database = Database(url)
    with database.connect() as connection:
        take_lock(connection, "example", PATIENCE)
        if in_transaction:
            connection.execute(text("select 1"))
        # Another session, idle for a shorter time, is ended by the server.
        with psycopg.connect(url, autocommit=not in_transaction) as other:
            other.execute("select 1")
            assert select.select([other.fileno()], [], [], PATIENCE)[0]
            with pytest.raises(psycopg.Error, match="idle"):
                other.execute("select 1")
        assert connection.execute(
            text("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
        ).scalar_one() == 1  # fmt: skip
        release_lock(connection, "example")
    database.dispose()


WAITER = f"""
import os, signal, sys
from lsats_dagster.database import Database, take_lock

class StepStopped(BaseException):
    'Of the kind that Dagster raises in a step.'

def stop(*_):
    raise {{'lsats': KeyboardInterrupt, 'step': StepStopped}}[sys.argv[1]]

for name in (signal.SIGINT, signal.SIGTERM):
    signal.signal(name, stop)
database = Database(os.environ["DATABASE_URL"], application="waiter")
try:
    with database.connect() as connection:
        take_lock(connection, "example", {PATIENCE})
except (KeyboardInterrupt, StepStopped):
    print("stopped", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("process", "sent"), [("lsats", signal.SIGINT), ("lsats", signal.SIGTERM), ("step", signal.SIGTERM)]
)
def test_an_interrupt_ends_the_wait_for_a_lock(
    url: str, connection: Connection, process: str, sent: signal.Signals
) -> None:
    take_lock(connection, "example", PATIENCE)
    waiter = subprocess.Popen(
        [sys.executable, "-c", WAITER, process],
        env=os.environ | {"DATABASE_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert waiter.stdin is not None
    assert waiter.stdout is not None
    try:
        while not connection.execute(text("select count(*) from pg_locks where not granted")).scalar_one():
            assert waiter.poll() is None
            time.sleep(0.05)
        waiter.send_signal(sent)
        assert waiter.stdout.readline() == "stopped\n"
        # The process is still there, and neither holds the lock nor is next in the line.
        release_lock(connection, "example")
        take_lock(connection, "example", PATIENCE)
        waiter.stdin.close()
        assert waiter.wait(PATIENCE) == 0
    finally:
        waiter.kill()
        waiter.wait()


def test_an_interrupt_behind_the_wait_gives_the_lock_back(url: str, connection: Connection) -> None:
    database = Database(url)

    def interrupt(_connection: Connection) -> None:
        raise KeyboardInterrupt

    with database.connect() as stopped:
        event.listen(stopped, "commit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            take_lock(stopped, "example", PATIENCE)
    take_lock(connection, "example", PATIENCE)
    database.dispose()
