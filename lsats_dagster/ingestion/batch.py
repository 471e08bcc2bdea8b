"""One batch of a read: stage keys and hashes, compare them in one statement, append what is new or changed.

Bodies are sent to the server only for what is written. Every batch is one transaction.
"""

import json
import logging
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection, text

from lsats_dagster.database import copy_rows
from lsats_dagster.ingestion.content import (
    Prepared,
    RejectedRecordError,
    content_hash,
    prepare,
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
);
create temporary table if not exists seen (external_id text collate "C" primary key, entity_hash bytea);
create temporary table if not exists poisoned (payload_hash bytea, external_id text collate "C");
truncate incoming, seen, poisoned
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


class BatchWriter:
    """Takes the records of one run and writes them batch by batch; keeps the run's counts in balance.

    unkeyed, read_anew: records without a key, and records at all, since the read last began.
    Needs a connection that holds the stream's writer lock and no open transaction. In a dry run it compares only.
    """

    def __init__(self, connection: Connection, stream: Stream[Any], run: Run, batch_size: int) -> None:
        self._connection = connection
        self._stream = stream
        self._run = run
        self._batch_size = batch_size
        self._by_key: dict[str, Prepared] = {}
        self._rejected: list[tuple[object, RejectedRecordError]] = []
        self._taken = 0
        self._same_in_batch = 0
        self.unkeyed = 0
        self.read_anew = 0
        self._stream_values = {"source_system": stream.source_system, "entity_type": stream.entity_type}
        self._ingestion_metadata = json.dumps({"left_out": list(stream.left_out)} if stream.left_out else {}).encode()
        with connection.begin():
            connection.exec_driver_sql(STAGE)
            self._last_seq: int = connection.execute(
                text("select coalesce(max(seq), 0) from bronze.raw_entities")
            ).scalar_one()

    def start_again(self) -> None:
        """Forget what this read has brought so far: the source is read once more from its beginning."""
        self.flush()
        self.unkeyed = self.read_anew = 0
        with self._connection.begin():
            self._connection.exec_driver_sql("truncate seen")

    def add(self, record: object) -> bool:
        """Take one record as received; False when it goes to quarantine. Writes when the batch is full."""
        self._taken += 1
        self.read_anew += 1
        accepted = True
        try:
            self._admit(prepare(self._stream, record))
        except RejectedRecordError as rejection:
            self._rejected.append((record, rejection))
            accepted = False
        if self._taken >= self._batch_size:
            self.flush()
        return accepted

    def reject(self, record: object, rejection: RejectedRecordError) -> None:
        """Take one record that could not even be read."""
        self._taken += 1
        self._rejected.append((record, rejection))

    def _admit(self, prepared: Prepared) -> None:
        """Add to the batch. A key twice: equal records are one; of unequal ones the lower hash stays, whatever the order.

        Across batches the first stays: it has been written.
        """
        other = self._by_key.setdefault(prepared.external_id, prepared)
        if other is prepared:
            return
        if other.entity_hash == prepared.entity_hash:
            self._same_in_batch += 1
            return
        kept, dropped = sorted((prepared, other), key=lambda candidate: candidate.entity_hash)
        self._by_key[prepared.external_id] = kept
        self._rejected.append((orjson.loads(dropped.body), _repeated(prepared.external_id)))

    def flush(self) -> None:
        """Compare and write what was taken, in one transaction, and check the balance of the batch."""
        if not self._taken:
            return
        batch = list(self._by_key.values())
        before = self._balance()
        with self._connection.begin():
            if batch:
                batch = self._without_repeated(batch)
            changes = self._compare(batch) if batch else {}
            if batch and not self._run.dry:
                self._append(batch, changes)
                self._connection.execute(text(OVERTAKE), {**self._stream_values, "run_id": self._run.run_id})
                if isinstance(self._stream, ListStream) and self._stream.version_field:
                    self._connection.execute(text(MARK_VERSION), self._stream_values)
            self._quarantine()
        created = sum(change != "changed" for change in changes.values())
        self._run.counts.processed += self._taken
        self._run.counts.created += created
        self._run.counts.updated += len(changes) - created
        self._run.counts.skipped += len(batch) - len(changes) + self._same_in_batch
        self._run.counts.failed += len(self._rejected)
        if self._balance() != before:
            raise UnbalancedRunError(f"{self._stream.name}: a batch of {self._taken} records does not balance")
        self._by_key.clear()
        self._rejected.clear()
        self._taken = self._same_in_batch = 0
        counts = self._run.counts
        logger.info(
            "🔄 %s: %d processed (🆕 %d new, 📝 %d changed, ⏭️ %d unchanged, ❌ %d failed)",
            self._stream.name,
            counts.processed,
            counts.created,
            counts.updated,
            counts.skipped,
            counts.failed,
        )

    def _balance(self) -> int:
        counts = self._run.counts
        return counts.processed - counts.created - counts.updated - counts.skipped - counts.failed

    def _without_repeated(self, batch: list[Prepared]) -> list[Prepared]:
        """Stage the batch, and take out keys that an earlier batch of this read has brought already: the first stays."""
        self._stage(batch)
        repeated = {row.ordinal: row.same for row in self._connection.execute(text(REPEATED))}
        for ordinal, same in repeated.items():
            if same:
                self._same_in_batch += 1
            else:
                self._rejected.append((orjson.loads(batch[ordinal].body), _repeated(batch[ordinal].external_id)))
        if repeated:
            batch = [prepared for ordinal, prepared in enumerate(batch) if ordinal not in repeated]
            self._connection.exec_driver_sql("truncate incoming")
            self._stage(batch)
        self._connection.exec_driver_sql("insert into seen select external_id, entity_hash from incoming")
        return batch

    def _stage(self, batch: list[Prepared]) -> None:
        self._connection.exec_driver_sql("truncate incoming")
        copy_rows(
            self._connection,
            "incoming",
            ("ordinal", "external_id", "entity_hash", "source_version"),
            ("int4", "text", "bytea", "text"),
            (
                (ordinal, prepared.external_id, prepared.entity_hash, prepared.source_version)
                for ordinal, prepared in enumerate(batch)
            ),
        )

    def _compare(self, batch: list[Prepared]) -> dict[int, str]:
        """The change of each record of the staged batch that differs from what is current."""
        self._connection.exec_driver_sql(INDEX_LOOKUPS)
        version = self._stream.hash_rule.version
        rows = self._connection.execute(text(COMPARE), {**self._stream_values, "version": version}).all()
        former = {rule.version: rule for rule in self._stream.former_hash_rules}
        changes: dict[int, str] = {}
        equal_by_former_rule: list[int] = []
        for ordinal, change, stored_hash, stored_version in rows:
            rule = former.get(stored_version) if change == "changed" else None
            if rule and content_hash(orjson.loads(batch[ordinal].body), batch[ordinal].body, rule) == stored_hash:
                equal_by_former_rule.append(ordinal)
            else:
                changes[ordinal] = change
        if equal_by_former_rule and not self._run.dry:
            self._connection.execute(
                text(REHASH), {**self._stream_values, "version": version, "ordinals": equal_by_former_rule}
            )
        return changes

    def _append(self, batch: list[Prepared], changes: dict[int, str]) -> None:
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
                    stream.source_system, stream.entity_type, batch[ordinal].external_id, change, batch[ordinal].body,
                    batch[ordinal].entity_hash, version, run_id, self._ingestion_metadata,
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

    def _quarantine(self) -> None:
        """Keep aside what was rejected. Where its key is known, its entity is not taken for gone."""
        rows = []
        for record, rejection in self._rejected:
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
            self.unkeyed += rejection.external_id is None
        if not rows:
            return
        self._connection.execute(text("insert into poisoned values (:payload_hash, :external_id)"), rows)
        if not self._run.dry:
            self._connection.execute(text(QUARANTINE), rows)
        for reason in sorted({rejection.reason for _, rejection in self._rejected}):
            logger.warning("⚠️ %s: kept aside: %s", self._stream.name, reason)


