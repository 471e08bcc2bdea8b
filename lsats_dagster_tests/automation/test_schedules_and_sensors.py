"""Every schedule starts a run that does its work; every sensor ticks; silver follows what really changed, and nothing else."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from lsats_dagster.definitions import build_definitions
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.settings import ConfigurationError
from lsats_dagster.source import set_up
from lsats_dagster.sources import SOURCES
from lsats_dagster_tests.automation.aids import Operation, failures, figures
from lsats_dagster_tests.hubs import FEW_STREAMS, FEW_TABLES, WHOLE_KEYS, few_definitions

DETROIT = ZoneInfo("America/Detroit")
LISTS = {f"bronze/{stream.table}" for stream in FEW_STREAMS if isinstance(stream, ListStream)}
SILVER = {definition.name.replace(".", "/") for definition in FEW_TABLES}


@dataclass(frozen=True)
class ScheduleCase:
    """What a schedule is for: its job, the tables its run brings up to date, its times."""

    job: str
    tables: set[str]
    cron: str


SCHEDULE_CASES = {
    "hub_daily_at_two": ScheduleCase("hub_daily", LISTS | SILVER, "0 2 * * *"),
    "tdx_details_all_day": ScheduleCase("tdx_details", {"enriched/tdx_department_details"}, "*/30 * * * *"),
}


def schedule_named(name: str) -> dg.ScheduleDefinition:
    return few_definitions().resolve_schedule_def(name)


def test_every_schedule_and_sensor_has_a_case() -> None:
    repository = few_definitions().get_repository_def()
    assert SCHEDULE_CASES.keys() == {schedule.name for schedule in repository.schedule_defs}
    assert QUIET_TICKS.keys() == {sensor.name for sensor in repository.sensor_defs}


@pytest.mark.parametrize("name", SCHEDULE_CASES)
def test_a_schedules_run_is_a_real_run(shared: Operation, name: str) -> None:
    case = SCHEDULE_CASES[name]
    schedule = schedule_named(name)
    assert schedule.job_name == case.job
    (request,) = tick_of(shared, name).run_requests or []
    # The name is what the instance's limits and the retry of a run go by.
    assert request.tags["dagster/schedule_name"] == name
    if not case.tables & SILVER:
        # Alone it has work only after its inputs were read.
        assert shared.run("hub_daily").success
    result = shared.run(schedule.job_name, request.run_config, request.tags, request.asset_selection)
    assert result.success
    run = shared.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.SUCCESS
    rows = shared.sql(
        "select asset_key, status, completed_at is not null from meta.ingestion_runs where dagster_run_id = :run",
        run=result.run_id,
    )
    assert sorted(map(tuple, rows)) == [(table, "completed", True) for table in sorted(case.tables)]


def tick_of(operation: Operation, name: str) -> Any:
    """What a schedule asks for on an ordinary night."""
    context = dg.build_schedule_context(
        instance=operation.instance, scheduled_execution_time=datetime(2026, 7, 1, 6, tzinfo=UTC)
    )
    return schedule_named(name).evaluate_tick(context)


def test_a_source_that_is_not_set_up_stays_out_and_the_others_make_the_merged_table(
    shared: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in shared.campus.environment:
        if name.startswith("TDX_"):
            monkeypatch.delenv(name)
    (request,) = tick_of(shared, "hub_daily_at_two").run_requests or []
    assert shared.run("hub_daily", assets=request.asset_selection).success
    assert shared.sql("select count(*), bool_and(sources = '[\"umapi\"]') from silver.departments") == [(110, True)]
    said = tick_of(shared, "tdx_details_all_day").skip_message
    assert said.startswith("TeamDynamix is not set up: TDX_BASE_URL, TDX_BEID, TDX_WEB_SERVICES_KEY not set")
    assert shared.tick("finding_alerts").said.startswith("0 findings")
    # One that is set up by half is a mistake, and seen.
    monkeypatch.setenv("TDX_BASE_URL", shared.campus.environment["TDX_BASE_URL"])
    (request,) = tick_of(shared, "hub_daily_at_two").run_requests or []
    result = shared.run("hub_daily", assets=request.asset_selection)
    assert "TDX_BEID, TDX_WEB_SERVICES_KEY not set" in failures(result)["bronze/tdx_departments"]
    rows = shared.sql(
        "select status, error_message from meta.ingestion_runs where asset_key = 'bronze/tdx_departments'"
    )
    assert [(row.status, "TDX_BEID, TDX_WEB_SERVICES_KEY not set" in row.error_message) for row in rows] == [
        ("failed", True)
    ]


def test_where_no_source_is_set_up_the_night_is_skipped_and_says_what_is_missing(
    operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process that lacks the hub's environment evaluates it: silver alone would read like a night that went well."""
    for name in operation.campus.environment:
        monkeypatch.delenv(name, raising=False)
    for schedule in SCHEDULE_CASES:
        tick = tick_of(operation, schedule)
        assert not tick.run_requests
        assert "TDX_BASE_URL" in tick.skip_message
        assert "needed for" in tick.skip_message
    said = operation.tick("finding_alerts").said
    assert said.startswith("0 findings, 0 alerts; no source is set up: UM_")
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(ConfigurationError, match="DATABASE_URL not set"):
        operation.tick("finding_alerts")


