"""meta.ingestion_runs: every materialization opens a row and closes it, whatever happens.

The functions take a connection that holds the writer lock of the stream or table. That lock is what makes `reap` safe:
whoever holds it knows that no other owner lives.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from lsats_dagster.database import (
    Database,
    DatabaseError,
    LockTimeoutError,
    as_database_error,
    release_lock,
    take_lock,
)

logger = logging.getLogger(__name__)

# A larger share of rows gone between two runs is shown, also where each removal was allowed.
LARGEST_FALL = 0.10
STATISTICS_SHARE = 0.10
DIED = "the process ended before it could close this run"
Mode = Literal["full", "incremental"]


@dataclass
class Counts:
    """What a run did, in records. `processed` = created + updated + skipped + failed for a read; removals come on top."""

    processed: int = 0
    created: int = 0
    updated: int = 0
    skipped: int = 0
    removed: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Subject:
    """What a run writes: a stream, or a silver table under the source system `silver_transformation`."""

    source_system: str
    entity_type: str

    @property
    def name(self) -> str:
        return f"{self.source_system}/{self.entity_type}"


@dataclass(frozen=True)
class Origin:
    """Who asked for the run, as its row records it."""

    asset_key: str | None = None
    dagster_run_id: str | None = None


@dataclass(frozen=True)
class Check:
    """A finding about what a run wrote; `numbers` are counts and names of columns or flags, never row contents.

    severe: red where it fails, else yellow. No check stops a run: what must not land raises before it is written.
    """

    name: str
    passed: bool
    description: str
    numbers: dict[str, int | float | str] = field(default_factory=dict)
    severe: bool = False


@dataclass
class Run:
    """An open run and, after it was closed, its report. A dry run has no id and no row."""

    subject: Subject
    mode: Mode
    run_id: UUID | None = None
    counts: Counts = field(default_factory=Counts)
    metadata: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    watermark: int | None = None
    row_count: int | None = None
    quality_mean: float | None = None
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def dry(self) -> bool:
        return self.run_id is None


def describe_error(error: BaseException) -> str:
    """The message of our own errors, which are written to hold no row contents; of any other only its class."""
    if isinstance(error, SQLAlchemyError | psycopg.Error):
        error = as_database_error(error)
    name = type(error).__name__
    return f"{name}: {error}" if type(error).__module__.split(".")[0] == __name__.split(".")[0] else name


def last_metadata(connection: Connection, subject: Subject) -> dict[str, Any]:
    """Metadata of the newest completed run of `subject`; empty before the first."""
    row = connection.execute(
        text(
            "select metadata from meta.ingestion_runs where source_system = :source_system "
            "and entity_type = :entity_type and status = 'completed' order by run_seq desc limit 1"
        ),
        asdict(subject),
    ).scalar_one_or_none()
    return dict(row or {})


def volume_check(run: Run, before: Mapping[str, Any]) -> Check:
    """Whether the number of present rows fell by more than a tenth since the last completed run (`before`)."""
    previous, now = before.get("row_count") or 0, run.row_count or 0
    numbers: dict[str, int | float | str] = {"rows": now, "rows_before": previous}
    return Check("volume", now >= previous * (1 - LARGEST_FALL), "present rows fell by at most a tenth", numbers)


def running(connection: Connection, subject: Subject) -> str | None:
    """The open run of `subject` in words, to name the holder of its lock."""
    row = connection.execute(
        text(
            "select run_id, dagster_run_id, started_at from meta.ingestion_runs "
            "where source_system = :source_system and entity_type = :entity_type and status = 'running' "
            "order by run_seq desc limit 1"
        ),
        asdict(subject),
    ).one_or_none()
    connection.rollback()
    if row is None:
        return None
    dagster = f" (Dagster run {row.dagster_run_id})" if row.dagster_run_id else ""
    return f"run {row.run_id}{dagster}, started {row.started_at:%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def sole_writer(database: Database, *subjects: Subject, wait_seconds: float) -> Iterator[Connection]:
    """A connection that is the one writer of `subjects`. LockTimeoutError names the run that holds a lock."""
    with database.connect() as connection:
        taken: list[Subject] = []
        try:
            for subject in subjects:
                try:
                    take_lock(connection, subject.name, wait_seconds)
                except LockTimeoutError as error:
                    holder = running(connection, subject) or "another command"
                    raise LockTimeoutError(f"{error}: {holder}. Try again when it has ended") from None
                taken.append(subject)
            yield connection
        finally:
            for subject in taken:
                release_lock(connection, subject.name)


def reap(connection: Connection, subject: Subject) -> int:
    """Close the rows that dead owners left open; returns how many. Needs the subject's writer lock."""
    closed = connection.execute(
        text(
            "update meta.ingestion_runs set status = 'failed', completed_at = clock_timestamp(), "
            "error_message = :message "
            "where source_system = :source_system and entity_type = :entity_type and status = 'running'"
        ),
        {**asdict(subject), "message": DIED},
    ).rowcount
    if closed:
        logger.warning("⚠️ %s: closed %d run(s) whose process had died", subject.name, closed)
    return closed


