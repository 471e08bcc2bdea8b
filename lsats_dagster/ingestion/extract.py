"""A run of a list stream: read, write batch by batch, certify, and mark what is gone.

Only a complete read of everything may remove, and never more than the removal guard allows.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from lsats_dagster.database import Database
from lsats_dagster.ingestion.batch import UnbalancedRunError, resolve_absent_poison
from lsats_dagster.ingestion.removals import present, remove_absent
from lsats_dagster.ingestion.stream import Extract, ListStream, Stream, UnprovenReadError
from lsats_dagster.ingestion.writer import BatchWriter, read_all
from lsats_dagster.runs import (
    Check,
    Mode,
    Origin,
    Run,
    close_run,
    fail_run,
    last_metadata,
    open_run,
    renew_statistics,
    sole_writer,
    summary,
    volume_check,
)

logger = logging.getLogger(__name__)

# More records kept aside than this show that something changed at the source (silver_source_tables.md 3.5).
REJECT_SHARE = 0.005
LEAST_REJECTS = 10

JOINED_BY = {
    "bronze.raw_entities": ("raw_id", "seq", "source_system", "entity_type", "external_id"),
    "bronze.current_entities": ("live_raw_id", "seq", "source_system", "entity_type", "external_id"),
}


@dataclass(frozen=True)
class ReadRequest:
    """What one run is asked to do.

    limit: stop after so many records or calls, which makes the read partial. approve_removals: the run whose refused
    removals a person has approved. full: details fetch everything again, not only what is due; lists always read whole.
    dry_run: compare only, write nothing.
    """

    limit: int | None = None
    full: bool = False
    approve_removals: UUID | None = None
    dry_run: bool = False


def start(
    connection: Connection, stream: Stream[Any], mode: Mode, request: ReadRequest, origin: Origin, **about: str
) -> Run:
    """The open run of a read, or for a dry run a report without a row; `about` goes into its metadata."""
    metadata: dict[str, Any] = {"extract": {"state": "partial", "reason": "the read has not ended"}, **about}
    if request.dry_run:
        return Run(stream.subject, mode, metadata=metadata)
    return open_run(connection, stream.subject, mode, origin, metadata)


def ingest(
    database: Database,
    stream: ListStream[Any],
    client: Any,
    *,
    request: ReadRequest,
    origin: Origin,
    batch_size: int,
    lock_wait_seconds: float,
) -> Run:
    """Read `stream` through `client` into bronze and return the closed run.

    Raises what the client raised, after the rows of finished batches were kept and the run was closed as failed;
    UnprovenReadError when the read ended without proof; DatabaseError and LockTimeoutError.
    """
    logger.info("🔄 %s: reading", stream.name)
    with sole_writer(database, stream.subject, wait_seconds=lock_wait_seconds) as connection:
        run = start(connection, stream, "full", request, origin)
        try:
            with BatchWriter(connection, stream, run, batch_size) as writer:
                extract = read(stream, client, writer, request, run)
            with connection.begin():
                certify(connection, stream, run, writer, extract, request)
                run.watermark, run.row_count = position(connection, stream)
                run.checks.append(volume_check(run, last_metadata(connection, stream.subject)))
                if run.dry:
                    connection.get_transaction().rollback()  # type: ignore[union-attr]
                else:
                    close_run(connection, run)
        except BaseException as error:
            if run.dry:
                connection.rollback()
            else:
                fail_run(database, connection, run, error)
            logger.error("❌ %s: failed after %d records", stream.name, run.counts.processed)
            raise
        if not run.dry:
            renew_statistics(connection, run, JOINED_BY)
    logger.info("%s\n%s", summary(run), "🎉 Completed")
    return run


def read(stream: ListStream[Any], client: Any, writer: BatchWriter, request: ReadRequest, run: Run) -> Extract:
    """Read once, and once more when the first read could not prove that it is whole."""
    for attempt in (1, 2):
        extract, before = Extract({"attempt": attempt}), stream.evidence(client)
        try:
            try:
                whole = read_all(writer, stream.read(client, extract), request.limit)
            finally:
                extract.evidence |= since(before, stream.evidence(client))
            if not whole:
                extract.completed_by = None
                reason = f"limited to {request.limit} records"
                run.metadata["extract"] = {"state": "partial", "reason": reason, **extract.evidence}
            return extract
        except UnprovenReadError as error:
            writer.flush()
            run.metadata["extract"] = {"state": "partial", "reason": str(error), **extract.evidence}
            if attempt == 2:
                raise
            logger.warning("⚠️ %s: %s; reading once more", stream.name, error)
            writer.start_again()
        except Exception:
            run.metadata["extract"] = {"state": "partial", "reason": "the read failed", **extract.evidence}
            writer.flush()
            raise
    raise AssertionError("unreachable")


def since(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What a client knows `now`, its counts as those since `before`: one client reads several streams."""
    return {
        name: round(value - before.get(name, 0), 3) if isinstance(value, int | float) else value
        for name, value in now.items()
    }


def certify(
    connection: Connection,
    stream: ListStream[Any],
    run: Run,
    writer: BatchWriter,
    extract: Extract,
    request: ReadRequest,
) -> None:
    """Decide whether the read was complete, and remove what it proved gone, within the guard."""
    run.checks.append(integrity_check(run, writer.taken))
    if request.limit is not None and extract.completed_by is None:
        return
    if extract.completed_by is None:
        raise UnprovenReadError(f"{stream.name}: the read ended without stating that it is complete")
    if writer.read_anew == 0 and present(connection, stream):
        run.metadata["extract"] = {"state": "partial", "reason": "no record at all", **extract.evidence}
        raise UnprovenReadError(
            f"{stream.name}: the source answered with no record at all while entities are present; nothing was removed"
        )
    run.metadata["extract"] = {
        "state": "complete",
        "terminating_condition": extract.completed_by,
        **extract.evidence,
    }
    if not run.dry:
        resolve_absent_poison(connection, stream, run)
    remove_absent(connection, stream, run, writer.unkeyed, request.approve_removals)


def integrity_check(run: Run, taken: int, unanswered: int = 0) -> Check:
    """Few enough records were kept aside, few enough calls stayed without an answer.

    UnbalancedRunError where the counts are not those of the `taken` records.
    """
    counts = run.counts
    if taken != counts.processed:
        raise UnbalancedRunError(f"{run.subject.name}: {taken} records were read, {counts.processed} were counted")
    limit = max(LEAST_REJECTS, round(REJECT_SHARE * counts.processed))
    return Check(
        "integrity",
        counts.failed + unanswered <= limit,
        f"every record read was written, skipped or kept aside; at most {limit} may be kept aside or stay unanswered",
        {"read": counts.processed, "kept aside": counts.failed, "unanswered": unanswered, "limit": limit},
        severe=True,
    )


def position(connection: Connection, stream: Stream[Any]) -> tuple[int, int]:
    """The stream's watermark (greatest seq, 0 when empty) and its number of present entities."""
    seq, rows = connection.execute(
        text(
            "select coalesce(max(seq), 0), count(*) filter (where removed_at is null) from bronze.current_entities "
            "where source_system = :source_system and entity_type = :entity_type"
        ),
        stream.values,
    ).one()
    return int(seq), int(rows)