def test_the_night_asks_for_all_that_is_due_of_the_whole_hub(operation: Operation) -> None:
    """All lists of what is set up, by their cadence, and all of silver."""
    night = datetime(2026, 7, 5, 2, tzinfo=DETROIT)
    context = dg.build_schedule_context(instance=operation.instance, scheduled_execution_time=night)
    (request,) = build_definitions().resolve_schedule_def("hub_daily_at_two").evaluate_tick(context).run_requests or []
    due = {
        stream.label
        for source in set_up(SOURCES)
        for stream in source.streams
        if isinstance(stream, ListStream) and source.cadence_of(stream).is_due_on(night.date())
    }
    assert due
    asked = {key.to_user_string() for key in request.asset_selection or []}
    assert asked == due | {key for key in WHOLE_KEYS if key.startswith("silver/")}


def test_details_do_not_queue_up_behind_a_run_of_their_source(shared: Operation) -> None:
    job = shared.definitions.resolve_job_def("tdx_backfill")
    run = shared.instance.create_run_for_job(job, tags=job.tags, status=dg.DagsterRunStatus.STARTED)
    assert "under way" in tick_of(shared, "tdx_details_all_day").skip_message
    shared.instance.report_run_failed(run)
    assert len(tick_of(shared, "tdx_details_all_day").run_requests) == 1


@pytest.mark.parametrize("name", SCHEDULE_CASES)
def test_schedules_run_by_the_universitys_clock_and_from_the_first_deploy(name: str) -> None:
    schedule = schedule_named(name)
    assert (schedule.cron_schedule, schedule.execution_timezone) == (SCHEDULE_CASES[name].cron, "America/Detroit")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def ticks(name: str, begin: datetime, end: datetime) -> list[datetime]:
    """When Dagster runs a schedule between two local times; partitions follow the same clock as schedules."""
    schedule = schedule_named(name)
    assert isinstance(schedule.cron_schedule, str)
    windows = dg.TimeWindowPartitionsDefinition(
        start=begin,
        fmt="%Y-%m-%d %H:%M:%S%z",
        cron_schedule=schedule.cron_schedule,
        timezone=schedule.execution_timezone,
    )
    keys = windows.get_partition_keys(current_time=end + timedelta(days=2))
    found = (datetime.strptime(key, "%Y-%m-%d %H:%M:%S%z") for key in keys)
    return [tick for tick in found if begin <= tick < end]


