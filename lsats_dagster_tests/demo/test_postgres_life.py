"""The embedded server lives as long as commands use it, tried with real processes that are really killed."""

import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from lsats_dagster.demo.postgres import (
    EmbeddedPostgresError,
    embedded_postgres,
    remove_cluster,
)
from lsats_dagster_tests.demo.postgres_aids import (
    becomes,
    begin,
    cluster_of,
    command,
    count,
    ended,
    folder,
    kill,
    postmaster,
    postmasters,
    watcher,
)


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
        processes = [begin(path / "home") for _ in range(3)]
        urls = [process.stdout.readline() for process in processes if process.stdout]
        assert urls[0].startswith("postgresql://")
        assert set(urls) == {urls[0]}
        home = path / "home"
        assert becomes(lambda: postmasters(home) == [postmaster(home)])
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
            assert becomes(lambda: postmasters(home) == [postmaster(home)])


def test_session_busy_while_its_server_is_killed_does_not_block_the_next(home: Path) -> None:
    with command(home) as (_, url), closing(psycopg.connect(url)) as connection:
        connection.pgconn.send_query(b"do $$ begin loop end loop; end $$")
        busy = connection.info.backend_pid
        kill(postmaster(home))
        with embedded_postgres(home) as server:
            assert ended(busy)
            assert count(server.url("lsats"))


def test_killed_watcher_is_replaced_and_its_server_stays(home: Path) -> None:
    with command(home) as (_, url), psycopg.connect(url) as connection:
        pid = postmaster(home)
        kill(watcher(home))
        with embedded_postgres(home) as server:
            assert server.url("lsats") == url
            assert postmaster(home) == pid
            assert becomes(lambda: postmasters(home) == [pid])
            assert watcher(home)
        assert connection.execute("select 1").fetchone() == (1,)
    assert becomes(lambda: ended(pid))


def test_server_whose_watcher_was_killed_stops_after_the_last_command(home: Path) -> None:
    with embedded_postgres(home):
        pid = postmaster(home)
        kill(watcher(home))
    assert becomes(lambda: ended(pid))


def test_command_that_comes_while_the_server_stops_gets_a_running_one(home: Path) -> None:
    """The stop is held up until the command has come."""
    with embedded_postgres(home):
        pid = postmaster(home)
        os.kill(pid, signal.SIGSTOP)

    def stopping() -> bool:
        lock = cluster_of(home).try_lock("commands.lock")
        if lock is not None:
            os.close(lock)
        return lock is None

    try:
        assert becomes(stopping)
        process = begin(home)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert process.stdout
    assert count(process.stdout.readline().strip())
    assert postmaster(home) != pid
    process.communicate()


def test_command_killed_while_it_makes_the_cluster_leaves_no_half_one() -> None:
    with folder(0o755) as path:
        home = path / "home"
        process = begin(home)
        assert becomes(lambda: bool(list(home.glob("postgres/new-*"))))
        process.kill()
        process.communicate()
        with embedded_postgres(home) as server, psycopg.connect(server.url("lsats")) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_command_whose_folder_was_moved_away_ends() -> None:
    with folder(0o755) as path, embedded_postgres(path / "home"):
        kill(postmaster(path / "home"))
        cluster_of(path / "home").folder.rename(path / "moved")


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
