"""A run of a list stream: read, write batch by batch, certify, and mark what is gone.

Only a complete read of everything may remove, and never more than the removal guard allows.
"""

import logging
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from lsats_dagster.database import WHOLE_TABLES, Database
from lsats_dagster.ingestion.batch import UnbalancedRunError, resolve_absent_poison
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

EMPTY_PAYLOAD_HASH = sha256(b"{}").digest()
# More records kept aside than this show that something changed at the source (silver_source_tables.md 3.5).
REJECT_SHARE = 0.005
LEAST_REJECTS = 10

JOINED_BY = {
    "bronze.raw_entities": ("raw_id", "seq", "source_system", "entity_type", "external_id"),
    "bronze.current_entities": ("live_raw_id", "seq", "source_system", "entity_type", "external_id"),
}

# What is current and was not seen, with the ids that a person approved marked.
ABSENT = """
create temporary table absent on commit drop as
select c.external_id, a.external_id is not null as approved
from bronze.current_entities c
left join (
    select r.external_id
    from meta.refused_removals r
    join meta.ingestion_runs using (run_id)
    where r.run_id = :approval and source_system = :source_system and entity_type = :entity_type
) a on a.external_id = c.external_id
where c.source_system = :source_system and c.entity_type = :entity_type and c.removed_at is null
    and not exists (select from seen s where s.external_id = c.external_id)
    and not exists (select from poisoned p where p.external_id = c.external_id)
"""

ENTOMB = """
with tombstones as (
    insert into bronze.raw_entities (
        source_system, entity_type, external_id, change, raw_data,
        entity_hash, hash_version, ingestion_run_id, ingestion_metadata
    )
    select :source_system, :entity_type, a.external_id, 'removed', '{}', :hash, :version, :run_id, '{}'
    from absent a
    where a.approved or not :only_approved
    order by a.external_id
    returning external_id, raw_id, seq, entity_hash, ingested_at
)
update bronze.current_entities c
set raw_id = t.raw_id, seq = t.seq, entity_hash = t.entity_hash, changed_at = t.ingested_at, removed_at = t.ingested_at
from tombstones t
where c.source_system = :source_system and c.entity_type = :entity_type and c.external_id = t.external_id
"""


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


def removal_limit(present: int) -> int:
    """The most entities one run may remove of `present` ones (architecture, section 3)."""
    return max(10, present * 5 // 100) if present <= 10_000 else max(500, present // 100)


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
        extract = Extract()
        extract.stated["attempt"] = attempt
        try:
            whole = read_all(writer, stream.read(client, extract), request.limit)
            if not whole:
                extract.completed_by = None
                run.metadata["extract"] = {
                    "state": "partial",
                    "reason": f"limited to {request.limit} records",
                    **extract.evidence,
                }
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


def integrity_check(run: Run, taken: int) -> Check:
    """Few enough records were kept aside. UnbalancedRunError where the counts are not those of the `taken` records."""
    counts = run.counts
    if taken != counts.processed:
        raise UnbalancedRunError(f"{run.subject.name}: {taken} records were read, {counts.processed} were counted")
    limit = max(LEAST_REJECTS, round(REJECT_SHARE * counts.processed))
    return Check(
        "integrity",
        counts.failed <= limit,
        f"every record read was written, skipped or kept aside; at most {limit} may be kept aside",
        {"read": counts.processed, "kept aside": counts.failed, "limit": limit},
        severe=True,
    )


def present(connection: Connection, stream: ListStream[Any]) -> int:
    """How many entities of `stream` are current."""
    return int(
        connection.execute(
            text(
                "select count(*) from bronze.current_entities "
                "where source_system = :source_system and entity_type = :entity_type and removed_at is null"
            ),
            _values(stream),
        ).scalar_one()
    )


def position(connection: Connection, stream: Any) -> tuple[int, int]:
    """The stream's watermark (greatest seq, 0 when empty) and its number of present entities."""
    seq, rows = connection.execute(
        text(
            "select coalesce(max(seq), 0), count(*) filter (where removed_at is null) from bronze.current_entities "
            "where source_system = :source_system and entity_type = :entity_type"
        ),
        _values(stream),
    ).one()
    return int(seq), int(rows)


def remove_absent(
    connection: Connection, stream: ListStream[Any], run: Run, unkeyed: int, approval: UUID | None
) -> None:
    """Write tombstones for what the complete read no longer brought, or refuse and keep the list of ids."""
    connection.exec_driver_sql("analyze seen")
    connection.exec_driver_sql(WHOLE_TABLES)
    connection.execute(text(ABSENT), {**_values(stream), "approval": approval})
    absent, approved = connection.execute(text("select count(*), count(*) filter (where approved) from absent")).one()
    before = present(connection, stream)
    limit = removal_limit(before)
    # A record without a key may be any of the absent ones.
    refused = absent - approved if absent - approved > limit or unkeyed else 0
    numbers: dict[str, int | float | str] = {
        "present": before, "absent": absent, "limit": limit, "refused": refused, "without_key": unkeyed
    }  # fmt: skip
    run.counts.removed = absent - refused
    if not run.dry and run.counts.removed:
        connection.execute(
            text(ENTOMB),
            {
                **_values(stream),
                "run_id": run.run_id,
                "hash": EMPTY_PAYLOAD_HASH,
                "version": stream.hash_rule.version,
                "only_approved": bool(refused),
            },
        )
    description = f"{absent} of {before} entities are absent from a complete read; at most {limit} may go in one run"
    if refused:
        why = "records without a key could be among them" if unkeyed else "more than the limit"
        description = f"{description}: {refused} kept ({why})"
        run.metadata["refused_removals"] = numbers
        if not run.dry:
            connection.execute(
                text("insert into meta.refused_removals select :run_id, external_id from absent where not approved"),
                {"run_id": run.run_id},
            )
            numbers["approve_removals"] = str(run.run_id)
            description += f"; if they are really gone, run again with approve_removals {run.run_id}"
        logger.warning("⚠️ %s: %s", stream.name, description)
    run.checks.append(Check("removal_guard", not refused, description, numbers, severe=True))


def _values(stream: Any) -> dict[str, str]:
    return {"source_system": stream.source_system, "entity_type": stream.entity_type}
