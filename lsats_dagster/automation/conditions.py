"""When an asset is materialized by itself."""

import dagster as dg

# Silver follows an input whose data version (its watermark) moved: a read that found nothing new moves nothing.
FOLLOW_INPUTS = (
    dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
    .since(dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated())
    .with_label("an input really changed")
    & ~dg.AutomationCondition.in_progress()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.any_deps_missing()
)
