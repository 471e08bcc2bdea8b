"""Bronze assets: one per list stream, made from its declaration."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import dagster as dg
from pydantic import Field

from lsats_dagster.assets.common import BALANCE, AssetEvent, client_of, engine_border, origin, report, table_asset
from lsats_dagster.ingestion.extract import ReadRequest, ingest
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.ingestion.views import COLUMNS
from lsats_dagster.resources import HubDatabase, SourceClients
from lsats_dagster.settings import ConfigurationError, load_settings
from lsats_dagster.sources import STREAMS


class ReadConfig(dg.Config):
    """What one run of a list stream may be asked for."""

    limit: int | None = Field(None, ge=0, description="Stop after so many records; nothing is removed then.")
    approve_removals: str | None = Field(
        None, description="Run id (lsats/ingestion_run_id) whose refused removals you have found to be right."
    )
    dry_run: bool = Field(False, description="Read and compare, write nothing.")

    def request(self) -> ReadRequest:
        """The same for the engine."""
        try:
            approved = UUID(self.approve_removals) if self.approve_removals else None
        except ValueError:
            raise ConfigurationError(
                "approve_removals is no run id; the refusing run's message names its own"
            ) from None
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
        checks=[
            BALANCE,
            ("removal_guard", "What is gone at the source stays within the limit of one run."),
        ],
    )
    def read_stream(
        context: dg.AssetExecutionContext, config: ReadConfig, hub: HubDatabase, clients: SourceClients
    ) -> Iterator[AssetEvent]:
        def work() -> Any:
            settings = load_settings()
            database, asked_by = hub.open(), origin(context, table)
            return ingest(
                database,
                stream,
                client_of(stream, clients, database, asked_by, dry_run=config.dry_run),
                request=config.request(),
                origin=asked_by,
                batch_size=settings.batch_size,
                lock_wait_seconds=settings.lock_wait_seconds,
            )

        yield from report(context, table, engine_border(context, work))

    return read_stream


BRONZE_ASSETS = [bronze_asset(stream) for stream in STREAMS if isinstance(stream, ListStream)]
