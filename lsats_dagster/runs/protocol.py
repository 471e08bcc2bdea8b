"""How every engine runs: one writer per stream or table, a row that is closed whatever happens, a dry run that writes nothing.

The writer lock is what makes `reap` safe: whoever holds it knows that no other owner lives.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from lsats_dagster.database import Database, DatabaseError, LockTimeoutError, release_lock, take_lock
from lsats_dagster.local_time import local
from lsats_dagster.runs.records import Mode, Origin, Run, Subject, close_run, open_run, summary

logger = logging.getLogger(__name__)

DIED = "the process ended before it could close this run"
# A run that wrote a smaller share of the rows leaves the statistics as they are.
STATISTICS_SHARE = 0.10


@dataclass
class Work:
    """What an engine may write into: the connection of the one writer, and the record of its run."""

    connection: Connection
    run: Run
    ended: bool = False

    def note(self, **facts: Any) -> None:
        """Put facts into the run row now, so that a run that is killed leaves them."""
        self.run.metadata |= facts
        if not self.run.dry:
            with self.connection.begin():
                self.connection.execute(
                    text("update meta.ingestion_runs set metadata = cast(:metadata as jsonb) where run_id = :run_id"),
                    {"metadata": json.dumps(self.run.metadata), "run_id": self.run.run_id},
                )

    @contextmanager
    def last_transaction(self, *, snapshot: bool = False) -> Iterator[None]:
        """The transaction that ends the run: its writes and the completed run row commit together, or, dry, not at all.

        snapshot: all its statements see one state of the database.
        """
        with self.connection.begin() as transaction:
            if snapshot:
                self.connection.exec_driver_sql("set transaction isolation level repeatable read")
            yield
            if self.run.dry:
                self.run.seconds = time.monotonic() - self.run.started
                transaction.rollback()
            else:
                close_run(self.connection, self.run)
        self.ended = True


@contextmanager
def running(
    database: Database,
    subject: Subject,
    mode: Mode,
    origin: Origin,
    *,
    metadata: dict[str, Any],
    statistics: Mapping[str, Sequence[str]],
    dry: bool = False,
    wait_seconds: float,
) -> Iterator[Work]:
    """One run of `subject`: locked, recorded, closed as failed on any exception, summed up in the log.

    The block ends the run by `Work.last_transaction`. statistics: table -> columns that Postgres looks at anew when the run
    wrote a good part of its rows. Raises LockTimeoutError after `wait_seconds`, naming the run that holds the lock.
    """
    with sole_writer(database, subject, wait_seconds=wait_seconds) as connection:
        if dry:
            run = Run(subject, mode, metadata=metadata)
        else:
            reap(connection, subject)
            run = open_run(connection, subject, mode, origin, metadata)
        work = Work(connection, run)
        try:
            yield work
            if not work.ended:
                raise RuntimeError(f"{subject.label}: the run was not ended")
        except BaseException as error:
            if dry:
                connection.rollback()
            else:
                fail_run(database, connection, run, error)
            logger.error("❌ %s: failed after %d records", subject.label, run.counts.processed)
            raise
        if not dry:
            renew_statistics(connection, run, statistics)
    logger.info("%s\n%s", summary(run), "🎉 Completed")


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
                    holder = holder_of(connection, subject) or "another command"
                    told = str(error).replace(subject.name, subject.label, 1)
                    raise LockTimeoutError(f"{told}: {holder}. Try again when it has ended") from None
                taken.append(subject)
            yield connection
        finally:
            for subject in taken:
                release_lock(connection, subject.name)


def holder_of(connection: Connection, subject: Subject) -> str | None:
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
    return f"run {row.run_id}{dagster}, started {local(row.started_at, '%Y-%m-%d %H:%M:%S')}"


def reap(connection: Connection, subject: Subject) -> int:
    """Close the rows that dead owners left open, and commit; returns how many. Needs the subject's writer lock."""
    closed = connection.execute(
        text(
            "update meta.ingestion_runs set status = 'failed', completed_at = clock_timestamp(), "
            "error_message = :message "
            "where source_system = :source_system and entity_type = :entity_type and status = 'running'"
        ),
        {**asdict(subject), "message": DIED},
    ).rowcount
    connection.commit()
    if closed:
        logger.warning("⚠️ %s: closed %d run(s) whose process had died", subject.label, closed)
    return closed


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
            logger.error("❌ %s: the run row could not be closed: %s", run.subject.label, second)


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
