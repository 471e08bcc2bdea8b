"""`lsats dev`: Dagster on the configured database, as long as it is wanted, with the settings of the caller's folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import pytest

from lsats_dagster.demo.campus import Campus
from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.automation.aids import wait_until
from lsats_dagster_tests.cli.test_cli import LSATS, Lsats, assert_wrong_use


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


def variables_of(process: int) -> Set[tuple[str, str]]:
    """The environment that a process was started with."""
    pairs = Path(f"/proc/{process}/environ").read_text().split("\0")
    return {(name, value) for name, _, value in (pair.partition("=") for pair in pairs)}


def interrupt_terminal(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C: the terminal tells the whole group."""
    os.killpg(process.pid, signal.SIGINT)


def interrupt_alone(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGINT)


def terminate(process: subprocess.Popen[bytes]) -> None:
    """A service manager or a script: the command alone is told."""
    os.kill(process.pid, signal.SIGTERM)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
@pytest.mark.parametrize("end", [interrupt_terminal, interrupt_alone, terminate])
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
        assert process.wait(timeout=60) == 0
        wait_until(lambda: not processes_of(variables["LSATS_HOME"]), "the end of everything that was started")
        assert not answers(port)
    finally:
        # Only what carries this test's own folder in its environment.
        for left in processes_of(variables["LSATS_HOME"]):
            os.kill(left, signal.SIGKILL)
        process.wait(timeout=20)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_dev_says_when_dagster_ends_by_itself(variables: dict[str, str], tmp_path: Path) -> None:
    """Killed before it has children of its own."""
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [str(LSATS), "dev", "--port", str(free_port())], cwd=tmp_path, env=variables, stdout=said, stderr=said
        )
    try:
        others: set[int] = set()
        while process.poll() is None and not others:
            others = set(processes_of(variables["LSATS_HOME"])) - {process.pid}
        for other in others:
            os.kill(other, signal.SIGKILL)
        assert process.wait(timeout=20) == 1
    finally:
        process.kill()
    assert "❌ Dagster ended by itself" in (tmp_path / "said").read_text()


def answers(port: int) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=2) as answer:
            return json.load(answer)["dagster_version"]
    except (OSError, ValueError):
        time.sleep(0.2)
        return None