class UnbalancedRunError(Exception):
    """What was read is not what was written, skipped and kept aside: a fault of the engine."""


def _repeated(external_id: str) -> RejectedRecordError:
    return RejectedRecordError(
        "duplicate", "another record of this read has the same key and other content", external_id
    )


def resolve_absent_poison(connection: Connection, stream: Stream[Any], run: Run) -> None:
    """After a complete read: what an earlier run kept aside and this one no longer met has been superseded."""
    connection.execute(
        text(
            "update meta.quarantine q set resolved_at = now(), resolution = 'superseded', resolved_by = :run_id "
            "where source_system = :source_system and entity_type = :entity_type and resolved_at is null "
            "and not exists (select from poisoned p "
            "where p.payload_hash = q.payload_hash and p.external_id is not distinct from q.external_id)"
        ),
        {"source_system": stream.source_system, "entity_type": stream.entity_type, "run_id": run.run_id},
    )


def read_all(writer: BatchWriter, pages: Iterable[list[Any]], limit: int | None = None) -> bool:
    """Put every record of `pages` through `writer`; False when `limit` records were taken before the end."""
    taken = 0
    for page in pages:
        for record in page:
            if limit is not None and taken >= limit:
                writer.flush()
                return False
            writer.add(record)
            taken += 1
    writer.flush()
    return True
