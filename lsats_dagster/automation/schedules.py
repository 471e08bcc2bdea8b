"""Schedules: what runs when. Times are local to the university; how often a table is due stands in the table of cadences."""

from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg

from lsats_dagster.assets.common import asset_key
from lsats_dagster.assets.silver import DEFINITIONS
from lsats_dagster.automation.cadence import DAILY, TIME_ZONE, cadence_of
from lsats_dagster.automation.jobs import HUB_DAILY, TDX_DETAILS
from lsats_dagster.settings import load_settings
from lsats_dagster.sources import STREAMS

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def due_tables(moment: datetime) -> list[str]:
    """The tables that the nightly run of `moment` brings up to date, as `<layer>.<table>`.

    Those whose cadence falls on it; of the sources those that are set up at all. One that is set up by half is read, and
    fails with what it lacks.
    """
    settings = load_settings()
    tables = [f"{s.layer}.{s.table}" for s in STREAMS if settings.is_set_up(s.source_system)]
    tables += [definition.name for definition in DEFINITIONS]
    return [table for table in tables if cadence_of(table).is_due_at(moment)]


@dg.schedule(
    job=HUB_DAILY,
    cron_schedule=DAILY.cron,
    execution_timezone=TIME_ZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="What is due by its cadence, once a night: lists of all sources that are set up, then silver.",
)
def hub_daily_at_two(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    moment = context.scheduled_execution_time.astimezone(ZoneInfo(TIME_ZONE))
    return dg.RunRequest(asset_selection=[asset_key(table) for table in due_tables(moment)])


@dg.schedule(
    job=TDX_DETAILS,
    cron_schedule=cadence_of("enriched.tdx_department_details").cron,
    execution_timezone=TIME_ZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Works off the queue of TeamDynamix details, 25 minutes of calls at a time.",
)
def tdx_details_all_day(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    if not load_settings().is_set_up("tdx"):
        return dg.SkipReason("TeamDynamix is not set up")
    # Runs of one source wait for one another; behind a backfill of two days there would be a hundred of these.
    if context.instance.get_runs(dg.RunsFilter(tags={"lsats/source": "tdx"}, statuses=UNDER_WAY), limit=1):
        return dg.SkipReason(
            "another run of this source is under way; it fetches details itself, or the next tick does"
        )
    return dg.RunRequest()


SCHEDULES = [hub_daily_at_two, tdx_details_all_day]
