"""Schedules: one table of what runs when. Times are local to the university."""

import dagster as dg

from lsats_dagster.automation.jobs import HUB_DAILY, TDX_DETAILS

TIME_ZONE = "America/Detroit"

SCHEDULES = [
    dg.ScheduleDefinition(
        name="hub_daily_at_two",
        job=HUB_DAILY,
        cron_schedule="0 2 * * *",
        execution_timezone=TIME_ZONE,
        description="Everything once a night.",
    ),
    dg.ScheduleDefinition(
        name="tdx_details_all_day",
        job=TDX_DETAILS,
        cron_schedule="*/30 * * * *",
        execution_timezone=TIME_ZONE,
        description="Works off the queue of TeamDynamix details, 25 minutes of calls at a time.",
    ),
]
