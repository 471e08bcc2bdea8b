"""What is wrong reaches people: once, through every channel, again when it lasts, and without contents or secrets."""

import logging
import socket
import traceback
from dataclasses import dataclass
from typing import Any

import pytest

from lsats_dagster.automation.alerts import AlertError
from lsats_dagster.automation.failures import is_started_again
from lsats_dagster_tests.automation.aids import Operation, failures
from lsats_dagster_tests.automation.alert_aids import (
    HOOK,
    PERSON,
    Channels,
    fail,
    failure_tick,
    finding_tick,
    let_the_window_pass,
    subjects,
)


def test_a_failure_arrives_once_and_tells_how_often_it_was_held_back(operation: Operation, channels: Channels) -> None:
    result = fail(operation)
    said, cursor = failure_tick(operation)
    assert (said, channels.counts()) == ("1 failed runs, 1 alerts", (1, 1))
    sentence = failures(result)["bronze/tdx_departments"]
    message = channels.posted.caught[0]
    assert message.splitlines() == ["tdx_ingest failed", f"bronze/tdx_departments: {sentence}", f"Run {result.run_id}"]
    assert "HTTP 403" in sentence
    assert "To: hub-owners@example.edu" in channels.mailed.caught[0]
    assert "Subject: [hub] tdx_ingest failed" in channels.mailed.caught[0]

    # The same run is told once, the same failure once within the window.
    said, cursor = failure_tick(operation, cursor)
    assert said == "0 failed runs, 0 alerts"
    for _ in range(2):
        fail(operation)
        said, cursor = failure_tick(operation, cursor)
        assert (said, channels.counts()) == ("1 failed runs, 0 alerts", (1, 1))
    # Another failure is not the same one.
    fail(operation, "umich_api")
    said, cursor = failure_tick(operation, cursor)
    assert (said, channels.counts()) == ("1 failed runs, 1 alerts", (2, 2))

    let_the_window_pass(operation)
    fail(operation)
    said, cursor = failure_tick(operation, cursor)
    assert (said, channels.counts()) == ("1 failed runs, 1 alerts", (3, 3))
    assert channels.posted.caught[2].endswith("Raised 2 more times since the last message.")
    assert "Raised" not in channels.posted.caught[1]
    # The count begins again.
    let_the_window_pass(operation)
    fail(operation)
    failure_tick(operation, cursor)
    assert "Raised" not in channels.posted.caught[3]


@dataclass
class FailedRun:
    """As much of Dagster's run as decides whether it is started again."""

    tags: dict[str, str]
    remote_job_origin: object | None


@pytest.mark.parametrize(
    ("tags", "origin", "again"),
    [
        ({"dagster/will_retry": "true"}, object(), True),
        ({"dagster/will_retry": "true"}, None, False),
        ({"dagster/will_retry": "false"}, object(), False),
        ({}, object(), False),
    ],
)
def test_a_run_is_not_told_where_a_second_attempt_speaks_for_it(
    tags: dict[str, str], origin: object, again: bool
) -> None:
    assert is_started_again(FailedRun(tags, origin)) is again  # type: ignore[arg-type]