@pytest.mark.parametrize(
    ("day", "hours_utc", "half_hours"),
    [
        # 2 o'clock does not exist on the day that summer time begins; the run comes at 3, which is the same moment.
        (datetime(2026, 3, 8, tzinfo=DETROIT), [7, 7, 6], 46),
        (datetime(2026, 7, 1, tzinfo=DETROIT), [6, 6, 6], 48),
        (datetime(2026, 11, 1, tzinfo=DETROIT), [6, 7, 7], 50),
    ],
    ids=["summer time begins", "summer", "summer time ends"],
)
def test_one_daily_run_per_local_day_whatever_the_clocks_do(
    day: datetime, hours_utc: list[int], half_hours: int
) -> None:
    around = ticks("hub_daily_at_two", day - timedelta(days=1), day + timedelta(days=2))
    assert [tick.astimezone(UTC).hour for tick in around] == hours_utc
    assert [tick.astimezone(DETROIT).date() for tick in around] == [
        (day + timedelta(days=step)).date() for step in (-1, 0, 1)
    ]
    details = ticks("tdx_details_all_day", day, day + timedelta(days=1))
    assert len(details) == half_hours
    assert {later - earlier for earlier, later in itertools.pairwise(details)} == {timedelta(minutes=30)}


@dataclass
class Follower:
    """The automation sensor, tick after tick, as the daemon evaluates it."""

    operation: Operation
    cursor: Any = None
    requests: list[set[str]] = field(default_factory=list)

    def tick(self) -> set[str]:
        """What the next tick requests."""
        result = dg.evaluate_automation_conditions(
            self.operation.definitions, self.operation.instance, cursor=self.cursor
        )
        self.cursor = result.cursor
        keys = self.operation.definitions.resolve_all_asset_keys()
        requested = {key.to_user_string() for key in keys if result.get_num_requested(key)}
        self.requests.append(requested)
        return requested

    def obey(self) -> set[str]:
        """Tick, and run what it requests; the run leaves a completed row for each table."""
        requested = self.tick()
        if requested:
            result = self.operation.materialize(*requested)
            assert result.success
            rows = self.operation.sql(
                "select asset_key, status from meta.ingestion_runs where dagster_run_id = :run", run=result.run_id
            )
            assert sorted(map(tuple, rows)) == [(key, "completed") for key in sorted(requested)]
        return requested


def a_key(operation: Operation, stream: str, number: int = 5) -> str:
    return sorted(operation.campus.truth(stream))[number]


def quiet_follower(filled: Operation) -> Follower:
    follower = Follower(filled)
    assert follower.tick() == set()
    return follower


def test_a_first_run_of_everything_leaves_nothing_to_request(filled: Operation) -> None:
    follower = Follower(filled)
    assert [follower.tick(), follower.tick()] == [set(), set()]


def test_nothing_is_requested_of_an_empty_hub(operation: Operation) -> None:
    follower = Follower(operation)
    assert [follower.tick(), follower.tick()] == [set(), set()]


@pytest.mark.engine
@pytest.mark.parametrize(
    ("source", "table", "change"),
    [
        ("umich_api", "silver/umapi_departments", {"DeptDescription": "Renamed Unit"}),
        ("tdx", "silver/tdx_departments", {"Name": "Renamed Unit"}),
    ],
)
def test_silver_follows_a_change_table_by_table(
    filled: Operation, source: str, table: str, change: dict[str, str]
) -> None:
    follower = quiet_follower(filled)
    # A quiet read requests nothing downstream.
    for job in ("umich_api_ingest", "tdx_ingest"):
        assert filled.run(job).success
        assert follower.tick() == set()
    # A changed record: exactly the source's table, then the merged one, then nothing.
    stream = f"{source}/department"
    filled.campus.put(stream, a_key(filled, stream), change)
    bronze = next(s.label for s in FEW_STREAMS if s.name == stream)
    assert filled.materialize(bronze).success
    assert follower.tick() == {table}
    # Requested once: a run that has not begun is not asked for again.
    assert follower.tick() == set()
    assert filled.materialize(table).success
    assert follower.obey() == {"silver/departments"}
    assert [follower.tick(), follower.tick()] == [set(), set()]


