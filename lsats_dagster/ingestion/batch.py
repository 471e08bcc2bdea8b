"""One batch of a read: stage keys and hashes, compare them in one statement, append what is new or changed.

Bodies are sent to the server only for what is written. Every batch is one transaction.
"""

import json
import logging
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection, text

from lsats_dagster.database import copy_rows
from lsats_dagster.ingestion.content import (
    Prepared,
    RejectedRecordError,
    content_hash,
    quarantine_text,
)
from lsats_dagster.ingestion.stream import ListStream, Stream
from lsats_dagster.runs import Run

logger = logging.getLogger(__name__)

# The planner knows nothing of tables that grow within a run; what it guesses costs 25 times the right plan, which is
# always the same: walk the small batch, look each key up in the index. It takes a stream without statistics for one row,
# to be kept in memory and walked for every key; only a lateral subquery with LIMIT leaves it no other way.
INDEX_LOOKUPS = "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off"

STAGE = """
create temporary table if not exists incoming (
    ordinal integer, external_id text collate "C", entity_hash bytea, source_version text
) on commit delete rows;
create temporary table if not exists seen (external_id text collate "C", entity_hash bytea);
create index if not exists seen_external_id on seen using hash (external_id);
create temporary table if not exists poisoned (payload_hash bytea, external_id text collate "C");
truncate seen, poisoned
"""

REPEATED = """
select i.ordinal, i.entity_hash = s.entity_hash as same
from incoming i
join seen s on s.external_id = i.external_id
"""

COMPARE = """
select
    i.ordinal,
    case when c.external_id is null then 'new' when c.removed_at is not null then 'returned' else 'changed' end as change,
    c.entity_hash,
    c.hash_version
from incoming i
left join lateral (
    select external_id, entity_hash, hash_version, removed_at
    from bronze.current_entities
    where source_system = :source_system and entity_type = :entity_type and external_id = i.external_id
    limit 1
) c on true
where c.external_id is null or c.removed_at is not null or c.entity_hash <> i.entity_hash or c.hash_version <> :version
"""

BECOME_CURRENT_NEW = """
insert into bronze.current_entities (
    source_system, entity_type, external_id, raw_id, seq, live_raw_id, first_seq,
    entity_hash, hash_version, first_seen_at, changed_at
)
select source_system, entity_type, external_id, raw_id, seq, raw_id, seq, entity_hash, hash_version, ingested_at, ingested_at
from bronze.raw_entities
where seq > :after and ingestion_run_id = :run_id and change = 'new'
"""

BECOME_CURRENT_CHANGED = """
update bronze.current_entities c
set raw_id = r.raw_id, seq = r.seq, live_raw_id = r.raw_id, entity_hash = r.entity_hash,
    hash_version = r.hash_version, changed_at = r.ingested_at, removed_at = null
from (
    select k.ctid, v.raw_id, v.seq, v.entity_hash, v.hash_version, v.ingested_at
    from bronze.raw_entities v
    cross join lateral (
        select ctid
        from bronze.current_entities
        where source_system = v.source_system and entity_type = v.entity_type and external_id = v.external_id
        limit 1
    ) k
    where v.seq > :after and v.ingestion_run_id = :run_id and v.change in ('changed', 'returned')
) r
where c.ctid = r.ctid
"""

# The one thing about an unchanged record that is kept up to date, and only where a detail stream needs it.
MARK_VERSION = """
update bronze.current_entities c
set source_version = m.source_version
from (
    select k.ctid, i.source_version
    from incoming i
    cross join lateral (
        select ctid, source_version
        from bronze.current_entities
        where source_system = :source_system and entity_type = :entity_type and external_id = i.external_id
        limit 1
    ) k
    where k.source_version is distinct from i.source_version
) m
where c.ctid = m.ctid
"""

REHASH = """
update bronze.current_entities c
set entity_hash = m.entity_hash, hash_version = :version
from (
    select k.ctid, i.entity_hash
    from incoming i
    cross join lateral (
        select ctid
        from bronze.current_entities
        where source_system = :source_system and entity_type = :entity_type and external_id = i.external_id
        limit 1
    ) k
    where i.ordinal = any(:ordinals)
) m
where c.ctid = m.ctid
"""

# What was kept aside for a key that now was read well is older than what stands: it must never be put through again.
OVERTAKE = """
update meta.quarantine q
set resolved_at = now(), resolution = 'superseded', resolved_by = :run_id
from incoming i
where q.source_system = :source_system and q.entity_type = :entity_type and q.external_id = i.external_id
    and q.resolved_at is null and q.run_id <> :run_id and q.stage <> 'duplicate'
"""

