"""Silver assets: one per definition in sql/silver."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from lsats_dagster.assets.common import AssetEvent, report, run_engine, table_asset
from lsats_dagster.automation.cadence import FOLLOW_INPUTS
from lsats_dagster.database import Database
from lsats_dagster.resources import HubDatabase
from lsats_dagster.runs import Origin, Run
from lsats_dagster.settings import SQL_ROOT, load_settings
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.checks import QUALITY_THRESHOLD
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster.transforms.engine import refresh, subject

DEFINITIONS: tuple[Definition, ...] = load_definitions(SQL_ROOT)


class RefreshConfig(dg.Config):
    """What one refresh may be asked for."""

    full: bool = Field(False, description="Compute every row, not only what changed inputs reach.")
    dry_run: bool = Field(False, description="Compute and compare, write nothing.")


def sources_of(definition: Definition) -> set[str]:
    """The source systems whose streams reach this table, also through other tables."""
    streams = {f"{stream.layer}.{stream.table}": {stream.source_system} for stream in STREAMS}
    tables = {table.name: table for table in DEFINITIONS}
    found: set[str] = set()
    for name in definition.inputs:
        found |= sources_of(tables[name]) if name in tables else streams.get(name, set())
    return found


def silver_asset(definition: Definition) -> dg.AssetsDefinition:
    """The asset that refreshes one silver table."""
    sources = sources_of(definition)

    @table_asset(
        definition.name,
        group=definition.group,
        kinds={"postgres", "sql"},
        source=min(sources) if len(sources) == 1 else None,
        about=f"{definition.row}\n\n{definition.description}",
        columns=((column.name, column.type, column.comment) for column in definition.columns),
        checks=[
            ("integrity", "Keys are unique, every flag has its deduction, few references lead nowhere."),
            ("quality", f"The mean quality score of present rows is at least {QUALITY_THRESHOLD}."),
        ],
        inputs=[name for name in definition.inputs if not name.startswith("curated.")],
        code_version=definition.hash[:12],
        automation_condition=FOLLOW_INPUTS,
    )
    def refresh_table(
        context: dg.AssetExecutionContext, config: RefreshConfig, hub: HubDatabase
    ) -> Iterator[AssetEvent]:
        def work(database: Database, origin: Origin) -> Run:
            return refresh(
                database,
                definition,
                origin=origin,
                full=config.full,
                dry_run=config.dry_run,
                lock_wait_seconds=load_settings().lock_wait_seconds,
            )

        run = run_engine(
            context, hub, definition.name, subject(definition), work, full=config.full, dry_run=config.dry_run
        )
        yield from report(context, definition.name, run)

    return refresh_table


SILVER_ASSETS = [silver_asset(definition) for definition in DEFINITIONS]