def close_dead_runs(database: Database) -> int:
    """Close every open row whose owner no longer holds its lock; returns how many. Live runs are not touched."""
    with database.transaction() as connection:
        rows = connection.execute(
            text("select distinct source_system, entity_type from meta.ingestion_runs where status = 'running'")
        )
        subjects = [Subject(**row) for row in rows.mappings()]
    closed = 0
    for subject in subjects:
        with suppress(LockTimeoutError), sole_writer(database, subject, wait_seconds=0) as connection:
            closed += reap(connection, subject)
            connection.commit()
    return closed


def recently_dead(connection: Connection, look_back: timedelta) -> list[str]:
    """Dagster runs of the rows that were closed for a dead owner within `look_back`, and that write nothing now."""
    return list(
        connection.execute(
            text(
                "select distinct r.dagster_run_id from meta.ingestion_runs r where r.error_message = :message "
                "and r.dagster_run_id is not null and r.completed_at > clock_timestamp() - cast(:look_back as interval) "
                "and not exists (select from meta.ingestion_runs l "
                "where l.dagster_run_id = r.dagster_run_id and l.status = 'running')"
            ),
            {"message": DIED, "look_back": look_back},
        ).scalars()
    )


def open_run(connection: Connection, subject: Subject, mode: Mode, origin: Origin, metadata: dict[str, Any]) -> Run:
    """Insert the row of a new run, and commit it."""
    reap(connection, subject)
    run_id = connection.execute(
        text(
            "insert into meta.ingestion_runs (source_system, entity_type, mode, dagster_run_id, asset_key, metadata) "
            "values (:source_system, :entity_type, :mode, :dagster_run_id, :asset_key, cast(:metadata as jsonb)) "
            "returning run_id"
        ),
        {**asdict(subject), "mode": mode, **asdict(origin), "metadata": json.dumps(metadata)},
    ).scalar_one()
    connection.commit()
    return Run(subject, mode, run_id, metadata=metadata)


def close_run(connection: Connection, run: Run, *, error: BaseException | None = None) -> None:
    """Write the final state of `run` in the connection's transaction, which the caller commits."""
    run.seconds = time.monotonic() - run.started
    failed = {check.name: check.description for check in run.checks if not check.passed}
    run.metadata |= {"row_count": run.row_count, "failed_checks": failed}
    connection.execute(
        text(
            "update meta.ingestion_runs set status = :status, completed_at = clock_timestamp(), mode = :mode, "
            "records_processed = :processed, records_created = :created, records_updated = :updated, "
            "records_skipped = :skipped, records_removed = :removed, records_failed = :failed, "
            "error_message = :error, metadata = cast(:metadata as jsonb) where run_id = :run_id"
        ),
        {
            **asdict(run.counts),
            "status": "failed" if error else "completed",
            "mode": run.mode,
            "error": describe_error(error) if error else None,
            "metadata": json.dumps(run.metadata),
            "run_id": run.run_id,
        },
    )


def renew_statistics(connection: Connection, run: Run, tables: Mapping[str, Sequence[str]]) -> None:
    """Let Postgres look anew at these columns of `tables` when `run` wrote a good part of their rows.

    It would do so by itself some minutes later. Until then it takes a table that was just filled for empty, and joins it
    row by row. Columns that nothing is joined or sought by would only cost time.
    """
    written = run.counts.created + run.counts.updated + run.counts.removed
    if written and written >= STATISTICS_SHARE * (run.row_count or 0):
        for table, columns in tables.items():
            connection.execute(
                text("select meta.renew_statistics(cast(:table as regclass), :columns)"),
                {"table": table, "columns": list(columns)},
            )
            connection.commit()


