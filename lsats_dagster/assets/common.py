"""What all assets share: metadata keys, checks, column schemas, and the border where errors become Dagster's."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from lsats_dagster.automation.cadence import freshness_policy
from lsats_dagster.clients.errors import TransientSourceError
from lsats_dagster.database import Database, DatabaseError
from lsats_dagster.ingestion.stream import Stream, UnprovenReadError
from lsats_dagster.resources import SourceClients
from lsats_dagster.runs import Origin, Run, describe_error, record_failure

OWNERS = ["team:lsats"]
# Only transient errors get here as retryable; see `engine_border`.
RETRY_POLICY = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)

AssetEvent = dg.MaterializeResult[Any] | dg.AssetCheckResult


def asset_key(table: str) -> dg.AssetKey:
    """The asset of `<layer>.<table>`."""
    return dg.AssetKey(table.split("."))


def table_metadata(table: str, columns: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """Static metadata of an asset: its table, and its columns as (name, type, description)."""
    schema = dg.TableSchema([dg.TableColumn(name, type_, comment) for name, type_, comment in columns])
    return {"dagster/table_name": table, "dagster/column_schema": schema}


# What every table's own step reports besides its own checks.
VOLUME = ("volume", "Present rows have not fallen by more than a tenth since the last run.")
BALANCE = ("integrity", "Every record that was read was written, skipped or kept aside.")


def check_specs(table: str, *checks: tuple[str, str]) -> list[dg.AssetCheckSpec]:
    """Specs of the checks that the asset's own step reports, as (name, description)."""
    return [dg.AssetCheckSpec(name, asset=asset_key(table), description=text) for name, text in (*checks, VOLUME)]


def table_asset(
    table: str,
    *,
    group: str,
    kinds: set[str],
    source: str | None,
    about: str,
    columns: Iterable[tuple[str, str, str]],
    checks: Sequence[tuple[str, str]],
    inputs: Iterable[str] = (),
    **more: Any,
) -> Callable[[Callable[..., Iterator[AssetEvent]]], dg.AssetsDefinition]:
    """The decorator of every asset: one table, its step, and the checks that the step reports.

    A step may yield nothing, checks included: a dry run is no materialization. Only a subsettable multi-asset of one
    allows that, because the checks of a plain asset are always required.
    """
    spec = dg.AssetSpec(
        key=asset_key(table),
        deps=[asset_key(name) for name in inputs],
        skippable=True,
        group_name=group,
        kinds=kinds,
        owners=OWNERS,
        # A merged table belongs to no source; the job of each of its sources may refresh it.
        tags={"lsats/source": source} if source else {},
        description=about,
        metadata=table_metadata(table, columns),
        freshness_policy=freshness_policy(table),
        **more,
    )
    return dg.multi_asset(
        name=table.replace(".", "__"),
        specs=[spec],
        check_specs=check_specs(table, *checks),
        can_subset=True,
        retry_policy=RETRY_POLICY,
    )


def origin(context: dg.AssetExecutionContext, table: str) -> Origin:
    """Who asked for the run, for its row in meta.ingestion_runs."""
    return Origin(asset_key(table).to_user_string(), context.run.run_id)


def client_of(
    stream: Stream[Any], clients: SourceClients, database: Database, asked_by: Origin, *, dry_run: bool
) -> Any:
    """The client of a stream's source. Where it cannot be opened, the run that could not begin has its row all the same."""
    try:
        return clients.open(stream.source_system, database, dry_run=dry_run)
    except Exception as error:
        if not dry_run:
            record_failure(database, stream.subject, asked_by, error)
        raise


def run_metadata(run: Run) -> dict[str, Any]:
    """Metadata of one materialization: the same keys for every table, numbers wherever there is one."""
    counts = run.counts
    metadata: dict[str, Any] = {
        "dagster/row_count": run.row_count,
        "lsats/processed": counts.processed,
        "lsats/created": counts.created,
        "lsats/updated": counts.updated,
        "lsats/skipped": counts.skipped,
        "lsats/removed": counts.removed,
        "lsats/failed": counts.failed,
        "lsats/quality_mean": run.quality_mean,
        "lsats/watermark": run.watermark,
        "lsats/seconds": round(run.seconds, 3),
        "lsats/mode": run.mode,
        "lsats/ingestion_run_id": str(run.run_id) if run.run_id else None,
    }
    extract = run.metadata.get("extract", {})
    metadata["lsats/extract"] = extract.get("state")
    metadata["lsats/remaining"] = extract.get("remaining")
    metadata["lsats/expected_finish"] = extract.get("expected_finish")
    return {name: value for name, value in metadata.items() if value is not None}


def engine_border(context: dg.AssetExecutionContext, work: Callable[[], Run]) -> Run:
    """Do `work`; whatever it raises becomes a Failure without cause, because causes may quote rows.

    Only what another try can mend keeps its retries: time-outs, 429, 5xx, lost connections, locks.
    """
    try:
        return work()
    except Exception as error:
        retry = isinstance(error, TransientSourceError) or (isinstance(error, DatabaseError) and error.transient)
        message = f"{describe_error(error)} ({outlook(error, retry, context.retry_number)})"
    raise dg.Failure(message, metadata={"lsats/error": message}, allow_retries=retry)


def outlook(error: Exception, retry: bool, retries_made: int) -> str:
    """Whether another try can help, for people who read the failure."""
    if isinstance(error, UnprovenReadError):
        return "what was read is kept; the next run reads it all again"
    if not retry:
        return "another try does not help before its cause is mended"
    return (
        "it is tried again"
        if retries_made < RETRY_POLICY.max_retries
        else f"tried {retries_made + 1} times; the next run may do better"
    )


def report(context: dg.AssetExecutionContext, table: str, run: Run) -> Iterator[AssetEvent]:
    """The events of a finished run. A dry run is an observation: automation must not take it for new data."""
    metadata = run_metadata(run)
    if run.dry:
        context.log_event(
            dg.AssetObservation(asset_key(table), description="dry run, nothing written", metadata=metadata)
        )
        return
    yield dg.MaterializeResult(
        asset_key=asset_key(table),
        metadata=metadata,
        data_version=dg.DataVersion(str(run.watermark)),
        check_results=[
            dg.AssetCheckResult(
                check_name=check.name,
                passed=check.passed,
                severity=dg.AssetCheckSeverity.ERROR if check.severe else dg.AssetCheckSeverity.WARN,
                description=check.description,
                metadata=dict(check.numbers),
            )
            for check in run.checks
        ],
    )
