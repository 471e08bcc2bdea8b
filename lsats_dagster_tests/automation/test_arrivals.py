"""Files that people drop: each is read once, when it has stopped changing, by the streams that are made of it."""

import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from lsats_dagster.automation.schedules import due_tables
from lsats_dagster.cli.hub import Hub
from lsats_dagster.cli.status import status
from lsats_dagster.definitions import build_definitions
from lsats_dagster.sources import SOURCES
from lsats_dagster.sources.documents import COMPUTERS, LAB_AWARDS, SOURCE, USAGE
from lsats_dagster_tests.automation.aids import Operation, failures
from lsats_dagster_tests.hubs import on

HUB = Hub((SOURCE,), ())
INVENTORY = {COMPUTERS.label, USAGE.label}
ALL = {stream.label for stream in SOURCE.streams}


@pytest.fixture
def dropped(operation: Operation) -> Operation:
    """A hub of exports alone, and a campus that dropped its first ones."""
    return replace(operation, definitions=build_definitions(HUB.sources, HUB.tables))


class Looker:
    """The sensor, tick after tick, as the daemon evaluates it."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.cursor: str | None = None
        self.keys: list[str | None] = []
        self.tags: list[dict[str, str]] = []
        self.said = ""

    def look(self) -> set[str]:
        """What the next tick asks for."""
        with dg.build_sensor_context(instance=self.operation.instance, cursor=self.cursor) as context:
            sensor = self.operation.definitions.resolve_sensor_def("documents_arrivals")
            result: Any = sensor.evaluate_tick(context)
        self.cursor, self.said = result.cursor, result.skip_message or ""
        requests = result.run_requests or []
        self.keys += [request.run_key for request in requests]
        self.tags += [dict(request.tags) for request in requests]
        return {key.to_user_string() for request in requests for key in request.asset_selection}


def test_each_new_file_is_read_once(dropped: Operation) -> None:
    looker = Looker(dropped)
    assert looker.look() == set()
    assert "lab_awards: lab_awards_2026-01-12.csv of " in looker.said
    assert "new, looked at again" in looker.said
    assert looker.look() == ALL
    assert dropped.run("documents_ingest", assets=[dg.AssetKey.from_user_string(key) for key in ALL]).success
    assert [looker.look(), looker.look()] == [set(), set()]
    assert "known" in looker.said
    # A new inventory asks for nothing of the awards.
    dropped.campus.live_one_day()
    dropped.campus.live_one_day()
    assert [looker.look(), looker.look(), looker.look()] == [set(), INVENTORY, set()]
    assert dropped.run("documents_ingest").success
    rows = dropped.sql(
        "select distinct metadata #>> '{extract,state}' from meta.ingestion_runs where asset_key like 'bronze/%'"
    )
    assert [tuple(row) for row in rows] == [("complete",)]


def test_a_tick_that_was_lost_behind_its_request_asks_under_the_same_key(dropped: Operation) -> None:
    """Dagster runs one key once."""
    lookers = [Looker(dropped), Looker(dropped)]
    for looker in lookers:
        assert [looker.look(), looker.look()] == [set(), ALL]
    assert lookers[0].keys == lookers[1].keys != [None]


def asked(dropped: Operation) -> Looker:
    """A sensor that has asked for all that lies there."""
    looker = Looker(dropped)
    assert [looker.look(), looker.look()] == [set(), ALL]
    return looker


def tag_of(looker: Looker, begin: str) -> dict[str, str]:
    """The tag of the run that reads the file whose name begins so."""
    return next(tags for tags in looker.tags if tags["lsats/arrival"].startswith(begin))


def ended(dropped: Operation, tags: dict[str, str], event: dg.DagsterEventType, *, minutes_ago: float = 11) -> None:
    """A run of an arrival that ended so long ago."""
    job = dropped.definitions.resolve_job_def("documents_ingest")
    run = dropped.instance.create_run_for_job(job, tags=tags)
    end = dg.DagsterEvent(event.value, job.name, message="ended")
    dropped.instance.report_dagster_event(end, run.run_id, timestamp=time.time() - minutes_ago * 60)


FAILED, CANCELED = dg.DagsterEventType.PIPELINE_FAILURE, dg.DagsterEventType.PIPELINE_CANCELED


@pytest.mark.parametrize(
    ("times", "minutes_ago", "again"),
    [
        (1, 9, False), (1, 11, True), (2, 59, False), (2, 61, True), (3, 239, False), (3, 241, True),
        (4, 1439, False), (4, 1441, True), (20, 1439, False), (20, 1441, True),
    ],
)  # fmt: skip
def test_an_arrival_whose_read_failed_is_asked_for_again_ever_more_rarely(
    dropped: Operation, times: int, minutes_ago: float, again: bool
) -> None:
    """At most as often as the night would, and each time under a key of its own, or Dagster would start no run."""
    looker = asked(dropped)
    for _ in range(times):
        ended(dropped, tag_of(looker, "lab_awards"), FAILED, minutes_ago=minutes_ago)
    before = list(looker.keys)
    assert looker.look() == ({LAB_AWARDS.label} if again else set())
    assert len({*looker.keys}) == len(looker.keys) == len(before) + again
    assert ("read again at 20" in looker.said) is not again
    if again:
        # A tick that was lost asks under the same key; one that was not has made a run, which is under way.
        assert looker.look() == {LAB_AWARDS.label}
        assert looker.keys[-1] == looker.keys[-2]
        dropped.instance.create_run_for_job(
            dropped.definitions.resolve_job_def("documents_ingest"), tags=looker.tags[-1]
        )
        assert looker.look() == set()


def test_a_read_that_a_person_canceled_is_not_asked_for_again(dropped: Operation) -> None:
    looker = asked(dropped)
    ended(dropped, tag_of(looker, "lab_awards"), CANCELED)
    assert looker.look() == set()


def test_what_was_read_since_is_not_asked_for_again(dropped: Operation) -> None:
    """By the failed run itself, or by one of a person."""
    looker = asked(dropped)
    ended(dropped, tag_of(looker, "keyconfigure"), FAILED)
    assert dropped.materialize(COMPUTERS.label).success
    assert looker.look() == {USAGE.label}
    assert dropped.materialize(USAGE.label).success
    assert looker.look() == set()
    assert "read again" not in looker.said


def test_a_newer_file_takes_the_place_of_one_whose_read_failed(dropped: Operation) -> None:
    looker = asked(dropped)
    ended(dropped, tag_of(looker, "lab_awards"), FAILED)
    dropped.campus.export("lab_awards", extra_column=True)
    assert [looker.look(), looker.look(), looker.look()] == [set(), {LAB_AWARDS.label}, set()]


def test_the_alert_of_a_failed_read_says_when_the_file_is_read_again(
    dropped: Operation, caplog: pytest.LogCaptureFixture
) -> None:
    newest = dropped.campus.exports / dropped.campus.export("lab_awards", extra_column=True)
    newest.write_bytes(newest.read_bytes()[:-9])
    looker = asked(dropped)
    run = dropped.run(
        "documents_ingest",
        tags=tag_of(looker, "lab_awards"),
        assets=[dg.AssetKey.from_user_string(LAB_AWARDS.label)],
    )
    assert "it is still being copied, or was cut" in failures(run)[LAB_AWARDS.label]
    (record,) = dropped.instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]))
    again = datetime.fromtimestamp(record.end_time or 0, ZoneInfo("America/Detroit")) + timedelta(minutes=10)
    moment = f"read again at {again:%Y-%m-%d %H:%M}"
    dropped.tick("failure_alerts")
    assert f"It is {moment}, unless it was read before or a newer one has come." in caplog.text
    assert looker.look() == set()
    assert f"its run failed, {moment}" in looker.said


def test_nothing_is_read_while_a_file_is_being_copied(dropped: Operation) -> None:
    looker = Looker(dropped)
    assert [looker.look(), looker.look()] == [set(), ALL]
    source = dropped.campus.exports / dropped.campus.export("lab_awards", extra_column=True)
    whole = source.read_bytes()
    source.unlink()
    copy = dropped.campus.exports / "lab_awards_copy.csv"
    for size in range(len(whole) // 4, len(whole), len(whole) // 4):
        copy.write_bytes(whole[:size])
        assert looker.look() == set()
        assert "lab_awards_copy.csv" in looker.said
    copy.write_bytes(whole)
    assert [looker.look(), looker.look(), looker.look()] == [set(), {LAB_AWARDS.label}, set()]


def test_a_kind_that_was_never_dropped_hinders_no_other(dropped: Operation) -> None:
    for file in dropped.campus.exports.glob("lab_awards*"):
        file.unlink()
    looker = Looker(dropped)
    looker.look()
    assert "lab_awards: no file" in looker.said
    assert looker.look() == INVENTORY


def test_a_folder_that_is_gone_or_not_set_is_said(
    dropped: Operation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looker = Looker(dropped)
    monkeypatch.setenv("LSATS_DATA_FOLDER", str(tmp_path / "elsewhere"))
    assert looker.look() == set()
    assert looker.said == "the folder of exports cannot be read (No such file or directory)"
    for unusable, words in (("~/exports", "begins with ~"), ("exports", "must be a whole path")):
        monkeypatch.setenv("LSATS_DATA_FOLDER", unusable)
        assert looker.look() == set()
        assert f"LSATS_DATA_FOLDER: {words}" in looker.said
    monkeypatch.delenv("LSATS_DATA_FOLDER")
    assert looker.look() == set()
    assert looker.said.startswith("Exported documents is not set up: LSATS_DATA_FOLDER not set")


def test_exports_come_when_they_come(dropped: Operation, capsys: pytest.CaptureFixture[str]) -> None:
    assert dropped.materialize(*ALL).success
    on(HUB, status)
    assert capsys.readouterr().out.count("when it comes") == len(ALL)


def test_exports_are_due_on_no_night_and_late_after_six_weeks(dropped: Operation) -> None:
    due = due_tables(date(2026, 7, 5), SOURCES, ())
    assert "bronze.tdx_departments" in due
    assert not {f"bronze.{stream.table}" for stream in SOURCE.streams} & set(due)
    assert dropped.materialize(LAB_AWARDS.label).success
    age = "update meta.ingestion_runs set {0} = {0} - interval '{1} days'"
    for days, told in ((41, False), (2, True)):
        for moment in ("started_at", "completed_at"):
            dropped.sql(age.format(moment, days))
        dropped.tick("finding_alerts")
        late = dropped.sql("select alert_key from meta.alerts where alert_key like '%lab_awards/lab_award%'")
        assert bool(late) == told
