"""What all assets share: metadata keys, checks, column schemas, and the border where errors become Dagster's."""

import logging
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakSet

import dagster as dg

from lsats_dagster.clients.errors import TransientSourceError
from lsats_dagster.database import Database, DatabaseError, LockTimeoutError
from lsats_dagster.ingestion.stream import UnprovenReadError
from lsats_dagster.resources import HubDatabase
from lsats_dagster.runs import (
    Check,
    Mode,
    Origin,
    Run,
    Subject,
    describe_error,
    newest_run,
    record_failure,
    standing_checks,
)
from lsats_dagster.settings import ConfigurationError
from lsats_dagster.source import Cadence

T = TypeVar("T")
logger = logging.getLogger(__name__)

OWNERS = ["team:lsats"]
# Metadata of a failure: the class of its error, by which alerts tell one failure from another.
ERROR_KIND = "lsats/error_kind"
# Metadata of a dry run: the checks that the run would turn red, with what they say.
WOULD_FAIL = "lsats/would_fail"
# How a step is tried again; see `guarded`.
RETRIES = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
# A run with this tag tries no step again: a person waits for its answer.
NO_STEP_RETRY = {"lsats/no_retry": "true"}

# Instances whose storage keeps its connection, for so long: shorter than any network in between takes a silent one for dead.
HOLDING: WeakSet[dg.DagsterInstance] = WeakSet()
HOLD_SECONDS = 30

APPROVE_REMOVALS = "Run id (lsats/ingestion_run_id) whose refused removals you have found to be right."

AssetEvent = dg.MaterializeResult[Any] | dg.AssetCheckResult


def asset_key(table: str) -> dg.AssetKey:
    """The asset of `<layer>.<table>`."""
    return dg.AssetKey(table.split("."))


def step_of(key: str) -> str:
    """The step of an asset (`silver/departments`), as Dagster's run config and events name it."""
    return key.replace("/", "__")


def key_of(step: str | None) -> str:
    """The asset key behind a step; empty for what concerns none."""
    return (step or "").replace("__", "/")


