"""`lsats dev`: Dagster on the configured database, as long as it is wanted, with the settings of the caller's folder."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError

import pytest

from lsats_dagster.demo.campus import Campus
from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.automation.aids import PATIENCE, wait_until
from lsats_dagster_tests.cli.aids import LSATS, Lsats, assert_wrong_use, free_port

LAUNCH = """mutation { launchRun(executionParams: { mode: "default", runConfigData: "{}", selector: {
    repositoryLocationName: "lsats_dagster", repositoryName: "__repository__", jobName: "hub_daily" } }) { __typename } }"""
STATUS = "{ runsOrError { ... on Runs { results { status } } } }"


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


def close_terminal(process: subprocess.Popen[bytes]) -> None:
    """The terminal's last word to the group."""
    os.killpg(process.pid, signal.SIGHUP)


def terminate(process: subprocess.Popen[bytes]) -> None:
    """A service manager or a script: the command alone is told."""
    os.kill(process.pid, signal.SIGTERM)


def hear_hangups() -> None:
    """Under nohup the tests do not hear them, and what they start would not either."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.budget(16, "Dagster's web server and daemon, each with a process for the code, and a run")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
@pytest.mark.parametrize("end", [interrupt_terminal, close_terminal, terminate])
def test_dev_answers_and_ends_without_a_trace(
    variables: dict[str, str], campus: Campus, tmp_path: Path, end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    """With a run under way. The sources stand in the file of the caller's folder alone, beside a line as the example has it."""
    (tmp_path / ".env").write_text("DATABASE_URL=\n" + "".join(f"{n}={v}\n" for n, v in campus.environment.items()))
    variables = {name: value for name, value in variables.items() if name not in campus.environment}
    said = tmp_path / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [str(LSATS), "dev", "--port", str(free_port())], cwd=tmp_path, env={**variables, "PYTHONPATH": str(REPOSITORY)},
            stdout=output, stderr=output, start_new_session=True, preexec_fn=hear_hangups,
        )  # fmt: skip
    try:
        wait_until(lambda: process.poll() is not None or status("".join(address(said))), "an answer of the web server")
        assert process.poll() is None, said.read_text()
        host, secret = address(said)
        assert (status(f"{host}{secret}/server_info"), status(f"{host}/server_info")) == (200, 403)
        # The command, Dagster's web server, its daemon.
        assert len(processes_of(variables["LSATS_HOME"])) >= 3
        for child in set(processes_of(variables["LSATS_HOME"])) - {process.pid}:
            assert variables_of(child) >= {**variables, **campus.environment}.items()
            # Where Dagster finds no file of its own.
            assert not Path(f"/proc/{child}/cwd/.env").exists()
        assert "LaunchRunSuccess" in ask(host, secret, LAUNCH)
        wait_until(lambda: "QUEUED" not in ask(host, secret, STATUS), "the start of the run")
        end(process)
        assert process.wait(timeout=PATIENCE) == 0
        assert processes_of(variables["LSATS_HOME"]) == []
    finally:
        kill_processes_of(variables["LSATS_HOME"])
        process.wait(timeout=PATIENCE)


@pytest.mark.budget(8, "Dagster's web server and daemon, each with a process for the code")
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


def address(said: Path) -> tuple[str, str]:
    """The UI's address as the command printed it: the host, and the secret part."""
    printed = re.search(r"(http://127\.0\.0\.1:\d+)(/[0-9a-f]{32}) ", said.read_text())
    return (printed[1], printed[2]) if printed else ("", "")


def ask(host: str, secret: str, query: str) -> str:
    """The answer to a GraphQL query, asked as the UI's pages do."""
    headers = {"Content-Type": "application/json", "Origin": host}
    body = json.dumps({"query": query}).encode()
    with urllib.request.urlopen(
        urllib.request.Request(f"{host}{secret}/graphql", body, headers), timeout=PATIENCE
    ) as answer:
        return str(answer.read().decode())


def status(url: str) -> int | None:
    """None where nothing listens."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return int(answer.status)
    except HTTPError as refusal:
        return refusal.code
    except (OSError, ValueError):
        return None