# A record that stays bad is kept aside once, not once a day.
QUARANTINE = """
insert into meta.quarantine (source_system, entity_type, external_id, stage, reason, payload, payload_hash, run_id)
values (:source_system, :entity_type, :external_id, :stage, :reason, :payload, :payload_hash, :run_id)
on conflict (source_system, entity_type, coalesce(external_id, ''), payload_hash) where resolved_at is null do nothing
"""


@dataclass
class Batch:
    """Records of one read as taken, each key once. taken = prepared + rejected + repeated, before and after it was written."""

    prepared: dict[str, Prepared] = field(default_factory=dict)
    rejected: list[tuple[object, RejectedRecordError]] = field(default_factory=list)
    taken: int = 0
    repeated: int = 0

    def admit(self, prepared: Prepared) -> None:
        """Take one record. A key twice: equal records are one; of unequal ones the lower hash stays, whatever the order.

        Across batches the first stays: it has been written.
        """
        self.taken += 1
        other = self.prepared.setdefault(prepared.external_id, prepared)
        if other is prepared:
            return
        if other.entity_hash == prepared.entity_hash:
            self.repeated += 1
            return
        kept, dropped = sorted((prepared, other), key=lambda candidate: candidate.entity_hash)
        self.prepared[prepared.external_id] = kept
        self._drop(dropped)

    def reject(self, record: object, rejection: RejectedRecordError) -> None:
        """Take one record that goes to quarantine."""
        self.taken += 1
        self.rejected.append((record, rejection))

    def repeat(self, prepared: Prepared, *, same: bool) -> None:
        """Put aside a record whose key an earlier batch brought already: the first stays."""
        del self.prepared[prepared.external_id]
        if same:
            self.repeated += 1
        else:
            self._drop(prepared)

    def _drop(self, prepared: Prepared) -> None:
        reason = "another record of this read has the same key and other content"
        self.rejected.append(
            (orjson.loads(prepared.body), RejectedRecordError("duplicate", reason, prepared.external_id))
        )


