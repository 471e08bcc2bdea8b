"""Bronze assets: one per list stream, made from its declaration."""

from collections.abc import Iterator
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
from lsats_dagster.ingestion.extract import ReadRequest, ingest
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.ingestion.views import COLUMNS
from lsats_dagster.resources import HubDatabase, SourceClients
from lsats_dagster.runs import Origin, Run
from lsats_dagster.settings import load_settings
from lsats_dagster.sources import STREAMS


class ReadConfig(dg.Config):
    """What one run of a list stream may be asked for."""

    limit: int | None = Field(None, ge=0, description="Stop after so many records; nothing is removed then.")
    approve_removals: str | None = Field(None, description=APPROVE_REMOVALS)
    dry_run: bool = Field(False, description="Read and compare, write nothing.")

    def request(self) -> ReadRequest:
        """The same for the engine."""
        approved = approved_run(self.approve_removals)
        return ReadRequest(limit=self.limit, approve_removals=approved, dry_run=self.dry_run)


def bronze_asset(stream: ListStream[Any]) -> dg.AssetsDefinition:
    """The asset that reads `stream` whole into bronze."""
    table = f"{stream.layer}.{stream.table}"

    @table_asset(
        table,
        group=stream.source_system,
        kinds={"postgres", stream.transport},
        source=stream.source_system,
        about=f"{stream.row}\n\n{stream.description}",
        columns=((name, *spec) for name, spec in COLUMNS.items()),
        checks=[BALANCE, REMOVAL_GUARD],
    )
    def read_stream(
        context: dg.AssetExecutionContext, config: ReadConfig, hub: HubDatabase, clients: SourceClients
    ) -> Iterator[AssetEvent]:
        def work(database: Database, origin: Origin) -> Run:
            settings = load_settings()
            return ingest(
                database,
                stream,
                clients.open(stream.source_system, database, dry_run=config.dry_run),
                request=config.request(),
                origin=origin,
                batch_size=settings.batch_size,
                lock_wait_seconds=settings.lock_wait_seconds,
            )

        run = run_engine(context, hub, table, stream.subject, work, full=True, dry_run=config.dry_run)
        yield from report(context, table, run)

    return read_stream


BRONZE_ASSETS = [bronze_asset(stream) for stream in STREAMS if isinstance(stream, ListStream)]
