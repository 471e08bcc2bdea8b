"""The whole hub on one page, as Dagster loads it. Needs no environment, no network and no database."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from lsats_dagster.assets.bronze import BRONZE_ASSETS
from lsats_dagster.assets.enriched import ENRICHED_ASSETS
from lsats_dagster.assets.silver import SILVER_ASSETS
from lsats_dagster.automation.jobs import JOBS
from lsats_dagster.automation.schedules import SCHEDULES
from lsats_dagster.automation.sensors import SENSORS
from lsats_dagster.resources import HubDatabase, SourceClients


def build_definitions(overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """New definitions of everything; `overrides` replaces resources by name (hub, clients)."""
    resources: dict[str, Any] = {"hub": HubDatabase(), "clients": SourceClients()}
    return dg.Definitions(
        assets=[*BRONZE_ASSETS, *ENRICHED_ASSETS, *SILVER_ASSETS],
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
        resources=resources | dict(overrides or {}),
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` and `dg` load."""
    return build_definitions()
