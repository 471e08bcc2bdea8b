"""How often each table is brought up to date, and when it counts as late: the one table of cadences."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

TIME_ZONE = "America/Detroit"


@dataclass(frozen=True)
class Cadence:
    """When a table is due (cron, local to the university), and after which age it is shown yellow and red."""

    cron: str
    warn_after: timedelta
    late_after: timedelta

    def is_due_at(self, moment: datetime) -> bool:
        """Whether the nightly run of `moment` (local time) brings the table up to date: daily, or weekly on that day."""
        minute_and_hour, weekday = self.cron.split()[:2], self.cron.split()[4]
        return minute_and_hour == DAILY.cron.split()[:2] and weekday in ("*", str(moment.isoweekday() % 7))


DAILY = Cadence("0 2 * * *", timedelta(hours=26), timedelta(hours=36))
# What is not named here is daily.
CADENCES: Mapping[str, Cadence] = {
    # All day, within the rate limit.
    "enriched.tdx_department_details": Cadence("*/30 * * * *", timedelta(hours=3), timedelta(hours=26)),
}


def cadence_of(table: str) -> Cadence:
    """The cadence of `<layer>.<table>`."""
    return CADENCES.get(table, DAILY)


def freshness_policy(table: str) -> dg.FreshnessPolicy:
    """The same as Dagster shows it."""
    cadence = cadence_of(table)
    return dg.FreshnessPolicy.time_window(fail_window=cadence.late_after, warn_window=cadence.warn_after)


# Silver follows an input whose data version (its watermark) moved: a read that found nothing new moves nothing.
FOLLOW_INPUTS = (
    dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
    .since(dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated())
    .with_label("an input really changed")
    & ~dg.AutomationCondition.in_progress()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.any_deps_missing()
)
