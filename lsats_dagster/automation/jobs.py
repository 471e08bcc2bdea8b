"""Jobs: what is run together. A source's job covers its bronze, enriched and source tables."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field, create_model

from lsats_dagster.assets.common import APPROVE_REMOVALS, step_of
from lsats_dagster.assets.silver import RefreshConfig
from lsats_dagster.assets.streams import ChangesConfig, config_of
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.source import Source
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import subject
from lsats_dagster.watched import sources_of

# What define_asset_job returns has no public name.
UnresolvedJob = Any
# Minutes: more than any source needs.
NO_LIMIT = 10**9
# Dagster's console log stays silent: the hub's own lines say the same in fewer words.
QUIET_CONSOLE: dict[str, Any] = {"console": {"config": {"log_level": "CRITICAL"}}}
INGEST_SUFFIX, BACKFILL_SUFFIX, DETAILS_SUFFIX = "_ingest", "_backfill", "_details"
SILVER_REFRESH, HUB_DAILY = "silver_refresh", "hub_daily"


def source_tag(source: Source) -> dict[str, str]:
    """The tag of runs that call this source: they wait for one another."""
    return {"lsats/source": source.name}


def side_by_side(source: Source) -> dg.ExecutorDefinition | None:
    """As many steps at a time as the source has detail streams, because each of them has an allowance of its own. None where
    there is one at most: steps run in the process of their run, which costs less.
    """
    detail_streams = sum(isinstance(stream, DetailStream) for stream in source.streams)
    if detail_streams < 2:
        return None
    # A server that has loaded the hub starts a step in a tenth of the time that a new process takes to load it.
    start = {"forkserver": {"preload_modules": ["lsats_dagster.definitions"]}}
    return dg.multiprocess_executor.configured({"max_concurrent": detail_streams, "start_method": start})


def ingest_job(source: Source) -> UnresolvedJob:
    """The job that reads one source and refreshes the tables made of it alone."""
    return dg.define_asset_job(
        f"{source.name}{INGEST_SUFFIX}",
        selection=dg.AssetSelection.tag("lsats/source", source.name),
        description=f"Reads {source.title} into bronze, fetches due details, refreshes its source tables.",
        executor_def=side_by_side(source),
        tags=source_tag(source),
    )


def details_job(source: Source) -> UnresolvedJob:
    """The job that fetches due details of one source."""
    return dg.define_asset_job(
        f"{source.name}{DETAILS_SUFFIX}",
        selection=dg.AssetSelection.key_prefixes("enriched") & dg.AssetSelection.tag("lsats/source", source.name),
        description=f"Fetches details of {source.title} that are due, within a budget of minutes, all streams side by side.",
        executor_def=side_by_side(source),
        tags=source_tag(source),
    )


class BackfillConfig(dg.Config):
    """What a backfill of one source may be asked for."""

    full: bool = Field(
        False,
        description="Read and fetch everything again and compute whole silver tables. Goes on where the last one stopped.",
    )
    budget: int | None = Field(None, ge=0, description="Most calls for each kind of detail; default: all that are due.")
    approve_removals: str | None = Field(None, description=APPROVE_REMOVALS)
    dry_run: bool = Field(False, description="Read and compare, write nothing.")


def backfill_config(source: Source) -> type[BackfillConfig]:
    """The same, with `since` where a stream of the source can answer it."""
    if not any(issubclass(config_of(stream), ChangesConfig) for stream in source.streams):
        return BackfillConfig
    field = ChangesConfig.model_fields["since"]
    return create_model("ChangesBackfillConfig", __base__=BackfillConfig, since=(str | None, field))


def op_configs(
    sources: Sequence[Source], tables: Sequence[Definition], keys: Collection[str], asked: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The run config of the steps of these assets: each gets the part of `asked` that it knows."""
    kinds: dict[str, type[dg.Config]] = {
        stream.label: config_of(stream) for source in sources for stream in source.streams
    }
    kinds |= {subject(definition).label: RefreshConfig for definition in tables}
    known = {key: {name: asked[name] for name in kinds[key].model_fields if name in asked} for key in keys}
    return {step_of(key): {"config": values} for key, values in known.items() if values}


def backfill_job(source: Source, sources: Sequence[Source], tables: Sequence[Definition]) -> UnresolvedJob:
    """The job that brings one source up to date through to the merged tables, whatever its schedule."""

    keys = [stream.label for stream in source.streams]
    keys += [subject(table).label for table in tables if source.name in sources_of(table, sources, tables)]

    def to_assets(config: BackfillConfig) -> dg.RunConfig:
        asked = {"minutes": NO_LIMIT} | config.model_dump(exclude_none=True)
        return dg.RunConfig(ops=op_configs(sources, tables, keys, asked), loggers=QUIET_CONSOLE)

    # Dagster reads the type of the config from the annotation.
    to_assets.__annotations__["config"] = backfill_config(source)
    return dg.define_asset_job(
        f"{source.name}{BACKFILL_SUFFIX}",
        selection=dg.AssetSelection.tag("lsats/source", source.name).downstream(),
        config=dg.config_mapping(to_assets),
        description=(
            f"Reads {source.title} again, fetches its details, and refreshes everything made of it. Can be stopped and "
            "started again at any time, also while the nightly run goes on: they wait for one another list by list."
        ),
        executor_def=side_by_side(source),
        # Details at 60 calls a minute take their time.
        tags={**source_tag(source), "dagster/max_runtime": str(3 * 24 * 3600)},
    )


def build_jobs(sources: Sequence[Source], tables: Sequence[Definition]) -> dict[str, UnresolvedJob]:
    """Every job by its name."""
    jobs = [
        *(ingest_job(source) for source in sources),
        *(backfill_job(source, sources, tables) for source in sources),
        *(details_job(source) for source in sources if source.details is not None),
        dg.define_asset_job(
            SILVER_REFRESH,
            selection=dg.AssetSelection.key_prefixes("silver"),
            description="Brings every silver table up to date with what bronze holds.",
        ),
        dg.define_asset_job(
            HUB_DAILY,
            selection=dg.AssetSelection.all(),
            description=(
                "Everything: all lists, due details, silver. The nightly schedule asks it for what is due by its cadence."
            ),
        ),
    ]
    return {job.name: job for job in jobs}
