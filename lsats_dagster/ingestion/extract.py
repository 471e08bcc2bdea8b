"""A run of a list stream: read, write batch by batch, certify, and mark what is gone.

Only a complete read of everything may remove, and never more than the removal guard allows.
"""

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from lsats_dagster.database import Database
from lsats_dagster.ingestion.batch import UnbalancedRunError
from lsats_dagster.ingestion.before import before, check_approval, make_plan
from lsats_dagster.ingestion.removals import may_go, present, remove_absent
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import Extract, ListStream, Stream, UnprovenReadError
from lsats_dagster.ingestion.writer import BatchWriter, read_all
from lsats_dagster.runs import Check, Origin, Run, Work, last_metadata, running, volume_check

logger = logging.getLogger(__name__)

# More quarantined records than this show that something changed at the source (silver_source_tables.md 3.5).
REJECT_SHARE = 0.005
LEAST_REJECTS = 10

JOINED_BY = {
    "bronze.raw_entities": ("raw_id", "seq", "source_system", "entity_type", "external_id"),
    "bronze.current_entities": ("seq", "source_system", "entity_type", "external_id"),
}
NOT_ENDED = {"state": "partial", "reason": "the read has not ended"}


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
    UnprovenReadError when the read ended without proof; RefusedRequestError, NewerRecordsError, DatabaseError and
    LockTimeoutError.
    """
    logger.info("🔄 %s: reading", stream.label)
    with running(
        database,
        stream.subject,
        "full",
        origin,
        metadata={"extract": NOT_ENDED},
        statistics=JOINED_BY,
        dry=request.dry_run,
        wait_seconds=lock_wait_seconds,
    ) as work:
        check_approval(work.connection, request.approve_removals)
        with BatchWriter(work, stream, batch_size) as writer:
            extract = read(database, stream, client, writer, request, work)
        with work.last_transaction():
            certify(work, stream, writer, extract, request)
            finish(work, stream)
    return work.run


def finish(work: Work, stream: Stream[Any], *, filling: bool = False) -> None:
    """What every run of a stream measures at its end."""
    run = work.run
    run.watermark, run.row_count = position(work.connection, stream)
    run.checks.append(volume_check(run, last_metadata(work.connection, stream.subject), filling=filling))


def read(
    database: Database,
    stream: ListStream[Any],
    client: Any,
    writer: BatchWriter,
    request: ReadRequest,
    work: Work,
) -> Extract:
    """Read once, and once more when the first read could not prove that it is whole."""
    run = work.run
    for attempt in (1, 2):
        known, finished = before(work.connection, database, stream, request)
        extract = Extract(known, {"attempt": attempt})
        run.mode = "incremental" if known.changes_only else "full"
        # What a part brought of a read that was cut short on purpose, or that looked for changes, is not all of it.
        writer.begin(finished, keep_parts=request.limit is None and not run.dry and not known.changes_only)
        counted = stream.evidence(client)
        try:
            try:
                whole = read_all(writer, stream.read(client, extract), request.limit)
                if whole and extract.completed_by is not None:
                    confirm(stream, client, writer, work)
            finally:
                extract.evidence |= since(counted, stream.evidence(client))
            if whole and extract.stated:
                writer.settle()
            else:
                extract.completed_by = extract.changes_since = None
                extract.evidence["waiting_for_a_whole_read"] = writer.drop_waiting()
            return extract
        except UnprovenReadError as error:
            run.metadata["extract"] = {"state": "partial", "reason": str(error), **extract.evidence}
            writer.flush()
            if attempt == 2:
                raise
            logger.warning("⚠️ %s: %s; reading once more", stream.label, error)
        except Exception:
            run.metadata["extract"] = {"state": "partial", "reason": "the read failed", **extract.evidence}
            writer.flush()
            raise
    raise AssertionError("unreachable")


def confirm(stream: ListStream[Any], client: Any, writer: BatchWriter, work: Work) -> None:
    """Ask singly for what a complete read lacks, where the source allows it and the guard would let so many go."""
    if stream.confirm is None:
        return
    absent = writer.absent()
    with work.connection.begin():
        allowed = may_go(work.connection, stream)
    if absent and len(absent) <= allowed:
        logger.info("🔄 %s: asking singly for %d records that the read lacks", stream.label, len(absent))
        read_all(writer, stream.confirm(client, absent))


def since(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What a client knows `now`, its counts as those since `before`: one client reads several streams."""
    return {
        name: round(value - before.get(name, 0), 3)
        if isinstance(value, int | float) and not isinstance(value, bool)
        else value
        for name, value in now.items()
    }


def certify(work: Work, stream: ListStream[Any], writer: BatchWriter, extract: Extract, request: ReadRequest) -> None:
    """Decide what the read proved, and remove what it proved gone, within the guard."""
    run, evidence = work.run, extract.evidence | {"without_key": writer.unkeyed}
    run.checks.append(integrity_check(run, writer.taken))
    if writer.passed_over:
        run.metadata["skipped_by_rule"] = dict(writer.passed_over)
    if request.limit is not None and not extract.stated:
        reason = f"limited to {request.limit} records"
        if writer.read_anew < request.limit:
            reason += ", and the source ended before them without stating that it is complete"
        run.metadata["extract"] = {"state": "partial", "reason": reason, **evidence}
        return
    if not extract.stated:
        reason = "the read ended without stating that it is complete"
        run.metadata["extract"] = {"state": "partial", "reason": reason, **evidence}
        raise UnprovenReadError(f"{stream.label}: {reason}")
    if extract.memory and request.limit is None and request.since is None and not run.dry:
        run.metadata["memory"] = extract.memory
    if extract.completed_by is None:
        run.metadata["extract"] = {"state": "partial", "changes_since": extract.changes_since, **evidence}
        return
    if not (writer.read_anew or writer.not_read or extract.before.finished) and present(work.connection, stream):
        run.metadata["extract"] = {"state": "partial", "reason": "no record at all", **evidence}
        raise UnprovenReadError(
            f"{stream.label}: the source answered with no record at all while entities are present; nothing was removed"
        )
    run.mode = "full"
    run.metadata["extract"] = {"state": "complete", "terminating_condition": extract.completed_by, **evidence}
    if not run.dry:
        writer.seen.resolve_absent_poison(stream, run.run_id)
        if request.limit is None:
            make_plan(work.connection, stream)
    remove_absent(work, stream, writer.seen, writer.unkeyed, request.approve_removals)


def integrity_check(run: Run, taken: int, unanswered: int = 0) -> Check:
    """Few enough records were quarantined, few enough calls stayed without an answer.

    UnbalancedRunError where the counts are not those of the `taken` records.
    """
    counts = run.counts
    if taken != counts.processed:
        raise UnbalancedRunError(f"{run.subject.label}: {taken} records were read, {counts.processed} were counted")
    limit = max(LEAST_REJECTS, round(REJECT_SHARE * counts.processed))
    return Check(
        "integrity",
        counts.failed + unanswered <= limit,
        f"every record read was written, skipped or quarantined; {counts.failed} quarantined and {unanswered} unanswered, "
        f"at most {limit} may be",
        {"read": counts.processed, "quarantined": counts.failed, "unanswered": unanswered, "limit": limit},
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
