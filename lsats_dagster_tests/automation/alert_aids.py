"""What tests of alerts share: channels that catch, ticks of the sensors that send, runs that fail."""

from dataclasses import dataclass

import dagster as dg

from lsats_dagster_tests.automation.aids import Catcher, Operation

HOOK = "canary-of-the-webhook"
PERSON = "Canarius Rowcontent"
CREDENTIALS = ("TDX_BEID", "TDX_WEB_SERVICES_KEY", "TDX_PASSWORD", "UM_CLIENT_KEY", "UM_CLIENT_SECRET")


@dataclass
class Channels:
    """The catchers of both channels."""

    posted: Catcher
    mailed: Catcher

    def counts(self) -> tuple[int, int]:
        return len(self.posted.caught), len(self.mailed.caught)


def fail(operation: Operation, source: str = "tdx", tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
    """A run that fails because its source refuses."""
    operation.campus.fault({"tdx": "tdx/accounts/search", "umich_api": "gateway/DeptData"}[source], "status",
                           times=1, status=403)  # fmt: skip
    result = operation.run(f"{source}_ingest", tags=tags)
    assert not result.success
    return result


def let_the_window_pass(operation: Operation) -> None:
    operation.sql("update meta.alerts set last_sent_at = last_sent_at - interval '13 hours'")


def failure_tick(operation: Operation, cursor: str | None = None) -> tuple[str, str]:
    """Words and cursor of one tick."""
    tick = operation.tick("failure_alerts", cursor)
    assert tick.cursor is not None
    return tick.said, tick.cursor


def finding_tick(operation: Operation) -> str:
    return operation.tick("finding_alerts").said


def subjects(channels: Channels) -> set[str]:
    return {message.splitlines()[0] for message in channels.posted.caught}


def make_older(operation: Operation, name: str, hours: int) -> None:
    operation.sql(
        "update meta.ingestion_runs set started_at = started_at - make_interval(hours => :hours), "
        "completed_at = completed_at - make_interval(hours => :hours) where source_system || '/' || entity_type = :name",
        name=name, hours=hours,
    )  # fmt: skip
