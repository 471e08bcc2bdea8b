"""`lsats dev`: Dagster on the configured database, as long as it is wanted, with the settings of the caller's folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lsats_dagster.demo.campus import Campus
from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.automation.aids import PATIENCE, wait_until
from lsats_dagster_tests.cli.aids import LSATS, Lsats, assert_wrong_use


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_dev_refuses_a_port_in_use(lsats: Lsats) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_wrong_use(lsats("dev", "--port", port), port, "--port")


def processes_of(mark: str) -> list[int]:
    """Processes that have the variable LSATS_HOME with this value: whatever a command left."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                alive = (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            except OSError:
                continue
            if alive and f"LSATS_HOME={mark}".encode() in environment:
                found.append(int(folder.name))
    return found


def kill_processes_of(mark: str, *but: int) -> None:
    """Only what carries this test's own folder in its environment."""
    for process in set(processes_of(mark)) - {*but}:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def variables_of(process: int) -> Set[tuple[str, str]]:
    """The environment that a process was started with."""
    pairs = Path(f"/proc/{process}/environ").read_text().split("\0")
    return {(name, value) for name, _, value in (pair.partition("=") for pair in pairs)}


def interrupt_terminal(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C: the terminal tells the whole group."""
    os.killpg(process.pid, signal.SIGINT)


def terminate(process: subprocess.Popen[bytes]) -> None:
    """A service manager or a script: the command alone is told."""
    os.kill(process.pid, signal.SIGTERM)


@pytest.mark.budget(12, "Dagster's launcher, web server and daemon, each a process")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
@pytest.mark.parametrize("end", [interrupt_terminal, terminate])
def test_dev_answers_and_ends_without_a_trace(
    variables: dict[str, str], campus: Campus, tmp_path: Path, end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    """The sources stand in the file of the caller's folder alone, beside a line as the example has it."""
    (tmp_path / ".env").write_text("DATABASE_URL=\n" + "".join(f"{n}={v}\n" for n, v in campus.environment.items()))
    variables = {name: value for name, value in variables.items() if name not in campus.environment}
    port = free_port()
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [str(LSATS), "dev", "--port", str(port)], cwd=tmp_path, env={**variables, "PYTHONPATH": str(REPOSITORY)},
            stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: process.poll() is not None or answers(port), "an answer of the web server")
        assert process.poll() is None, (tmp_path / "said").read_text()
        # The command, Dagster's launcher, its web server, its daemon.
        assert len(processes_of(variables["LSATS_HOME"])) >= 4
        for child in set(processes_of(variables["LSATS_HOME"])) - {process.pid}:
            assert variables_of(child) >= {**variables, **campus.environment}.items()
            # Where Dagster finds no file of its own.
            assert not Path(f"/proc/{child}/cwd/.env").exists()
        end(process)
        assert process.wait(timeout=PATIENCE) == 0
        wait_until(lambda: not processes_of(variables["LSATS_HOME"]), "the end of everything that was started")
        assert not answers(port)
    finally:
        kill_processes_of(variables["LSATS_HOME"])
        process.wait(timeout=PATIENCE)


@pytest.mark.budget(8, "Dagster's launcher, web server and daemon, each a process")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_dev_says_when_dagster_ends_by_itself(variables: dict[str, str], tmp_path: Path) -> None:
    """Killed as soon as it is there."""
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [str(LSATS), "dev", "--port", str(free_port())], cwd=tmp_path, env=variables, stdout=said, stderr=said
        )

    def ended() -> bool:
        kill_processes_of(variables["LSATS_HOME"], process.pid)
        return process.poll() is not None

    try:
        wait_until(ended, "the end of the command")
        assert process.returncode == 1
    finally:
        kill_processes_of(variables["LSATS_HOME"])
        process.wait(timeout=PATIENCE)
    assert "❌ Dagster ended by itself" in (tmp_path / "said").read_text()


def answers(port: int) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=PATIENCE) as answer:
            return json.load(answer)["dagster_version"]
    except (OSError, ValueError):
        return None
