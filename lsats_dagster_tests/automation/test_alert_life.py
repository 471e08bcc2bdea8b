"""Which alerts stand: of what is late, of which kind, and that it is over when it is."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lsats_dagster.database import Database
from lsats_dagster.local_time import TIME_ZONE
from lsats_dagster.runs import Check, Origin, Subject, close_run, open_run, sole_writer
from lsats_dagster_tests.automation.aids import Operation
from lsats_dagster_tests.automation.alert_aids import (
    Channels,
    fail,
    failure_tick,
    finding_tick,
    let_the_window_pass,
    make_older,
    subjects,
)
from lsats_dagster_tests.hubs import FEW


def test_an_error_of_another_kind_is_another_alert(
    operation: Operation, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same job and step, within the window: a refused login does not hide behind the failure before it."""
    fail(operation)
    _, cursor = failure_tick(operation)
    monkeypatch.setenv("TDX_WEB_SERVICES_KEY", "wrong")
    assert not operation.run("tdx_ingest").success
    said, cursor = failure_tick(operation, cursor)
    assert (said, channels.counts()) == ("1 failed runs, 1 alerts", (2, 2))
    assert "LoginRefusedError" in channels.posted.caught[1]
    assert not operation.run("tdx_ingest").success
    said, cursor = failure_tick(operation, cursor)
    assert (said, channels.counts()) == ("1 failed runs, 0 alerts", (2, 2))


def test_what_failed_and_works_again_is_told_once_by_whatever_run(operation: Operation, channels: Channels) -> None:
    failed = fail(operation)
    _, cursor = failure_tick(operation)
    # What another source does is no sign of it, nor is a run that writes nothing.
    assert operation.run("umich_api_ingest").success
    dry = {"ops": {"bronze__tdx_departments": {"config": {"dry_run": True}}}}
    assert operation.run("tdx_ingest", dry).success
    said, cursor = failure_tick(operation, cursor)
    assert (said, channels.counts()) == ("0 failed runs, 0 alerts", (1, 1))
    result = operation.materialize("bronze/tdx_departments")
    said, cursor = failure_tick(operation, cursor)
    assert (said, channels.counts()) == ("0 failed runs, 1 alerts", (2, 2))
    assert channels.posted.caught[1].splitlines() == [
        "tdx_ingest: works again",
        f"bronze/tdx_departments succeeded after the failed run {failed.run_id}.",
        f"Run {result.run_id}",
    ]
    assert operation.run("tdx_ingest").success
    assert failure_tick(operation, cursor)[0] == "0 failed runs, 0 alerts"
    # Another failure is told at once: the last that people heard was that all is well.
    fail(operation)
    assert (failure_tick(operation, cursor)[0], channels.counts()) == ("1 failed runs, 1 alerts", (3, 3))


