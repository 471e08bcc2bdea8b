"""Jobs: what is run together. A source's job covers its bronze, enriched and source tables."""

from typing import Any

import dagster as dg
from pydantic import Field

from lsats_dagster.assets.common import APPROVE_REMOVALS
from lsats_dagster.assets.silver import DEFINITIONS, sources_of
from lsats_dagster.sources import STREAMS

# What define_asset_job returns has no public name.
UnresolvedJob = Any
# For a call budget: more than any source holds.
NO_LIMIT = 10**9
BACKFILL_SUFFIX = "_backfill"
SOURCES = tuple(dict.fromkeys(stream.source_system for stream in STREAMS))


def ingest_job(source_system: str) -> UnresolvedJob:
    """The job that reads one source and refreshes the tables made of it alone."""
    return dg.define_asset_job(
        f"{source_system}_ingest",
        selection=dg.AssetSelection.tag("lsats/source", source_system),
        description=f"Reads {source_system} into bronze, fetches due details, refreshes its source tables.",
        tags={"lsats/source": source_system},
    )


SILVER_REFRESH = dg.define_asset_job(
    "silver_refresh",
    selection=dg.AssetSelection.key_prefixes("silver"),
    description="Brings every silver table up to date with what bronze holds.",
)
HUB_DAILY = dg.define_asset_job(
    "hub_daily",
    selection=dg.AssetSelection.all(),
    description="Everything: all lists, due details, silver. The nightly schedule asks it for what is due by its cadence.",
)
TDX_DETAILS = dg.define_asset_job(
    "tdx_details",
    selection=dg.AssetSelection.key_prefixes("enriched") & dg.AssetSelection.tag("lsats/source", "tdx"),
    description="Fetches TeamDynamix details that are due, within the call budget.",
    tags={"lsats/source": "tdx"},
)


class BackfillConfig(dg.Config):
    """What a backfill of one source may be asked for."""

    full: bool = Field(
        False,
        description="Fetch every detail again and compute whole silver tables. Goes on where the last one stopped.",
    )
    budget: int | None = Field(None, ge=0, description="Most detail calls of this run; default: all that are due.")
    approve_removals: str | None = Field(None, description=APPROVE_REMOVALS)
    dry_run: bool = Field(False, description="Read and compare, write nothing.")


def backfill_job(source_system: str) -> UnresolvedJob:
    """The job that brings one source up to date through to the merged tables, whatever its schedule."""

    @dg.config_mapping
    def to_assets(config: BackfillConfig) -> dg.RunConfig:
        asked = config.model_dump(exclude_none=True)
        budget = {} if "budget" in asked else {"budget": NO_LIMIT}
        ops: dict[str, Any] = {}
        for stream in (stream for stream in STREAMS if stream.source_system == source_system):
            names = ("full", "budget", "dry_run") if stream.layer == "enriched" else ("dry_run",)
            names = (*names, "approve_removals")
            values = asked | budget
            ops[f"{stream.layer}__{stream.table}"] = {name: values[name] for name in names if name in values}
        for definition in DEFINITIONS:
            if source_system in sources_of(definition):
                ops[f"silver__{definition.table}"] = {name: asked[name] for name in ("full", "dry_run")}
        return dg.RunConfig(ops={name: {"config": values} for name, values in ops.items()})

    return dg.define_asset_job(
        f"{source_system}{BACKFILL_SUFFIX}",
        selection=dg.AssetSelection.tag("lsats/source", source_system).downstream(),
        config=to_assets,
        description=(
            f"Reads {source_system} again, fetches its details, and refreshes everything made of it. Can be stopped and "
            "started again at any time, also while the nightly run goes on: they wait for one another list by list."
        ),
        # Details at 60 calls a minute take their time.
        tags={"lsats/source": source_system, "dagster/max_runtime": str(3 * 24 * 3600)},
    )


JOBS = [
    *(ingest_job(source) for source in SOURCES),
    *(backfill_job(source) for source in SOURCES),
    SILVER_REFRESH,
    HUB_DAILY,
    TDX_DETAILS,
]
