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
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, text

from lsats_dagster.cli.doctor import explain_database, look_at_database
from lsats_dagster.database import READER, Database, DatabaseError, database_border, release_lock, take_lock
from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.migrations import MigrationError, pending, upgrade
from lsats_dagster.runs import Origin
from lsats_dagster.settings import SQL_ROOT, load_settings
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.engine import refresh
from lsats_dagster_tests.cli.aids import assert_wrong_use, environment, in_process
from lsats_dagster_tests.conftest import DEFINITIONS, Hub, new_database

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
    for definition in DEFINITIONS:
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


def test_a_server_that_lacks_what_we_ask_for_is_too_old(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error as an older server words it."""
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(DatabaseError) as refused, database_border():
        psycopg.connect(url, options="-c no_such_setting=0")
    assert not refused.value.transient
    assert "16 or newer" in explain_database(refused.value, load_settings())


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
