"""Quarantined records: list them without their contents, and put them through again after a fix."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from lsats_dagster.database import Database
from lsats_dagster.ingestion.content import RejectedRecordError, prepare
from lsats_dagster.ingestion.extract import JOINED_BY, position
from lsats_dagster.ingestion.stream import SkippedRecordError, Stream
from lsats_dagster.ingestion.writer import BatchWriter
from lsats_dagster.runs import Origin, Run, running

# A duplicate lost against the record that stands; it has no place of its own to go back to. What had no key can only be
# trusted as long as nothing was read after it: its entity may have been read well since.
REPLAYABLE = """
select q.quarantine_id, q.external_id, q.payload, exists (
    select from meta.ingestion_runs r
    where r.source_system = q.source_system and r.entity_type = q.entity_type and r.records_processed > 0
        and r.run_seq > (select o.run_seq from meta.ingestion_runs o where o.run_id = q.run_id)
) as read_since
from meta.quarantine q
where q.source_system = :source_system and q.entity_type = :entity_type and q.resolved_at is null
    and q.stage <> 'duplicate'
order by q.quarantined_at, q.quarantine_id
"""

KNOWN = """
select external_id
from bronze.current_entities
where source_system = :source_system and entity_type = :entity_type and external_id = any(:external_ids)
"""

REPLAYED = """
update meta.quarantine set resolved_at = now(), resolution = 'replayed', resolved_by = :run_id
where quarantine_id = any(:replayed)
"""


@dataclass(frozen=True)
class Kept:
    """A quarantined record, without its contents."""

    quarantine_id: UUID
    stream: str
    stage: str
    reason: str
    run_id: UUID
    quarantined_at: datetime
    resolution: str | None


KEPT = """
select quarantine_id, source_system || '/' || entity_type as stream, stage, reason, run_id, quarantined_at, resolution
from meta.quarantine
where (:every or resolved_at is null) and (
    cast(:key as text) is null or external_id = :key or position(to_json(cast(:key as text))::text in payload) > 0
)
order by quarantined_at, quarantine_id
"""


def kept(connection: Connection, *, every: bool, key: str | None = None) -> list[Kept]:
    """What is quarantined, oldest first; with `every` also what is resolved. key: only records with this key or value."""
    rows = connection.execute(text(KEPT), {"every": every, "key": key})
    return [Kept(**row) for row in rows.mappings()]


def payload(connection: Connection, quarantine_id: UUID) -> str | None:
    """The record itself, as JSON text; None when there is none with this id."""
    found: str | None = connection.execute(
        text("select payload from meta.quarantine where quarantine_id = :id"), {"id": quarantine_id}
    ).scalar_one_or_none()
    return found


def replay(
    database: Database, stream: Stream[Any], *, origin: Origin, batch_size: int, lock_wait_seconds: float
) -> Run:
    """Put every unresolved record of `stream` through the engine again; what is still bad stays where it is.

    Safe at any time: a read resolves what it overtakes, so nothing that is put through is older than what is current.
    The extract is partial by intent: a replay removes nothing.
    """
    with running(
        database,
        stream.subject,
        "incremental",
        origin,
        metadata={"extract": {"state": "partial", "reason": "replay"}},
        statistics=JOINED_BY,
        wait_seconds=lock_wait_seconds,
    ) as work:
        readable = _readable(work.connection, stream)
        with BatchWriter(work, stream, batch_size) as writer:
            replayed = [quarantine_id for quarantine_id, record in readable if writer.add(record)]
            writer.settle()
        with work.last_transaction():
            work.connection.execute(text(REPLAYED), {"run_id": work.run.run_id, "replayed": replayed})
            work.run.watermark, work.run.row_count = position(work.connection, stream)
    return work.run


def _readable(connection: Connection, stream: Stream[Any]) -> list[tuple[UUID, Any]]:
    """(id, record) of what the stream's present rules accept, and of what nothing newer was read."""
    with connection.begin():
        rows = connection.execute(text(REPLAYABLE), stream.values).all()
        accepted = []
        for row in rows:
            record = json.loads(row.payload)
            try:
                accepted.append((row, record, prepare(stream, record).external_id))
            except (RejectedRecordError, SkippedRecordError):
                continue
        doubtful = [key for row, _, key in accepted if row.external_id is None and row.read_since]
        known = set(connection.execute(text(KNOWN), {**stream.values, "external_ids": doubtful}).scalars())
    return [
        (row.quarantine_id, record)
        for row, record, external_id in accepted
        # A detail answer about another record stays wrong, however well it can be read.
        if row.external_id == external_id or (row.external_id is None and not (row.read_since and external_id in known))
    ]