def test_a_change_that_silver_does_not_show_ends_with_the_merged_table(filled: Operation) -> None:
    """The source's row names its newest bronze row, so it is written anew; no value of it or of the merged row moves."""
    follower = quiet_follower(filled)
    key = a_key(filled, "umich_api/department")
    newest = (
        "select max(updated_at) from silver.umapi_departments union all select max(updated_at) from silver.departments"
    )
    before = filled.sql(newest)
    filled.campus.put("umich_api/department", key, {"UnknownColumn": "changed"})
    result = filled.materialize("bronze/umapi_departments")
    assert figures(result)["bronze/umapi_departments"]["updated"] == 1
    assert follower.obey() == {"silver/umapi_departments"}
    assert follower.obey() == {"silver/departments"}
    assert follower.tick() == set()
    assert filled.sql(newest) == before


def test_a_dry_run_requests_nothing(filled: Operation) -> None:
    follower = quiet_follower(filled)
    filled.campus.put("umich_api/department", a_key(filled, "umich_api/department"), {"DeptDescription": "Renamed"})
    result = filled.run("umich_api_backfill", {"dry_run": True})
    assert result.success, failures(result)
    assert [follower.tick(), follower.tick()] == [set(), set()]
    # The change is still there to be found.
    assert filled.materialize("bronze/umapi_departments").success
    assert follower.tick() == {"silver/umapi_departments"}


def test_the_daily_run_refreshes_everything_itself(filled: Operation) -> None:
    follower = quiet_follower(filled)
    filled.campus.live_one_day()
    assert filled.run("hub_daily").success
    assert [follower.tick(), follower.tick()] == [set(), set()]


def test_a_source_job_leaves_only_the_merged_table(filled: Operation) -> None:
    follower = quiet_follower(filled)
    filled.campus.live_one_day()
    assert filled.run("umich_api_ingest").success
    assert follower.obey() == {"silver/departments"}
    assert follower.tick() == set()


def test_a_failed_read_requests_nothing(filled: Operation) -> None:
    follower = quiet_follower(filled)
    filled.campus.fault("gateway/DeptData", "status", times=None, status=403)
    assert not filled.run("umich_api_ingest").success
    assert [follower.tick(), follower.tick()] == [set(), set()]


def quiet_automation(operation: Operation) -> None:
    sensor = operation.definitions.resolve_sensor_def("silver_follows_inputs")
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    graph = operation.definitions.resolve_asset_graph()
    watched = sensor.asset_selection.resolve(graph)
    assert {key.to_user_string() for key in watched} == SILVER
    assert Follower(operation).tick() == set()


def quiet_dead_runs(operation: Operation) -> None:
    result = operation.tick("dead_runs")
    assert result.said == "0 run rows and 0 Dagster runs were closed"


def quiet_failures(operation: Operation) -> None:
    result = operation.tick("failure_alerts")
    assert result.skipped == "0 failed runs, 0 alerts"
    assert float(result.cursor or 0) > 0
    again = operation.tick("failure_alerts", result.cursor)
    assert again.cursor == result.cursor


def quiet_findings(operation: Operation) -> None:
    result = operation.tick("finding_alerts")
    assert result.skipped == "0 findings, 0 alerts"


QUIET_TICKS: dict[str, Callable[[Operation], None]] = {
    "silver_follows_inputs": quiet_automation,
    "dead_runs": quiet_dead_runs,
    "failure_alerts": quiet_failures,
    "finding_alerts": quiet_findings,
}


def test_every_sensor_is_quiet_where_all_is_well(filled: Operation) -> None:
    for tick in QUIET_TICKS.values():
        tick(filled)
    assert filled.sql("select count(*) from meta.alerts") == [(0,)]


def test_every_sensor_is_quiet_on_an_empty_hub(operation: Operation) -> None:
    for tick in QUIET_TICKS.values():
        tick(operation)


def test_sensors_run_from_the_first_deploy() -> None:
    sensors = few_definitions().get_repository_def().sensor_defs
    assert {sensor.default_status for sensor in sensors} == {dg.DefaultSensorStatus.RUNNING}
