"""What all assets share: metadata keys, checks, column schemas, and the border where errors become Dagster's."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import dagster as dg

from lsats_dagster.automation.cadence import freshness_policy
from lsats_dagster.clients.errors import TransientSourceError
from lsats_dagster.database import Database, DatabaseError, LockTimeoutError
from lsats_dagster.ingestion.stream import UnprovenReadError
from lsats_dagster.resources import HubDatabase
from lsats_dagster.runs import Mode, Origin, Run, Subject, describe_error, record_failure
from lsats_dagster.settings import ConfigurationError

OWNERS = ["team:lsats"]
# How a step is tried again; see `run_engine`.
RETRIES = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)

APPROVE_REMOVALS = "Run id (lsats/ingestion_run_id) whose refused removals you have found to be right."

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
REMOVAL_GUARD = ("removal_guard", "What is gone at the source stays within the limit of one run.")
BALANCE = ("integrity", "Every record that was read was written, skipped or kept aside.")


def check_specs(table: str, *checks: tuple[str, str]) -> list[dg.AssetCheckSpec]:
    """Specs of the checks that the asset's own step reports, as (name, description)."""
    return [dg.AssetCheckSpec(name, asset=asset_key(table), description=text) for name, text in (*checks, VOLUME)]


def approved_run(run_id: str | None) -> UUID | None:
    """The run that `approve_removals` names; ConfigurationError when it is no run id."""
    try:
        return UUID(run_id) if run_id else None
    except ValueError:
        raise ConfigurationError("approve_removals is no run id; the refusing run's message names its own") from None


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
    )


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


def run_engine(
    context: dg.AssetExecutionContext,
    hub: HubDatabase,
    table: str,
    subject: Subject,
    work: Callable[[Database, Origin], Run],
    *,
    full: bool,
    dry_run: bool,
) -> Run:
    """Do `work` of a step; a run that could not begin has its row all the same, of the mode that `full` says.

    Whatever is raised becomes a Failure without cause, because causes may quote rows. Only what another try can mend is
    tried again: time-outs, 429, 5xx, lost connections. An interrupt ends the step.
    """
    mode: Mode = "full" if full else "incremental"
    began = time.monotonic()
    asked_by = Origin(asset_key(table).to_user_string(), context.run.run_id)
    try:
        database = hub.open()
        try:
            return work(database, asked_by)
        except Exception as error:
            if not dry_run:
                with suppress(DatabaseError):
                    record_failure(database, subject, mode, asked_by, error, elapsed=time.monotonic() - began)
            raise
    except Exception as error:
        transient = isinstance(error, TransientSourceError) or (isinstance(error, DatabaseError) and error.transient)
        retry = transient and context.retry_number < RETRIES.max_retries
        message = f"{describe_error(error)} ({outlook(error, transient, context.retry_number)})"
    failure = dg.Failure(message, metadata={"lsats/error": message}, allow_retries=False)
    if retry:
        # Not a policy of the asset: Dagster would apply it to interrupts too, and nothing could stop a step.
        wait = RETRIES.calculate_delay(context.retry_number + 1)
        raise dg.RetryRequested(max_retries=RETRIES.max_retries, seconds_to_wait=wait) from failure
    raise failure


def outlook(error: Exception, transient: bool, retries_made: int) -> str:
    """Whether another try can help, for people who read the failure."""
    if isinstance(error, UnprovenReadError):
        return "what was read is kept; the next run reads it all again"
    if isinstance(error, LockTimeoutError):
        return "nothing was read or written"
    if not transient:
        return "another try does not help before its cause is mended"
    if retries_made < RETRIES.max_retries:
        return "it is tried again"
    return f"tried {retries_made + 1} times; the next run may do better"


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
