"""The hub under operation."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from lsats_dagster.clients import http
from lsats_dagster.demo.campus import Campus
from lsats_dagster.sources import KINDS
from lsats_dagster_tests.automation.aids import Operation, mail_relay, webhook
from lsats_dagster_tests.automation.alert_aids import CREDENTIALS, HOOK, PERSON, Channels


@pytest.fixture
def operation(
    emptied_database: Callable[[], str], campus: Campus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Operation]:
    """Everything wired, nothing run, on an instance in memory."""
    monkeypatch.chdir(tmp_path)  # where no .env is
    for name in (name for kind in KINDS for name in kind.model_fields):
        monkeypatch.delenv(name.upper(), raising=False)
    url = emptied_database()
    for name, value in {**campus.environment, "DATABASE_URL": url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    campus.limit("tdx", 100_000, 60)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Operation(instance, campus, url)


@pytest.fixture
def shared(operation: Operation) -> Iterator[Operation]:
    """The same on an instance that other threads and processes can open."""
    with dg.instance_for_test() as instance:
        yield Operation(instance, operation.campus, operation.url)


@pytest.fixture
def filled(operation: Operation) -> Operation:
    """After the first complete run."""
    assert operation.run("hub_daily").success
    return operation


@pytest.fixture
def channels(
    operation: Operation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Channels]:
    """Both channels set; in the end, nothing that was sent or logged holds a secret or a row."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="lsats_dagster")
    with webhook() as posted, mail_relay() as mailed:
        for name, value in {
            "WEBHOOK_URL": f"http://127.0.0.1:{posted.port}/{HOOK}", "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mailed.port), "EMAIL_TO": "hub-owners@example.edu",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"ALERT_{name}", value)
        found = Channels(posted, mailed)
        yield found
        said = "\n".join([caplog.text, *posted.caught, *mailed.caught])
        secrets = [HOOK, PERSON, *(operation.campus.environment[name] for name in CREDENTIALS)]
        assert [secret for secret in secrets if secret in said] == []
