"""Schedules: one table of what runs when. Times are local to the university."""

import dagster as dg

from lsats_dagster.automation.cadence import DAILY, TIME_ZONE, cadence_of
from lsats_dagster.automation.jobs import HUB_DAILY, TDX_DETAILS

SCHEDULES = [
    dg.ScheduleDefinition(
        name="hub_daily_at_two",
        job=HUB_DAILY,
        cron_schedule=DAILY.cron,
        execution_timezone=TIME_ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Everything once a night.",
    ),
    dg.ScheduleDefinition(
        name="tdx_details_all_day",
        job=TDX_DETAILS,
        cron_schedule=cadence_of("enriched.tdx_department_details").cron,
        execution_timezone=TIME_ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Works off the queue of TeamDynamix details, 25 minutes of calls at a time.",
    ),
]
