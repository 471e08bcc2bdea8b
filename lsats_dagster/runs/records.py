"""A row of meta.ingestion_runs: what it records, how it is opened and closed.

The functions take a connection that holds the writer lock of the stream or table.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from uuid import UUID

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from lsats_dagster.database import Database, as_database_error

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
    """What a run writes: a stream, or a silver table under the source system `silver_transformation`.

    asset: its asset key, by which people know it; rows of runs are found without it.
    """

    source_system: str
    entity_type: str
    asset: str | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Of its lock."""
        return f"{self.source_system}/{self.entity_type}"

    @property
    def label(self) -> str:
        """Of its messages."""
        return self.asset or self.name


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


# What a run says that a person or the service manager ended.
STOPPED = "stopped; what it had finished is kept, the next run goes on from there"


def describe_error(error: BaseException) -> str:
    """The message of our own errors, which are written to hold no row contents; of any other only its class.

    What is no Exception is somebody's word to stop.
    """
    if not isinstance(error, Exception):
        return STOPPED
    if isinstance(error, SQLAlchemyError | psycopg.Error):
        error = as_database_error(error)
    name = type(error).__name__
    return f"{name}: {error}" if type(error).__module__.split(".")[0] == __name__.split(".")[0] else name


def open_run(connection: Connection, subject: Subject, mode: Mode, origin: Origin, metadata: dict[str, Any]) -> Run:
    """Insert the row of a new run, and commit it."""
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
    run.metadata |= {"row_count": run.row_count, "checks": [asdict(check) for check in run.checks]}
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


def newest_run(database: Database, subject: Subject) -> int:
    """The number of the newest run of a subject; 0 before the first."""
    with database.transaction() as connection:
        return int(
            connection.execute(
                text(
                    "select coalesce(max(run_seq), 0) from meta.ingestion_runs "
                    "where source_system = :source_system and entity_type = :entity_type"
                ),
                asdict(subject),
            ).scalar_one()
        )


def record_failure(
    database: Database, subject: Subject, mode: Mode, origin: Origin, error: BaseException, *, behind: int
) -> None:
    """The row of a run that failed before it could open one: a lock that another run held, a setting that was missing.

    Nothing is written when the step of `origin` has opened a run behind the one with this number. Its earlier tries have theirs.
    """
    metadata = {"extract": {"state": "partial", "reason": "not begun"}}
    with database.transaction() as connection:
        connection.execute(
            text(
                "insert into meta.ingestion_runs (source_system, entity_type, mode, dagster_run_id, asset_key, status, "
                "completed_at, error_message, metadata) select :source_system, :entity_type, :mode, :dagster_run_id, "
                ":asset_key, 'failed', clock_timestamp(), :error, cast(:metadata as jsonb) where not exists ("
                "select from meta.ingestion_runs where source_system = :source_system and entity_type = :entity_type "
                "and dagster_run_id = :dagster_run_id and asset_key = :asset_key and run_seq > :behind)"
            ),
            {
                **asdict(subject),
                "mode": mode,
                **asdict(origin),
                "error": describe_error(error),
                "metadata": json.dumps(metadata),
                "behind": behind,
            },
        )


def summary(run: Run) -> str:
    """The closing block of a run, one figure per line."""
    counts = run.counts
    share = f" ({counts.skipped / counts.processed:.0%})" if counts.processed else ""
    lines = [
        f"{'=' * 60}",
        f"📊 {run.subject.label}{' 🧪 dry run, nothing written' if run.dry else ''}",
        f"Processed: {counts.processed}",
        f"├─ 🆕 New: {counts.created}",
        f"├─ 📝 Updated: {counts.updated}",
        f"├─ ⏭️ Unchanged: {counts.skipped}{share}",
        f"├─ Removed: {counts.removed}",
        f"└─ ⚠️ Quarantined: {counts.failed}",
    ]
    if run.quality_mean is not None:
        lines.append(f"Quality: {run.quality_mean:.2f}")
    lines += [f"Duration: {run.seconds:.2f} s", f"{'=' * 60}"]
    return "\n".join(lines)
