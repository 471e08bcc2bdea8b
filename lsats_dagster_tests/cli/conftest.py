"""What the tests of the commands share: the command on a hub of three streams, and the same hub in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from lsats_dagster.demo.campus import Campus
from lsats_dagster_tests.automation.aids import Operation
from lsats_dagster_tests.cli.aids import Lsats, end_runs, environment, in_process, of_few
from lsats_dagster_tests.hubs import FEW_HUB


@pytest.fixture
def url(emptied_database: Callable[[], str]) -> str:
    return emptied_database()


@pytest.fixture
def variables(url: str, campus: Campus, tmp_path: Path) -> dict[str, str]:
    """The whole environment of a command."""
    campus.limit("tdx", 100_000, 60)
    end_runs(url)
    return {
        **environment(tmp_path), **campus.environment, "DATABASE_URL": url,
        "ALERT_WEBHOOK_URL": "http://127.0.0.1:1/nobody",
    }  # fmt: skip


def changed(variables: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**variables, **changes}.items() if value is not None}


@pytest.fixture
def lsats(variables: dict[str, str], tmp_path: Path) -> Lsats:
    """The command on a hub database and a campus. Keywords set variables; None takes one away."""
    return lambda *words, **changes: in_process(
        *words, folder=tmp_path, variables=changed(variables, changes), hub=FEW_HUB
    )


@pytest.fixture
def lsats_process(variables: dict[str, str], tmp_path: Path) -> Lsats:
    """The same as a process of its own, for what a process alone shows."""
    return lambda *words, **changes: of_few(*words, folder=tmp_path, variables=changed(variables, changes))


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
