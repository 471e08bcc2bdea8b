"""Silver assets: one per definition in sql/silver."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from lsats_dagster.assets.common import (
    OWNERS,
    RETRY_POLICY,
    AssetEvent,
    asset_key,
    check_specs,
    engine_border,
    origin,
    report,
    table_metadata,
)
from lsats_dagster.resources import HubDatabase
from lsats_dagster.settings import SQL_ROOT, load_settings
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster.transforms.engine import QUALITY_THRESHOLD, refresh

DEFINITIONS: tuple[Definition, ...] = load_definitions(SQL_ROOT)


class RefreshConfig(dg.Config):
    """What one refresh may be asked for."""

    full: bool = Field(False, description="Compute every row, not only what changed inputs reach.")
    dry_run: bool = Field(False, description="Compute and compare, write nothing.")


def source_of(definition: Definition) -> str | None:
    """The source system of a table that reads the streams of one source only."""
    systems = {f"{stream.layer}.{stream.table}": stream.source_system for stream in STREAMS}
    found = {systems.get(name) for name in definition.inputs}
    return found.pop() if len(found) == 1 else None


def silver_asset(definition: Definition) -> dg.AssetsDefinition:
    """The asset that refreshes one silver table."""
    source = source_of(definition)

    @dg.asset(
        key=definition.name.split("."),
        deps=[asset_key(name) for name in definition.inputs if not name.startswith("curated.")],
        group_name=definition.group,
        kinds={"postgres", "sql"},
        owners=OWNERS,
        tags={"lsats/source": source} if source else {},
        description=f"{definition.row}\n\n{definition.description}",
        metadata=table_metadata(definition.name, ((c.name, c.type, c.comment) for c in definition.columns)),
        code_version=definition.hash[:12],
        check_specs=check_specs(
            definition.name,
            [
                ("integrity", "Keys are unique and every flag has its deduction.", True),
                (
                    "quality",
                    f"The mean quality score of present rows is at least {QUALITY_THRESHOLD}.",
                    False,
                ),
            ],
        ),
        output_required=False,
        retry_policy=RETRY_POLICY,
    )
    def refresh_table(
        context: dg.AssetExecutionContext, config: RefreshConfig, hub: HubDatabase
    ) -> Iterator[AssetEvent]:
        def work() -> Any:
            return refresh(
                hub.open(),
                definition,
                origin=origin(context),
                full=config.full,
                dry_run=config.dry_run,
                lock_wait_seconds=load_settings().lock_wait_seconds,
            )

        yield from report(context, engine_border(context, work))

    return refresh_table


SILVER_ASSETS = [silver_asset(definition) for definition in DEFINITIONS]
