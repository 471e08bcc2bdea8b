"""The whole hub on one page, as Dagster loads it. Needs no environment, no network and no database."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from lsats_dagster.assets.silver import silver_asset
from lsats_dagster.assets.streams import stream_asset
from lsats_dagster.automation.jobs import build_jobs
from lsats_dagster.automation.schedules import build_schedules
from lsats_dagster.automation.sensors import build_sensors
from lsats_dagster.resources import HubDatabase, SourceClients
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.source import Source
from lsats_dagster.sources import SOURCES
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster.watched import sources_of


def build_definitions(
    sources: Sequence[Source] = SOURCES,
    tables: Sequence[Definition] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """A hub of these sources and silver tables (default: those of sql/silver), new at each call.

    `overrides` replaces resources by name (hub, clients).
    """
    tables = load_definitions(SQL_ROOT) if tables is None else tables
    resources: dict[str, Any] = {"hub": HubDatabase(), "clients": SourceClients()}
    jobs = build_jobs(sources, tables)
    return dg.Definitions(
        assets=[
            *(stream_asset(source, stream) for source in sources for stream in source.streams),
            *(silver_asset(definition, sources_of(definition, sources, tables)) for definition in tables),
        ],
        jobs=list(jobs.values()),
        schedules=build_schedules(jobs, sources, tables),
        sensors=build_sensors(sources, tables),
        resources=resources | dict(overrides or {}),
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` and `dg` load."""
    return build_definitions()