def fail_run(database: Database, connection: Connection, run: Run, error: BaseException) -> None:
    """Close `run` as failed on its own connection, or on a new one when that is broken."""
    try:
        connection.rollback()
        close_run(connection, run, error=error)
        connection.commit()
    except Exception:
        connection.invalidate()
        try:
            with database.transaction() as other:
                close_run(other, run, error=error)
        except DatabaseError as second:
            # The row stays open until the next owner of the lock reaps it; the run's own error is what is raised.
            logger.error("❌ %s: the run row could not be closed: %s", run.subject.name, second)


def record_failure(
    database: Database, subject: Subject, mode: Mode, origin: Origin, error: BaseException, *, elapsed: float
) -> None:
    """The row of a run that failed before it could open one: a lock that another run held, a setting that was missing.

    Nothing is written when the step of `origin` opened a row in these `elapsed` seconds since it began.
    """
    metadata = {"extract": {"state": "partial", "reason": "not begun"}}
    with database.transaction() as connection:
        connection.execute(
            text(
                "insert into meta.ingestion_runs (source_system, entity_type, mode, dagster_run_id, asset_key, status, "
                "completed_at, error_message, metadata) select :source_system, :entity_type, :mode, :dagster_run_id, "
                ":asset_key, 'failed', clock_timestamp(), :error, cast(:metadata as jsonb) where not exists ("
                "select from meta.ingestion_runs where dagster_run_id = :dagster_run_id and asset_key = :asset_key "
                "and started_at >= clock_timestamp() - make_interval(secs => :elapsed))"
            ),
            {
                **asdict(subject),
                "mode": mode,
                **asdict(origin),
                "error": describe_error(error),
                "metadata": json.dumps(metadata),
                "elapsed": elapsed,
            },
        )


def summary(run: Run) -> str:
    """The closing block of a run, one figure per line."""
    counts = run.counts
    unchanged = f" ({counts.skipped / counts.processed:.0%} unchanged)" if counts.processed else ""
    lines = [
        f"{'=' * 60}",
        f"📊 {run.subject.name}{' 🧪 dry run, nothing written' if run.dry else ''}",
        f"Processed: {counts.processed}",
        f"├─ 🆕 New: {counts.created}",
        f"├─ 📝 Updated: {counts.updated}",
        f"├─ ⏭️ Skipped: {counts.skipped}{unchanged}",
        f"├─ Removed: {counts.removed}",
        f"└─ ❌ Failed: {counts.failed}",
    ]
    if run.quality_mean is not None:
        lines.append(f"Quality: {run.quality_mean:.2f}")
    lines += [f"Duration: {run.seconds:.2f} s", f"{'=' * 60}"]
    return "\n".join(lines)


@dataclass(frozen=True)
class Status:
    """The newest run of one stream or table, and its last success.

    A run that was asked for a part (`--limit`, a replay) is no success: it says nothing of how fresh the table is, and its
    checks say nothing of what the last whole run found.
    """

    name: str
    status: str
    started_at: datetime
    completed_at: datetime | None
    first_started_at: datetime
    last_success: datetime | None
    records_processed: int
    error_message: str | None
    failed_checks: dict[str, str]


# A read that a request cut short says so in its extract; what a budget leaves of details is no such reason.
STATUS = """
select s.source_system || '/' || s.entity_type as name, s.status, s.started_at, s.completed_at, f.first_started_at,
    w.completed_at as last_success, s.records_processed, s.error_message, coalesce(w.failed_checks, '{}') as failed_checks
from meta.current_ingestion_status s
cross join lateral (
    select min(r.started_at) as first_started_at
    from meta.ingestion_runs r
    where r.source_system = s.source_system and r.entity_type = s.entity_type
) f
left join lateral (
    select r.completed_at, r.metadata -> 'failed_checks' as failed_checks
    from meta.ingestion_runs r
    where r.source_system = s.source_system and r.entity_type = s.entity_type and r.status = 'completed'
        and not coalesce(r.metadata -> 'extract' ? 'reason', false)
    order by r.run_seq desc
    limit 1
) w on true
order by 1
"""


def status(connection: Connection) -> list[Status]:
    """The state of every stream and table that ever ran, by name."""
    rows = connection.execute(text(STATUS))
    return [Status(**row) for row in rows.mappings()]