class Appender:
    """Writes batches of one run to the log, each in one transaction, and keeps its counts in balance.

    Needs a connection that holds the stream's writer lock and no open transaction. In a dry run it compares only.
    """

    def __init__(self, connection: Connection, stream: Stream[Any], run: Run) -> None:
        self._connection = connection
        self._stream = stream
        self._run = run
        self._stream_values = stream.values
        self._ingestion_metadata = json.dumps({"left_out": list(stream.left_out)} if stream.left_out else {}).encode()
        with connection.begin():
            connection.exec_driver_sql(STAGE)
            self._last_seq: int = connection.execute(
                text("select coalesce(max(seq), 0) from bronze.raw_entities")
            ).scalar_one()

    def forget_seen(self) -> None:
        """The source is read once more from its beginning: what it brought so far is no repetition."""
        with self._connection.begin():
            self._connection.exec_driver_sql("truncate seen")

    def append(self, batch: Batch) -> None:
        """Compare and write `batch` in one transaction, and add to the run's counts."""
        before = self._balance()
        changes: dict[int, str] = {}
        with self._connection.begin():
            self._connection.exec_driver_sql(INDEX_LOOKUPS)
            records = list(batch.prepared.values())
            if records:
                self._stage(records)
                self._put_repeated_aside(batch, records)
                changes = self._compare(records)
                if not self._run.dry:
                    self._write(records, changes)
                    self._connection.execute(text(OVERTAKE), {**self._stream_values, "run_id": self._run.run_id})
                    if isinstance(self._stream, ListStream) and self._stream.version_field:
                        self._connection.execute(text(MARK_VERSION), self._stream_values)
            self._quarantine(batch)
        counts = self._run.counts
        created = sum(change != "changed" for change in changes.values())
        counts.processed += batch.taken
        counts.created += created
        counts.updated += len(changes) - created
        counts.skipped += len(batch.prepared) - len(changes) + batch.repeated
        counts.failed += len(batch.rejected)
        if self._balance() != before:
            raise UnbalancedRunError(f"{self._stream.name}: a batch of {batch.taken} records does not balance")

    def _balance(self) -> int:
        counts = self._run.counts
        return counts.processed - counts.created - counts.updated - counts.skipped - counts.failed

    def _stage(self, records: list[Prepared]) -> None:
        copy_rows(
            self._connection,
            "incoming",
            ("ordinal", "external_id", "entity_hash", "source_version"),
            ("int4", "text", "bytea", "text"),
            (
                (ordinal, prepared.external_id, prepared.entity_hash, prepared.source_version)
                for ordinal, prepared in enumerate(records)
            ),
        )

    def _put_repeated_aside(self, batch: Batch, records: list[Prepared]) -> None:
        """Take keys that an earlier batch of this read has brought out of what is staged, and note the others as seen."""
        repeated = self._connection.execute(text(REPEATED)).all()
        for ordinal, same in repeated:
            batch.repeat(records[ordinal], same=same)
        if repeated:
            self._connection.execute(
                text("delete from incoming where ordinal = any(:ordinals)"),
                {"ordinals": [row.ordinal for row in repeated]},
            )
        self._connection.exec_driver_sql("insert into seen select external_id, entity_hash from incoming")

    def _compare(self, records: list[Prepared]) -> dict[int, str]:
        """The change of each staged record that differs from what is current, by its place in `records`."""
        version = self._stream.hash_rule.version
        rows = self._connection.execute(text(COMPARE), {**self._stream_values, "version": version}).all()
        former = {rule.version: rule for rule in self._stream.former_hash_rules}
        changes: dict[int, str] = {}
        equal_by_former_rule: list[int] = []
        for ordinal, change, stored_hash, stored_version in rows:
            rule = former.get(stored_version) if change == "changed" else None
            body = records[ordinal].body
            if rule and content_hash(orjson.loads(body), body, rule) == stored_hash:
                equal_by_former_rule.append(ordinal)
            else:
                changes[ordinal] = change
        if equal_by_former_rule and not self._run.dry:
            self._connection.execute(
                text(REHASH), {**self._stream_values, "version": version, "ordinals": equal_by_former_rule}
            )
        return changes

    def _write(self, records: list[Prepared], changes: dict[int, str]) -> None:
        """Write new versions to the log and make them current."""
        if not changes:
            return
        stream, run_id, version = self._stream, self._run.run_id, self._stream.hash_rule.version
        copy_rows(
            self._connection,
            "bronze.raw_entities",
            (
                "source_system", "entity_type", "external_id", "change", "raw_data",
                "entity_hash", "hash_version", "ingestion_run_id", "ingestion_metadata",
            ),
            ("text", "text", "text", "text", "jsonb", "bytea", "int2", "uuid", "jsonb"),
            (
                (
                    stream.source_system, stream.entity_type, records[ordinal].external_id, change, records[ordinal].body,
                    records[ordinal].entity_hash, version, run_id, self._ingestion_metadata,
                )
                for ordinal, change in changes.items()
            ),
        )  # fmt: skip
        values = {"after": self._last_seq, "run_id": run_id}
        kinds = set(changes.values())
        if "new" in kinds:
            self._connection.execute(text(BECOME_CURRENT_NEW), values)
        if kinds - {"new"}:
            self._connection.execute(text(BECOME_CURRENT_CHANGED), values)
        self._last_seq = self._connection.execute(text("select max(seq) from bronze.raw_entities")).scalar_one()

    def _quarantine(self, batch: Batch) -> None:
        """Keep aside what was rejected. Where its key is known, its entity is not taken for gone."""
        if not batch.rejected:
            return
        rows = []
        for record, rejection in batch.rejected:
            payload = quarantine_text(record)
            rows.append(
                {
                    **self._stream_values,
                    "external_id": rejection.external_id,
                    "stage": rejection.stage,
                    "reason": rejection.reason,
                    "payload": payload,
                    "payload_hash": sha256(payload.encode()).digest(),
                    "run_id": self._run.run_id,
                }
            )
        self._connection.execute(text("insert into poisoned values (:payload_hash, :external_id)"), rows)
        if not self._run.dry:
            self._connection.execute(text(QUARANTINE), rows)
        for reason in sorted({rejection.reason for _, rejection in batch.rejected}):
            logger.warning("⚠️ %s: kept aside: %s", self._stream.name, reason)


class UnbalancedRunError(Exception):
    """What was read is not what was written, skipped and kept aside: a fault of the engine."""


def resolve_absent_poison(connection: Connection, stream: Stream[Any], run: Run) -> None:
    """After a complete read: what an earlier run kept aside and this one no longer met has been superseded."""
    connection.execute(
        text(
            "update meta.quarantine q set resolved_at = now(), resolution = 'superseded', resolved_by = :run_id "
            "where source_system = :source_system and entity_type = :entity_type and resolved_at is null "
            "and not exists (select from poisoned p "
            "where p.payload_hash = q.payload_hash and p.external_id is not distinct from q.external_id)"
        ),
        {**stream.values, "run_id": run.run_id},
    )
