"""The `lsats` command for tests: in this process, which costs a tenth, or as the installed program."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import make_url, text

from lsats_dagster.cli import main
from lsats_dagster.cli.hub import Hub, whole
from lsats_dagster.database import Database
from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.automation.aids import PATIENCE
from lsats_dagster_tests.hubs import LSATS_OF_FEW, on

LSATS = Path(sys.executable).with_name("lsats")
PASSWORD = "canary-of-a-password"

Lsats = Callable[..., subprocess.CompletedProcess[str]]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of this process's environment, and an LSATS_HOME in the folder."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LSATS_HOME": str(folder / "home"), **more}


def installed(*arguments: str, folder: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The installed program, in a process of its own."""
    return subprocess.run(
        [str(LSATS), *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=PATIENCE, check=False
    )  # fmt: skip


def of_few(*arguments: str, folder: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The same on the hub of three streams, by the code of this checkout."""
    return subprocess.run(
        [*LSATS_OF_FEW, *arguments], cwd=folder, env={"PYTHONPATH": str(REPOSITORY), **variables}, capture_output=True,
        text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def in_process(
    *arguments: str, folder: Path, variables: Mapping[str, str], hub: Hub | None = None
) -> subprocess.CompletedProcess[str]:
    """The program's entry point as a process of its own would see it: words, environment, folder, output, exit code.

    hub: what it works on, all that is declared unless given.
    """
    with (
        tempfile.TemporaryFile("w+", encoding=variables.get("PYTHONIOENCODING", "utf-8")) as out,
        tempfile.TemporaryFile("w+", encoding=variables.get("PYTHONIOENCODING", "utf-8")) as err,
        mock.patch.dict(os.environ, variables, clear=True),
        mock.patch.object(sys, "argv", ["lsats", *arguments]),
        contextlib.chdir(folder),
        undone(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = 0
        try:
            on(hub or whole(), main)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        said = []
        for stream in (out, err):
            stream.seek(0)
            said.append(stream.read())
    return subprocess.CompletedProcess(arguments, code, *said)


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """What the entry point sets for its whole process is as before after the block: signals and logging."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    loggers = [
        (log, log.handlers[:], log.level, log.propagate) for log in map(logging.getLogger, ("", "lsats_dagster"))
    ]
    try:
        yield
    finally:
        for number, handler in signals.items():
            signal.signal(number, handler)
        for log, handlers, level, propagate in loggers:
            log.handlers[:] = handlers
            log.setLevel(level)
            log.propagate = propagate


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def dagsters(url: str, database: str = "dagster") -> str:
    """The address of Dagster's storage on the server and by the login of this one."""
    address = make_url(url).set(drivername="postgresql+psycopg2", database=database)
    return address.render_as_string(hide_password=False)


def end_runs(url: str) -> None:
    """Of Dagster's storage on this server: a run that an earlier test killed, or never let begin, holds up no other any more."""
    if rows(url, "select from pg_database where datname = 'dagster'"):
        storage = dagsters(url)
        if rows(storage, "select to_regclass('runs')") != [(None,)]:
            rows(
                storage,
                "update runs set status = 'CANCELED' where status not in ('SUCCESS', 'FAILURE', 'CANCELED') returning 1",
            )


def rows(url: str, sql: str) -> list[Any]:
    database = Database(url, role=None)
    try:
        with database.transaction() as connection:
            return list(connection.execute(text(sql)).all())
    finally:
        database.dispose()


def assert_wrong_use(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2 and one sentence on stderr, which holds `words` and no secret; no traceback."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("❌ ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert [word for word in words if word not in done.stderr] == []
    assert PASSWORD not in done.stdout + done.stderr