def test_a_run_of_the_command_line_is_told_though_dagster_means_to_retry_it(
    operation: Operation, channels: Channels
) -> None:
    """Dagster marks it, and then has no way to start it."""
    fail(operation, tags={"dagster/will_retry": "true"})
    assert (failure_tick(operation)[0], channels.counts()) == ("1 failed runs, 1 alerts", (1, 1))


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize("refusal", ["webhook answers 500", "webhook closed", "relay answers 451", "relay closed"])
def test_a_channel_that_refuses_fails_the_tick_and_the_next_one_sends(
    operation: Operation, channels: Channels, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    fail(operation)
    with monkeypatch.context() as changed:
        if refusal == "webhook answers 500":
            channels.posted.status = 500
        elif refusal == "relay answers 451":
            channels.mailed.status = 451
        elif refusal == "webhook closed":
            changed.setenv("ALERT_WEBHOOK_URL", f"http://127.0.0.1:{closed_port()}/{HOOK}")
        else:
            changed.setenv("ALERT_SMTP_PORT", closed_port())
        with pytest.raises(AlertError) as raised:
            operation.tick("failure_alerts")
    # As the tick's record in Dagster keeps it.
    assert HOOK not in "".join(traceback.format_exception(raised.value))
    refusing, other = ("webhook", "mail") if "webhook" in refusal else ("mail", "webhook")
    assert operation.sql("select channel from meta.alerts order by 1") == sorted([("log",), (other,)])
    assert channels.counts() == ((0, 1) if refusing == "webhook" else (1, 0))
    channels.posted.status = channels.mailed.status = 200
    # Only the one that refused is told now.
    assert failure_tick(operation)[0] == "1 failed runs, 1 alerts"
    assert channels.counts() == (1, 1)


def test_a_relay_that_refuses_one_of_two_receivers_is_a_refusal(
    operation: Operation, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_EMAIL_TO", "hub-owners@example.edu, unknown@example.edu")
    channels.mailed.unknown = "unknown@"
    fail(operation)
    with pytest.raises(AlertError, match="mail"):
        operation.tick("failure_alerts")


def test_what_a_failed_tick_had_told_is_not_counted_as_raised_again(operation: Operation, channels: Channels) -> None:
    """The tick after a failed one meets the same runs once more."""
    fail(operation)
    fail(operation, "umich_api")
    before = channels.posted.status
    _refuse_second(channels)
    with pytest.raises(AlertError):
        operation.tick("failure_alerts")
    channels.mailed.status = before
    assert failure_tick(operation)[0] == "2 failed runs, 1 alerts"
    assert operation.sql("select channel, held_back from meta.alerts order by 1") == [
        (channel, 0) for channel in ("log", "log", "mail", "mail", "webhook", "webhook")
    ]
    assert channels.counts() == (2, 2)


def _refuse_second(channels: Channels) -> None:
    """The relay takes one more message and refuses then."""
    taken = channels.mailed.caught

    class Once(list[str]):
        def append(self, message: str) -> None:
            super().append(message)
            channels.mailed.status = 451

    channels.mailed.caught = Once(taken)


def test_without_a_channel_the_log_is_told(operation: Operation, caplog: pytest.LogCaptureFixture) -> None:
    fail(operation)
    with caplog.at_level(logging.ERROR, logger="lsats_dagster"):
        assert failure_tick(operation)[0] == "1 failed runs, 1 alerts"
    assert "⚠️ tdx_ingest failed" in caplog.text


def test_refused_removals_are_told_without_ids_or_contents(filled: Operation, channels: Channels) -> None:
    stream = "umich_api/department"
    keys = sorted(filled.campus.truth(stream))
    filled.campus.put(stream, keys[20], {"DeptDescription": PERSON})
    for key in keys[:11]:
        filled.campus.delete(stream, key)
    assert filled.run("umich_api_ingest").success
    assert finding_tick(filled) == "1 findings, 1 alerts"
    assert subjects(channels) == {"bronze/umapi_departments: check removal_guard failed"}
    message = channels.posted.caught[0]
    assert "11 of 110 entities are absent" in message
    assert [key for key in keys if key in message] == []
    assert (finding_tick(filled), channels.counts()) == ("1 findings, 0 alerts", (1, 1))
    for key in keys[:11]:
        filled.campus.restore(stream, key)
    assert filled.run("umich_api_ingest").success
    assert (finding_tick(filled), channels.counts()) == ("0 findings, 1 alerts", (2, 2))
    assert channels.posted.caught[1].startswith("bronze/umapi_departments: check removal_guard is no longer red")
    assert (finding_tick(filled), channels.counts()) == ("0 findings, 0 alerts", (2, 2))


def test_poor_quality_is_told(operation: Operation, channels: Channels) -> None:
    blank: dict[str, Any] = dict.fromkeys(("Code", "City", "StateAbbr", "PostalCode", "Country", "Phone"), "")
    for key in operation.campus.truth("tdx/department"):
        fields = {**blank, "Name": "", "Notes": PERSON, "ManagerUID": "none", "CreatedDate": "?", "ModifiedDate": "?"}
        operation.campus.put("tdx/department", key, fields, touch=False)
    assert operation.run("tdx_ingest").success
    finding_tick(operation)
    assert "silver/tdx_departments: check quality failed" in subjects(channels)
