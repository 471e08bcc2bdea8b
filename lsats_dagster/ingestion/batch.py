"""One batch of a read: stage keys and hashes, compare them in one statement, append what is new or changed.

Bodies are sent to the server only for what is written. Every batch is one transaction.
"""

import json
import logging
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import text

from lsats_dagster.database import copy_rows
from lsats_dagster.ingestion.before import check_versions, finish_parts
from lsats_dagster.ingestion.content import (
    Prepared,
    RejectedRecordError,
    content_hash,
    quarantine_text,
    version_field,
)
from lsats_dagster.ingestion.doubles import DOUBLED, Doubles
from lsats_dagster.ingestion.seen import Seen
from lsats_dagster.ingestion.staging import INCOMING, stage
from lsats_dagster.ingestion.stream import HashRule, Stream
from lsats_dagster.runs import Work

logger = logging.getLogger(__name__)

# The planner knows nothing of tables that grow within a run; what it guesses costs 25 times the right plan, which is
# always the same: walk the small batch, look each key up in the index. It takes a stream without statistics for one row,
# to be kept in memory and walked for every key; only a lateral subquery with LIMIT leaves it no other way.
INDEX_LOOKUPS = "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off"

# The disk need not have a batch before the next one is compared: the commit that closes the run waits for all before it,
# and a server that dies before that leaves fewer whole batches of a run that never ended.
NO_WAIT = "set local synchronous_commit = off"

# One row for each kind of change: a row for each record costs more to fetch than to find.
COMPARE = """
select
    case when c.external_id is null then 'new' when c.removed_at is not null then 'returned' else 'changed' end as change,
    c.hash_version,
    array_agg(i.ordinal) as ordinals,
    array_agg(c.entity_hash) filter (where c.hash_version <> :version) as hashes
from incoming i
left join lateral (
    select external_id, entity_hash, hash_version, removed_at
    from bronze.current_entities
    where source_system = :source_system and entity_type = :entity_type and external_id = i.external_id
    limit 1
) c on true
where c.external_id is null or c.removed_at is not null or c.entity_hash <> i.entity_hash or c.hash_version <> :version
group by 1, 2
"""

BECOME_CURRENT_NEW = """
insert into bronze.current_entities (
    source_system, entity_type, external_id, raw_id, seq, live_seq, first_seq,
    entity_hash, hash_version, first_seen_at, changed_at
)
select source_system, entity_type, external_id, raw_id, seq, seq, seq, entity_hash, hash_version, ingested_at, ingested_at
from bronze.raw_entities
where seq > :after and ingestion_run_id = :run_id and change = 'new'
"""

BECOME_CURRENT_CHANGED = """
update bronze.current_entities c
set raw_id = r.raw_id, seq = r.seq, live_seq = r.seq, entity_hash = r.entity_hash, hash_version = r.hash_version,
    changed_at = r.ingested_at, removed_at = null
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

# What was quarantined for a key that now was read well is older than what stands: it must never be put through again.
OVERTAKE = """
update meta.quarantine q
set resolved_at = now(), resolution = 'superseded', resolved_by = :run_id
from incoming i
where q.source_system = :source_system and q.entity_type = :entity_type and q.external_id = i.external_id
    and q.resolved_at is null and q.run_id <> :run_id and q.stage <> 'duplicate'
