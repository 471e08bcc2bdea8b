"""What the tests of the commands share: the command on a hub of its own, and the same hub in this process."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster_tests.automation.aids import Operation
from lsats_dagster_tests.cli.test_cli import LSATS, Lsats
from lsats_dagster_tests.conftest import new_database


@pytest.fixture
def url(server: EmbeddedPostgres) -> str:
    return new_database(server)


@pytest.fixture
def variables(url: str, campus: Campus, tmp_path: Path) -> dict[str, str]:
    """The whole environment of a command."""
    campus.limit("tdx", 100_000, 60)
    return {
        **campus.environment, "DATABASE_URL": url, "DAGSTER_PG_DATABASE": "dagster", "HTTP_READ_SECONDS": "5",
        "HTTP_CONNECT_SECONDS": "2", "HTTP_ANSWER_SECONDS": "8", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path),
        "LSATS_HOME": str(tmp_path / "home"), "ALERT_WEBHOOK_URL": "http://127.0.0.1:1/nobody",
    }  # fmt: skip


@pytest.fixture
def lsats(variables: dict[str, str], tmp_path: Path) -> Lsats:
    """The command on a hub database and a campus. Keywords set variables; None takes one away."""

    def run(*arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in {**variables, **changes}.items() if value is not None}
        return subprocess.run(
            [str(LSATS), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def operation(
    variables: dict[str, str], url: str, campus: Campus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Operation]:
    """The same hub for runs in this process, which take less time than commands."""
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        if name not in ("PATH", "HOME"):
            monkeypatch.setenv(name, value)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Operation(instance, campus, url)
