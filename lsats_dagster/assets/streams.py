"""Bronze and enriched assets: one per stream, made from its declaration."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from lsats_dagster.assets.common import (
    APPROVE_REMOVALS,
    BALANCE,
    REMOVAL_GUARD,
    AssetEvent,
    Step,
    approved_run,
    materialize,
    table_asset,
)
from lsats_dagster.database import Database
from lsats_dagster.ingestion.details import enrich
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.views import COLUMNS, StreamDeclaration
from lsats_dagster.resources import HubDatabase, SourceClients
from lsats_dagster.runs import Origin, Run
from lsats_dagster.settings import ConfigurationError, load_settings
from lsats_dagster.source import Source


class ReadConfig(dg.Config):
    """What one run of a list stream may be asked for."""

    limit: int | None = Field(None, ge=0, description="Stop after so many records; nothing is removed then.")
    approve_removals: str | None = Field(None, description=APPROVE_REMOVALS)
    dry_run: bool = Field(False, description="Read and compare, write nothing.")

    def request(self) -> ReadRequest:
        """The same for the engine."""
        approved = approved_run(self.approve_removals)
        return ReadRequest(limit=self.limit, approve_removals=approved, dry_run=self.dry_run)


class ChangesConfig(ReadConfig):
    """The same of a list stream whose source can tell what changed."""

    full: bool = Field(False, description="Read everything, not only what changed since the last run.")
    since: str | None = Field(
        None,
        description="Read what changed since this moment (2026-01-31T08:00:00-05:00); the next run goes on as before.",
    )

    def request(self) -> ReadRequest:
        """The same for the engine."""
        asked = super().request()
        return ReadRequest(asked.limit, self.full, moment(self.since), asked.approve_removals, asked.dry_run)


class DetailConfig(dg.Config):
    """What one run of a detail stream may be asked for."""

    full: bool = Field(False, description="Fetch every detail again; goes on where the last such run stopped.")
    budget: int | None = Field(None, ge=0, description="Most calls of this run; default: as many as its minutes allow.")
    minutes: int | None = Field(
        None, gt=0, description="Begin no call after so many minutes; default: DETAIL_BUDGET_MINUTES."
    )
    approve_removals: str | None = Field(None, description=APPROVE_REMOVALS)
    dry_run: bool = Field(False, description="Report what is due, make no call, write nothing.")

    def request(self) -> ReadRequest:
        """The same for the engine, without the minutes."""
        approved = approved_run(self.approve_removals)
        return ReadRequest(limit=self.budget, full=self.full, approve_removals=approved, dry_run=self.dry_run)


StreamConfig = ReadConfig | DetailConfig


def moment(text: str | None) -> datetime | None:
    """A moment with its zone, or ConfigurationError."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        found = None
    if text and (found is None or found.tzinfo is None):
        raise ConfigurationError("since is no moment with a zone, such as 2026-01-31T08:00:00-05:00")
    return found


def config_of(stream: StreamDeclaration) -> type[StreamConfig]:
    """What a run of `stream` may be asked for."""
    if isinstance(stream, DetailStream):
        return DetailConfig
    return ChangesConfig if stream.whole_every is not None else ReadConfig


def upstream_of(stream: StreamDeclaration) -> list[StreamDeclaration]:
    """The streams whose keys this one is asked by."""
    parent = stream.list_stream if isinstance(stream, DetailStream) else stream.parent
    return [] if parent is None else [parent]


def stream_asset(source: Source, stream: StreamDeclaration) -> dg.AssetsDefinition:
    """The asset that brings `stream` up to date: a list is read, details are fetched within their budget."""
    table = f"{stream.layer}.{stream.table}"
    config_type = config_of(stream)

    def run_stream(
        context: dg.AssetExecutionContext, config: StreamConfig, hub: HubDatabase, clients: SourceClients
    ) -> Iterator[AssetEvent]:
        def work(database: Database, origin: Origin) -> Run:
            client = clients.open(source, database, dry_run=config.dry_run)
            return run_engine(source, stream, client, database, config, origin)

        full = not isinstance(config, DetailConfig) or config.full
        yield from materialize(Step(context, hub, table, stream.subject, full=full, dry_run=config.dry_run), work)

    # Dagster reads the type of the config from the annotation.
    run_stream.__annotations__["config"] = config_type
    decorate = table_asset(
        table,
        group=source.name,
        kinds={"postgres", source.transport},
        source=source.name,
        about=f"{stream.row}\n\n{stream.description}",
        columns=((name, *spec) for name, spec in COLUMNS.items()),
        checks=[BALANCE, REMOVAL_GUARD],
        inputs=[f"{parent.layer}.{parent.table}" for parent in upstream_of(stream)],
        cadence=source.cadence_of(stream),
        # Details take longer than anyone should wait for a lock. A list does not, and a backfill, which works on details for
        # days, must not keep a night from reading it. Details of another stream have an allowance of their own.
        pool=stream.table if isinstance(stream, DetailStream) else None,
    )
    return decorate(run_stream)


def run_engine(
    source: Source, stream: StreamDeclaration, client: Any, database: Database, config: StreamConfig, origin: Origin
) -> Run:
    """One run of `stream` as its config asks."""
    settings = load_settings()
    if isinstance(stream, DetailStream):
        assert isinstance(config, DetailConfig)
        assert source.details is not None
        return enrich(
            database,
            stream,
            client,
            request=config.request(),
            origin=origin,
            minutes=config.minutes or settings.detail_budget_minutes,
            every_minutes=source.details.every_minutes,
            workers=settings.detail_workers,
            max_age=timedelta(days=settings.detail_max_age_days),
            lock_wait_seconds=settings.lock_wait_seconds,
        )
    return ingest(
        database,
        stream,
        client,
        request=config.request(),
        origin=origin,
        batch_size=settings.batch_size,
        lock_wait_seconds=settings.lock_wait_seconds,
    )