def test_an_alert_links_to_its_page_and_its_tick_to_the_run(
    filled: Operation, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_UI_URL", "https://hub.example.edu/dagster/")
    result = fail(filled)
    tick = filled.tick("failure_alerts")
    # Dagster shows a tick that names runs as a success, with these runs; any other reads as skipped.
    assert (tick.runs, tick.skipped) == ([result.run_id], None)
    assert channels.posted.caught[0].endswith(f"\nhttps://hub.example.edu/dagster/runs/{result.run_id}")
    make_older(filled, "silver_transformation/departments", 37)
    tick = filled.tick("finding_alerts")
    assert (len(tick.runs), tick.skipped) == (1, None)
    assert channels.posted.caught[1].endswith("\nhttps://hub.example.edu/dagster/assets/silver/departments")
    assert filled.tick("finding_alerts").skipped == "1 findings, 0 alerts"


def test_a_tick_reads_its_settings_once(operation: Operation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub's, and those of each source: whoever changes them in the meantime changes no part of what is told."""
    (tmp_path / ".env").touch()
    read, read_bytes = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or read_bytes(path))
    for sensor, kinds in {"finding_alerts": 1 + len(FEW), "failure_alerts": 1, "dead_runs": 1}.items():
        read.clear()
        operation.tick(sensor)
        assert [path for path in read if path.name == ".env"] == kinds * [Path(".env")], sensor


def test_what_is_not_declared_any_more_is_missed_by_nobody(filled: Operation, channels: Channels) -> None:
    """A stream or table that was renamed leaves the runs of its earlier name, red and old as they were."""
    for name in ("tdx/building", "silver_transformation/buildings"):
        source_system, entity_type = name.split("/")
        database = Database(filled.url)
        with sole_writer(database, Subject(source_system, entity_type), wait_seconds=5) as connection:
            run = open_run(connection, Subject(source_system, entity_type), "full", Origin(), {})
            run.checks.append(Check("volume", False, "the number of rows fell"))
            close_run(connection, run)
            connection.commit()
        database.dispose()
        make_older(filled, name, 400)
    assert (finding_tick(filled), channels.counts()) == ("0 findings, 0 alerts", (0, 0))


def test_a_source_whose_settings_are_gone_is_told_once_and_its_tables_are_no_longer_late(
    filled: Operation, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_older(filled, "tdx/department_detail", 27)
    assert (finding_tick(filled), channels.counts()) == ("1 findings, 1 alerts", (1, 1))
    with monkeypatch.context() as changed:
        for name in filled.campus.environment:
            if name.startswith("TDX_"):
                changed.delenv(name)
        make_older(filled, "tdx/department", 400)
        make_older(filled, "silver_transformation/tdx_departments", 400)
        assert (finding_tick(filled), channels.counts()) == ("1 findings, 1 alerts", (2, 2))
        assert "TeamDynamix is not set up any more" in subjects(channels)
        assert "TDX_BASE_URL, TDX_BEID, TDX_WEB_SERVICES_KEY not set" in channels.posted.caught[1]
        let_the_window_pass(filled)
        assert (finding_tick(filled), channels.counts()) == ("1 findings, 0 alerts", (2, 2))
    assert filled.run("hub_daily").success
    assert (finding_tick(filled), channels.counts()) == ("0 findings, 2 alerts", (4, 4))
    assert subjects(channels) >= {"TeamDynamix is set up again", "enriched/tdx_department_details is current again"}


def test_a_late_table_is_told_and_that_it_recovered(filled: Operation, channels: Channels) -> None:
    # A daily table may be older than one that is due every half hour.
    make_older(filled, "umich_api/department", 27)
    assert finding_tick(filled) == "0 findings, 0 alerts"
    make_older(filled, "tdx/department_detail", 27)
    make_older(filled, "silver_transformation/departments", 37)
    assert finding_tick(filled) == "2 findings, 2 alerts"
    assert subjects(channels) == {"enriched/tdx_department_details is late", "silver/departments is late"}
    posted = "".join(channels.posted.caught)
    assert "expected within 36 hours" in posted
    # By one clock everywhere, that of the university.
    ((last,),) = filled.sql("select max(completed_at) from meta.ingestion_runs where entity_type = 'department_detail'")
    assert f"Last success: {last.astimezone(ZoneInfo(TIME_ZONE)):%Y-%m-%d %H:%M};" in posted
    # A failed try does not make it younger.
    filled.campus.fault("tdx/accounts/search", "status", status=403)
    assert not filled.run("hub_daily").success
    let_the_window_pass(filled)
    assert finding_tick(filled) == "2 findings, 2 alerts"
    assert filled.run("hub_daily").success
    let_the_window_pass(filled)
    assert (finding_tick(filled), channels.counts()) == ("0 findings, 2 alerts", (6, 6))
    assert {subject for subject in subjects(channels) if "again" in subject} == {
        "enriched/tdx_department_details is current again", "silver/departments is current again"
    }  # fmt: skip
    assert (finding_tick(filled), channels.counts()) == ("0 findings, 0 alerts", (6, 6))


def test_a_run_that_was_asked_for_a_part_hides_nothing(filled: Operation, channels: Channels) -> None:
    """It makes a table no fresher, and a red check of the last whole run no greener."""
    stream = "umich_api/department"
    for key in sorted(filled.campus.truth(stream))[:11]:
        filled.campus.delete(stream, key)
    assert filled.run("umich_api_ingest").success
    make_older(filled, stream, 40)
    part = {"ops": {"bronze__umapi_departments": {"config": {"limit": 5}}}}
    assert filled.run("umich_api_ingest", part).success
    finding_tick(filled)
    assert subjects(channels) >= {
        "bronze/umapi_departments is late", "bronze/umapi_departments: check removal_guard failed"
    }  # fmt: skip


def test_a_table_that_never_ran_is_late(operation: Operation, channels: Channels) -> None:
    assert operation.run("umich_api_ingest").success
    assert finding_tick(operation) == "0 findings, 0 alerts"
    for name in ("umich_api/department", "silver_transformation/umapi_departments"):
        make_older(operation, name, 30)
    assert finding_tick(operation) == "1 findings, 1 alerts"
    assert subjects(channels) == {"enriched/tdx_department_details is late"}
    assert "It never ran" in channels.posted.caught[0]


def test_a_table_in_its_first_run_is_not_late(operation: Operation, channels: Channels) -> None:
    """The first fetch of all details takes longer than the time between two looks."""
    subject = Subject("tdx", "department_detail")
    database = Database(operation.url)
    with sole_writer(database, subject, wait_seconds=5) as connection:
        open_run(connection, subject, "incremental", Origin(), {})
        assert finding_tick(operation) == "0 findings, 0 alerts"
    database.dispose()
    make_older(operation, subject.name, 48)
    finding_tick(operation)
    (message,) = [said for said in channels.posted.caught if said.startswith("enriched/tdx_department_details is late")]
    assert "Last success: never" in message
