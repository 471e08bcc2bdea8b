"""Jobs: what is run together. A source's job covers its bronze, enriched and source tables."""

from typing import Any

import dagster as dg

from lsats_dagster.sources import STREAMS

# What define_asset_job returns has no public name.
UnresolvedJob = Any
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
    description="The daily run: reads what is due of every source, then refreshes silver.",
)
TDX_DETAILS = dg.define_asset_job(
    "tdx_details",
    selection=dg.AssetSelection.key_prefixes("enriched") & dg.AssetSelection.tag("lsats/source", "tdx"),
    description="Fetches TeamDynamix details that are due, within the call budget.",
    tags={"lsats/source": "tdx"},
)

JOBS = [*(ingest_job(source) for source in SOURCES), SILVER_REFRESH, HUB_DAILY, TDX_DETAILS]