"""

# A record that stays bad is quarantined once, not once a day.
QUARANTINE = """
insert into meta.quarantine (source_system, entity_type, external_id, stage, reason, payload, payload_hash, run_id)
values (:source_system, :entity_type, :external_id, :stage, :reason, :payload, :payload_hash, :run_id)
on conflict (source_system, entity_type, coalesce(external_id, ''), payload_hash) where resolved_at is null do nothing
"""

LIVE_PAYLOAD = """
select raw_data::text
from bronze.raw_entities
where seq = (
    select live_seq
    from bronze.current_entities
    where source_system = :source_system and entity_type = :entity_type and external_id = :external_id
)
"""

TWIN = "another record of this read has the same key and other content"


class UnbalancedRunError(Exception):
    """What was read is not what was written, skipped and quarantined: a fault of the engine."""


@dataclass
class Batch:
    """Records of one read as taken, each key once. taken = prepared + rejected + repeated + passed_over.

    passed_over: records that are none by a rule of the stream. parts: whole parts that end in this batch, and their keys.
    """

    prepared: dict[str, Prepared] = field(default_factory=dict)
    rejected: list[tuple[object, RejectedRecordError]] = field(default_factory=list)
    taken: int = 0
    repeated: int = 0
    passed_over: int = 0
    parts: list[tuple[str, list[str]]] = field(default_factory=list)

    def admit(self, prepared: Prepared, doubles: Doubles) -> bool:
        """Take one record; False when it waits for the end of the read, as unequal records of one key do."""
        if doubles.waits(prepared.external_id):
            doubles.hold(prepared)
            return False
        other = self.prepared.setdefault(prepared.external_id, prepared)
        if other is not prepared and other.entity_hash != prepared.entity_hash:
            self.put_aside(other, doubles)
            doubles.hold(prepared)
            return False
        self.taken += 1
        self.repeated += other is not prepared
        return True

    def put_aside(self, prepared: Prepared, doubles: Doubles, written: bytes | None = None) -> None:
        """Let a record of this batch wait; `written` is the hash of the one that an earlier batch brought."""
        del self.prepared[prepared.external_id]
        self.taken -= 1
        doubles.hold(prepared, written)

    def repeat(self, prepared: Prepared) -> None:
        """Leave out a record that an earlier batch brought already."""
        del self.prepared[prepared.external_id]
        self.repeated += 1

    def reject(self, record: object, rejection: RejectedRecordError) -> None:
        """Take one record that goes to quarantine."""
        self.taken += 1
        self.rejected.append((record, rejection))

    def pass_over(self) -> None:
        """Take one record that is none."""
        self.taken += 1
        self.passed_over += 1


class Appender:
    """Writes batches of one run to the log, each in one transaction, and keeps its counts in balance.

    Needs a connection that holds the stream's writer lock and no open transaction. In a dry run it compares only.
    """

    def __init__(self, work: Work, stream: Stream[Any], seen: Seen) -> None:
        self._connection = work.connection
        self._stream = stream
        self._run = work.run
        self._seen = seen
        self._stream_values = stream.values
        about = {"left_out": list(stream.left_out)} if stream.left_out else {}
        about |= {"kept": list(stream.kept)} if stream.kept is not None else {}
        self._ingestion_metadata = json.dumps(about).encode()
        with self._connection.begin():
            self._connection.exec_driver_sql(INCOMING)
            self.doubles = Doubles(self._connection.execute(text(DOUBLED), self._stream_values).scalars())
            self._last_seq: int = self._connection.execute(
                text("select coalesce(max(seq), 0) from bronze.raw_entities")
            ).scalar_one()
            check_versions(self._connection, stream)

    def append(self, batch: Batch) -> None:
        """Compare and write `batch` in one transaction, and add to the run's counts."""
        with self._connection.begin():
            self._append(batch, settled=False)

    def settle(self) -> int:
        """Write what waited for the end of the read, in one transaction; how many records that were."""
        outcome = self.doubles.settle()
        batch = Batch({record.external_id: record for record in outcome.standing}, taken=outcome.taken)
        batch.rejected = [(orjson.loads(r.body), self._twin(r.external_id)) for r in outcome.dropped]
        batch.repeated = outcome.taken - len(batch.prepared) - len(batch.rejected)
        with self._connection.begin():
            overruled = [(orjson.loads(self._live_payload(key)), self._twin(key)) for key in outcome.overruled]
            self._append(batch, settled=True, overruled=frozenset(outcome.overruled))
            self._quarantine(overruled)
        return outcome.taken

    def _twin(self, external_id: str) -> RejectedRecordError:
        return RejectedRecordError("duplicate", TWIN, external_id)

    def _live_payload(self, external_id: str) -> str:
        found = self._connection.execute(text(LIVE_PAYLOAD), {**self._stream_values, "external_id": external_id})
        return str(found.scalar_one_or_none() or "null")

    def _append(self, batch: Batch, *, settled: bool, overruled: frozenset[str] = frozenset()) -> None:
        before = self._balance()
        changes: dict[int, str] = {}
        self._connection.exec_driver_sql(f"{INDEX_LOOKUPS}; {NO_WAIT}")
        records = list(batch.prepared.values())
        if records:
            stage(self._connection, records)
            if not settled:
                self._put_repeated_aside(batch, records)
            self._seen.note_staged(again=settled)
            changes = self._compare(records)
            if self._run.dry:
                # Of these keys another record would have been written before.
                changes |= {place: "changed" for place, r in enumerate(records) if r.external_id in overruled}
            else:
                self._write(records, changes)
                self._connection.execute(text(OVERTAKE), {**self._stream_values, "run_id": self._run.run_id})
                if version_field(self._stream):
                    self._connection.execute(text(MARK_VERSION), self._stream_values)
        self._quarantine(batch.rejected)
        # A part whose record waits for the end of the read is not written yet.
        parts = [(name, keys) for name, keys in batch.parts if not any(map(self.doubles.waits, keys))]
        finish_parts(self._connection, self._stream, parts)
        counts = self._run.counts
        created = sum(change != "changed" for change in changes.values())
        counts.processed += batch.taken
        counts.created += created
        counts.updated += len(changes) - created
        counts.skipped += len(batch.prepared) - len(changes) + batch.repeated + batch.passed_over
        counts.failed += len(batch.rejected)
        if self._balance() != before:
            raise UnbalancedRunError(f"{self._stream.label}: a batch of {batch.taken} records does not balance")

    def _balance(self) -> int:
        counts = self._run.counts
        return counts.processed - counts.created - counts.updated - counts.skipped - counts.failed

    def _put_repeated_aside(self, batch: Batch, records: list[Prepared]) -> None:
        """Take keys that an earlier batch of this read has brought out of what is staged."""
        repeated = self._seen.repeated()
        for ordinal, same, written in repeated:
            if same:
                batch.repeat(records[ordinal])
            else:
                batch.put_aside(records[ordinal], self.doubles, written)
        if repeated:
            self._connection.execute(
                text("delete from incoming where ordinal = any(:ordinals)"),
                {"ordinals": [ordinal for ordinal, _, _ in repeated]},
            )

    def _compare(self, records: list[Prepared]) -> dict[int, str]:
        """The change of each staged record that differs from what is current, by its place in `records`, in their order."""
        version = self._stream.hash_rule.version
        rows = self._connection.execute(text(COMPARE), {**self._stream_values, "version": version}).all()
        former = {rule.version: rule for rule in self._stream.former_hash_rules}
        changes: dict[int, str] = {}
        equal_by_former_rule: list[int] = []
        for change, stored_version, ordinals, hashes in rows:
            changes |= dict.fromkeys(ordinals, change)
            rule = former.get(stored_version) if change == "changed" else None
            if rule:
                stored = zip(ordinals, hashes, strict=True)
                equal_by_former_rule += [n for n, known in stored if _hash(records[n].body, rule) == known]
        for ordinal in equal_by_former_rule:
            del changes[ordinal]
        if equal_by_former_rule and not self._run.dry:
            self._connection.execute(
                text(REHASH), {**self._stream_values, "version": version, "ordinals": equal_by_former_rule}
            )
        return dict(sorted(changes.items()))

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

    def _quarantine(self, rejected: list[tuple[object, RejectedRecordError]]) -> None:
        """Keep what was rejected. Where its key is known, its entity is not taken for gone."""
        if not rejected:
            return
        rows: list[dict[str, object]] = []
        for record, rejection in rejected:
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
        self._seen.note_poison(rows)
        if not self._run.dry:
            self._connection.execute(text(QUARANTINE), rows)
        for reason in sorted({rejection.reason for _, rejection in rejected}):
            logger.warning("⚠️ %s: quarantined: %s", self._stream.label, reason)


def _hash(body: bytes, rule: HashRule) -> bytes:
    return content_hash(orjson.loads(body), body, rule)
