"""Schedules: what runs when. Times are local to the university; how often a table is due stands in its source."""

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

import dagster as dg

from lsats_dagster.assets.common import asset_key
from lsats_dagster.automation.jobs import DETAILS_SUFFIX, HUB_DAILY, UnresolvedJob, source_tag
from lsats_dagster.local_time import TIME_ZONE
from lsats_dagster.source import NIGHTLY, NIGHTLY_AT, Source, lacking, none_set_up, set_up
from lsats_dagster.transforms.definition import Definition

NIGHTLY_CRON = f"{NIGHTLY_AT.minute} {NIGHTLY_AT.hour} * * *"
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def due_tables(day: date, sources: Sequence[Source], tables: Sequence[Definition]) -> list[str]:
    """The tables that the nightly run of `day` brings up to date, as `<layer>.<table>`.

    Those whose cadence falls on it; of the sources those that are set up at all. One that is set up by half is read, and
    fails with what it lacks.
    """
    due = [
        f"{stream.layer}.{stream.table}"
        for source in set_up(sources)
        for stream in source.streams
        if source.cadence_of(stream).is_due_on(day)
    ]
    return [*due, *(definition.name for definition in tables if NIGHTLY.is_due_on(day))]


def nightly(job: UnresolvedJob, sources: Sequence[Source], tables: Sequence[Definition]) -> dg.ScheduleDefinition:
    """The schedule of the nightly run."""

    @dg.schedule(
        name="hub_daily_at_two",
        job=job,
        cron_schedule=NIGHTLY_CRON,
        execution_timezone=TIME_ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="What is due by its cadence, once a night: lists of all sources that are set up, then silver.",
    )
    def hub_daily_at_two(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        # Where the hub's settings are not known, silver alone would look like a night in which all went well.
        if reason := none_set_up(sources):
            return dg.SkipReason(reason)
        day = context.scheduled_execution_time.astimezone(ZoneInfo(TIME_ZONE)).date()
        due = due_tables(day, sources, tables)
        # Dagster takes an empty selection for the whole job.
        if not due:
            return dg.SkipReason("no table is due tonight")
        return dg.RunRequest(asset_selection=[asset_key(table) for table in due])

    return hub_daily_at_two


def details_all_day(job: UnresolvedJob, source: Source) -> dg.ScheduleDefinition:
    """The schedule that works off the queue of one source's details."""
    assert source.details is not None

    @dg.schedule(
        name=f"{source.name}_details_all_day",
        job=job,
        cron_schedule=source.details.cron,
        execution_timezone=TIME_ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Works off the queue of details of {source.title}, some minutes at a time.",
    )
    def fetch_all_day(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not source.is_set_up:
            return dg.SkipReason(f"{source.title} is not set up: {lacking([source])}")
        # Runs of one source wait for one another; behind a backfill of two days there would be a hundred of these.
        if context.instance.get_runs(dg.RunsFilter(tags=source_tag(source), statuses=UNDER_WAY), limit=1):
            return dg.SkipReason(
                "another run of this source is under way; it fetches details itself, or the next tick does"
            )
        return dg.RunRequest()

    return fetch_all_day


def build_schedules(
    jobs: dict[str, UnresolvedJob], sources: Sequence[Source], tables: Sequence[Definition]
) -> list[dg.ScheduleDefinition]:
    """Every schedule."""
    return [
        nightly(jobs[HUB_DAILY], sources, tables),
        *(
            details_all_day(jobs[f"{source.name}{DETAILS_SUFFIX}"], source)
            for source in sources
            if source.details is not None
        ),
    ]
