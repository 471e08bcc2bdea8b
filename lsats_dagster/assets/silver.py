"""Silver assets: one per definition in sql/silver."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from lsats_dagster.assets.common import AssetEvent, Step, asset_key, materialize, table_asset
from lsats_dagster.automation.conditions import FOLLOW_INPUTS
from lsats_dagster.database import Database
from lsats_dagster.resources import HubDatabase
from lsats_dagster.runs import Origin, Run
from lsats_dagster.settings import load_settings
from lsats_dagster.source import NIGHTLY
from lsats_dagster.transforms.checks import QUALITY_THRESHOLD
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import refresh, subject


class RefreshConfig(dg.Config):
    """What one refresh may be asked for."""

    full: bool = Field(False, description="Compute every row, not only what changed inputs reach.")
    dry_run: bool = Field(False, description="Compute and compare, write nothing.")


def column_lineage(definition: Definition) -> dg.TableColumnLineage:
    """Which columns of its inputs each column is made from. Told with each materialization: it takes a look at the SQL, which
    loading the hub does without.
    """
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(asset_key(table), name)
                for table, name in sorted({(origin.table, origin.column) for origin in origins})
                if not table.startswith("curated.")
            ]
            for column, origins in definition.origins.items()
        }
    )


def silver_asset(definition: Definition, reached_by: set[str]) -> dg.AssetsDefinition:
    """The asset that refreshes one silver table; `reached_by` as `sources_of` gives it."""

    @table_asset(
        definition.name,
        group=definition.group,
        kinds={"postgres", "sql"},
        source=min(reached_by) if len(reached_by) == 1 else None,
        about=f"{definition.row}\n\n{definition.description}",
        columns=((column.name, column.type, column.comment) for column in definition.columns),
        checks=[
            ("integrity", "Keys are unique, every flag has its deduction, few references lead nowhere."),
            ("quality", f"The mean quality score of present rows is at least {QUALITY_THRESHOLD}."),
        ],
        inputs=[name for name in definition.inputs if not name.startswith("curated.")],
        cadence=NIGHTLY,
        code_version=definition.hash[:12],
        automation_condition=FOLLOW_INPUTS,
    )
    def refresh_table(
        context: dg.AssetExecutionContext, config: RefreshConfig, hub: HubDatabase
    ) -> Iterator[AssetEvent]:
        def work(database: Database, origin: Origin) -> Run:
            # What cannot be told is found before anything is written.
            _ = definition.origins
            return refresh(
                database,
                definition,
                origin=origin,
                full=config.full,
                dry_run=config.dry_run,
                lock_wait_seconds=load_settings().lock_wait_seconds,
            )

        step = Step(
            context,
            hub,
            definition.name,
            subject(definition),
            full=config.full,
            dry_run=config.dry_run,
            about=lambda: {"dagster/column_lineage": column_lineage(definition)},
        )
        yield from materialize(step, work)

    return refresh_table
