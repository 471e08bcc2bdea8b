"""Enriched assets: one per detail stream, made from its declaration."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from lsats_dagster.assets.common import (
    APPROVE_REMOVALS,
    BALANCE,
    REMOVAL_GUARD,
    AssetEvent,
    approved_run,
    report,
    run_engine,
    table_asset,
)
from lsats_dagster.database import Database
from lsats_dagster.ingestion.details import enrich
from lsats_dagster.ingestion.extract import ReadRequest
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.views import COLUMNS
from lsats_dagster.resources import HubDatabase, SourceClients
from lsats_dagster.runs import Origin, Run
from lsats_dagster.settings import load_settings
from lsats_dagster.sources import STREAMS


class DetailConfig(dg.Config):
    """What one run of a detail stream may be asked for."""

    full: bool = Field(False, description="Fetch every detail again; goes on where the last such run stopped.")
    budget: int | None = Field(None, ge=0, description="Most calls of this run; default: DETAIL_CALL_BUDGET.")
    approve_removals: str | None = Field(None, description=APPROVE_REMOVALS)
    dry_run: bool = Field(False, description="Report what is due, make no call, write nothing.")

    def request(self) -> ReadRequest:
        """The same for the engine, without the budget."""
        approved = approved_run(self.approve_removals)
        return ReadRequest(full=self.full, approve_removals=approved, dry_run=self.dry_run)


def enriched_asset(stream: DetailStream[Any]) -> dg.AssetsDefinition:
    """The asset that fetches what is due of `stream`, within the call budget."""
    table = f"{stream.layer}.{stream.table}"

    @table_asset(
        table,
        group=stream.source_system,
        kinds={"postgres", stream.transport},
        source=stream.source_system,
        about=f"{stream.row}\n\n{stream.description}",
        columns=((name, *spec) for name, spec in COLUMNS.items()),
        checks=[BALANCE, REMOVAL_GUARD],
        inputs=[f"{stream.list_stream.layer}.{stream.list_stream.table}"],
    )
    def fetch_details(
        context: dg.AssetExecutionContext, config: DetailConfig, hub: HubDatabase, clients: SourceClients
    ) -> Iterator[AssetEvent]:
        def work(database: Database, origin: Origin) -> Run:
            settings = load_settings()
            return enrich(
                database,
                stream,
                clients.open(stream.source_system, database, dry_run=config.dry_run),
                request=config.request(),
                origin=origin,
                budget=settings.detail_call_budget if config.budget is None else config.budget,
                workers=settings.detail_workers,
                max_age=timedelta(days=settings.detail_max_age_days),
                lock_wait_seconds=settings.lock_wait_seconds,
            )

        run = run_engine(context, hub, table, stream.subject, work, full=config.full, dry_run=config.dry_run)
        yield from report(context, table, run)

    return fetch_details


ENRICHED_ASSETS = [enriched_asset(stream) for stream in STREAMS if isinstance(stream, DetailStream)]