def table_metadata(table: str, columns: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """Static metadata of an asset: its table, and its columns as (name, type, description)."""
    schema = dg.TableSchema([dg.TableColumn(name, type_, comment) for name, type_, comment in columns])
    return {"dagster/table_name": table, "dagster/column_schema": schema}


# What every table's own step reports besides its own checks.
VOLUME = ("volume", "The number of present rows stayed near that of the last run.")
REMOVAL_GUARD = ("removal_guard", "What is gone at the source stays within the limit of a day.")
BALANCE = ("integrity", "Every record that was read was written, skipped or quarantined.")


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
    cadence: Cadence,
    inputs: Iterable[str] = (),
    pool: str | None = None,
    **more: Any,
) -> Callable[[Callable[..., Iterator[AssetEvent]]], dg.AssetsDefinition]:
    """The decorator of every asset: one table, its step, and the checks that the step reports.

    A step may yield nothing, checks included: a dry run is no materialization. Only a subsettable multi-asset of one
    allows that, because the checks of a plain asset are always required. pool: runs that hold it queue for one another.
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
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=cadence.late_after, warn_window=cadence.warn_after),
        **more,
    )
    return dg.multi_asset(
        name=table.replace(".", "__"),
        specs=[spec],
        check_specs=check_specs(table, *checks),
        can_subset=True,
        pool=pool,
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


@dataclass(frozen=True)
class Step:
    """One step of a Dagster run over one table, and how it was asked for. about: further metadata of what it writes."""

    context: dg.AssetExecutionContext
    hub: HubDatabase
    table: str
    subject: Subject
    full: bool
    dry_run: bool
    about: Callable[[], Mapping[str, Any]] = dict

    @property
    def writes(self) -> bool:
        """Whether the table itself is asked for; a person can ask for its checks alone."""
        return bool(self.context.selected_asset_keys)


def materialize(step: Step, work: Callable[[Database, Origin], Run]) -> Iterator[AssetEvent]:
    """Do `work` and report it. Checks that are asked for alone are those of the last whole run: nothing is read or written."""
    if not step.writes:
        yield from standing(step)
        return
    end_with_run(step.context)
    hold_connection(step.context.instance)
    run = attempt(step, work)
    if run.dry:
        # An observation: automation must not take it for new data. Without the checks that stand, the UI would show them as
        # skipped, a red one too.
        red = {check.name: check.description for check in run.checks if not check.passed}
        found = {WOULD_FAIL: red} if red else {}
        step.context.log_event(
            dg.AssetObservation(
                asset_key(step.table), description="dry run, nothing written", metadata={**run_metadata(run), **found}
            )
        )
        yield from standing(step)
        return
    results = [check_result(step, check) for check in run.checks]
    made = {check.name for check in run.checks}
    if any(key.name not in made for key in step.context.selected_asset_check_keys):
        # A read of a part judges no removals: that check stands as it was.
        results += [result for result in standing(step) if result.check_name not in made]
    yield dg.MaterializeResult(
        asset_key=asset_key(step.table),
        metadata={**run_metadata(run), **step.about()},
        data_version=dg.DataVersion(str(run.watermark)),
        check_results=results,
    )


def end_with_run(context: dg.AssetExecutionContext) -> None:
    """Interrupt a step that has a process of its own when that of its run has died: it would hold its lock and go on alone."""
    run = multiprocessing.parent_process()
    # Where steps run in the process of their run, its parent is Dagster's server, which may be started anew beneath it.
    if run is None or context.job_def.executor_def.name != dg.multiprocess_executor.name:
        return

    def wait() -> None:
        run.join()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True, name="end with run").start()


def hold_connection(instance: dg.DagsterInstance) -> None:
    """Let the instance's storage keep its connection for a moment. By itself it opens one for each look and each event: forty
    for a table in which nothing has changed, which cost more than all else.
    """
    if instance not in HOLDING:
        HOLDING.add(instance)
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=HOLD_SECONDS, max_overflow=-1)


def standing(step: Step) -> Iterator[dg.AssetCheckResult]:
    """What the last whole run found of the table, once more."""

    def look() -> list[Check]:
        with step.hub.open().transaction() as connection:
            return standing_checks(connection, step.subject)

    found = guarded(step, look)
    selected = {key.name for key in step.context.selected_asset_check_keys}
    yield from (check_result(step, check) for check in found if check.name in selected)


def check_result(step: Step, check: Check) -> dg.AssetCheckResult:
    """A finding as Dagster shows it."""
    return dg.AssetCheckResult(
        asset_key=asset_key(step.table),
        check_name=check.name,
        passed=check.passed,
        severity=dg.AssetCheckSeverity.ERROR if check.severe else dg.AssetCheckSeverity.WARN,
        description=check.description,
        metadata=dict(check.numbers),
    )


def attempt(step: Step, work: Callable[[Database, Origin], Run]) -> Run:
    """Do `work`; a run that could not begin has its row all the same."""
    asked_by = Origin(asset_key(step.table).to_user_string(), step.context.run.run_id)

    def recorded() -> Run:
        database = step.hub.open()
        before = newest_run(database, step.subject)
        try:
            return work(database, asked_by)
        except Exception as error:
            if not step.dry_run:
                mode: Mode = "full" if step.full else "incremental"
                with suppress(DatabaseError):
                    record_failure(database, step.subject, mode, asked_by, error, behind=before)
            raise

    return guarded(step, recorded)


def guarded(step: Step, work: Callable[[], T]) -> T:
    """Do `work`; whatever it raises becomes a Failure of one sentence without cause, because causes may quote rows.

    Only what another try can change is tried again: time-outs, 429, 5xx, lost connections. An interrupt ends the step.
    """
    try:
        return work()
    except Exception as error:
        transient = isinstance(error, TransientSourceError) or (isinstance(error, DatabaseError) and error.transient)
        most = 0 if step.context.run.tags.keys() & NO_STEP_RETRY.keys() else RETRIES.max_retries
        made = step.context.retry_number
        retry = transient and made < most
        message = f"{describe_error(error)} ({outlook(error, transient, made, most)})"
        kind = type(error).__name__
    failure = dg.Failure(message, metadata={"lsats/error": message, ERROR_KIND: kind}, allow_retries=False)
    if retry:
        # Not a policy of the asset: Dagster would apply it to interrupts too, and nothing could stop a step.
        wait = RETRIES.calculate_delay(made + 1)
        told = (asset_key(step.table).to_user_string(), message, made + 2, most + 1, math.ceil(wait))
        logger.warning("🔄 %s: %s; try %d of %d in %d s", *told, extra={"wait": wait})
        # Here and not by Dagster, which hears of an interrupt only after its wait: Ctrl-C and Terminate end this one at once.
        time.sleep(wait)
        raise dg.RetryRequested(max_retries=RETRIES.max_retries, seconds_to_wait=0) from failure
    raise failure


def outlook(error: Exception, transient: bool, retries_made: int, most: int) -> str:
    """Whether another try can help, for people who read the failure."""
    if isinstance(error, UnprovenReadError):
        return "what was read is kept; the next run reads it all again"
    if isinstance(error, LockTimeoutError):
        return "nothing was read or written"
    if not transient:
        return "another try does not help before its cause is fixed"
    if retries_made < most:
        return "it is tried again"
    return f"tried {retries_made + 1} time{'s' * (retries_made > 0)}; the next run may do better"
