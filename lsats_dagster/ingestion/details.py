"""A run of a detail stream: a budgeted queue over the keys of its list stream.

The queue is not stored: it is computed from bronze and meta.detail_fetches, so a run can end anywhere and the next one
goes on. An empty queue makes no call. Only a "not there" answer to a key's own call removes a detail.
"""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from lsats_dagster.database import Database
from lsats_dagster.ingestion.content import RejectedRecordError, checked_key
from lsats_dagster.ingestion.extract import EMPTY_PAYLOAD_HASH, JOINED_BY, ReadRequest, position, removal_limit, start
from lsats_dagster.ingestion.stream import DetailStream, UnprovenReadError, UnreadableRecordError
from lsats_dagster.ingestion.writer import BatchWriter
from lsats_dagster.runs import (
    Check,
    Mode,
    Origin,
    Run,
    close_run,
    fail_run,
    last_metadata,
    renew_statistics,
    sole_writer,
    summary,
    volume_check,
)

logger = logging.getLogger(__name__)

# One answer that cannot be read is a bad record; so many in a row are a bad source.
UNREADABLE_IN_A_ROW = 5
CALLS_PER_COMMIT = 100

# What is due, most urgent first: gone from the list (the call's 404 is the tombstone), never fetched, the list row has
# changed since (its content, or the source's own mark of modification), too old, answered in a way that nobody could read.
QUEUE = """
select q.external_id, q.list_seq, q.source_version, q.listed, count(*) over () as due
from (
    select
        l.external_id,
        l.seq as list_seq,
        l.source_version,
        l.removed_at is null as listed,
        case
            when l.removed_at is not null and d.external_id is not null and d.removed_at is null
                and coalesce(f.list_seq < l.seq, true) then 1
            when l.removed_at is null and f.list_seq is null then 2
            when l.removed_at is null
                and (f.list_seq < l.seq or f.source_version is distinct from l.source_version) then 3
            when (l.removed_at is null or d.removed_at is null and d.external_id is not null)
                and f.fetched_at < :fetched_before then 4
            when l.removed_at is null and f.outcome = 'quarantined' then 5
        end as urgency
    from bronze.current_entities l
    left join bronze.current_entities d
        on d.source_system = :source_system and d.entity_type = :entity_type and d.external_id = l.external_id
    left join (
        select distinct on (external_id) external_id, list_seq, source_version, fetched_at, outcome
        from meta.detail_fetches
        where source_system = :source_system and entity_type = :entity_type
        order by external_id, fetch_seq desc
    ) f on f.external_id = l.external_id
    where l.source_system = :list_source_system and l.entity_type = :list_entity_type
) q
where q.urgency is not null
order by q.urgency, q.list_seq, q.external_id
limit :budget
"""

ENTOMB_GONE = """
with tombstones as (
    insert into bronze.raw_entities (
        source_system, entity_type, external_id, change, raw_data,
        entity_hash, hash_version, ingestion_run_id, ingestion_metadata
    )
    select c.source_system, c.entity_type, c.external_id, 'removed', '{}', :hash, :version, :run_id, '{}'
    from bronze.current_entities c
    where c.source_system = :source_system and c.entity_type = :entity_type
        and c.external_id = any(:gone) and c.removed_at is null
    returning external_id, raw_id, seq, entity_hash, ingested_at
)
update bronze.current_entities c
set raw_id = t.raw_id, seq = t.seq, entity_hash = t.entity_hash, changed_at = t.ingested_at, removed_at = t.ingested_at
from tombstones t
where c.source_system = :source_system and c.entity_type = :entity_type and c.external_id = t.external_id
"""

# A key that now has an answer, or that the list has lost, leaves quarantine: what was kept aside is older.
SUPERSEDE = """
update meta.quarantine q
set resolved_at = now(), resolution = 'superseded', resolved_by = :run_id
where source_system = :source_system and entity_type = :entity_type and resolved_at is null
    and exists (
        select from meta.detail_fetches f
        where f.source_system = :source_system and f.entity_type = :entity_type and f.external_id = q.external_id
            and f.run_id = :run_id and f.outcome <> 'quarantined'
        union all
        select from bronze.current_entities l
        where l.source_system = :list_source_system and l.entity_type = :list_entity_type
            and l.external_id = q.external_id and l.removed_at is not null
    )
"""

RECORD_FETCH = """
insert into meta.detail_fetches (source_system, entity_type, external_id, list_seq, source_version, outcome, run_id)
values (:source_system, :entity_type, :external_id, :list_seq, :source_version, :outcome, :run_id)
"""


@dataclass(frozen=True)
class Due:
    """A key whose detail is to be fetched, and the state of its list row when that was decided."""

    external_id: str
    list_seq: int
    source_version: str | None
    listed: bool


@dataclass(frozen=True)
class Answer:
    """What one detail call brought: a record, gone, or an answer that could not be read."""

    due: Due
    record: Any | None = None
    unreadable: str | None = None

    @property
    def external_id(self) -> str:
        return self.due.external_id

    @property
    def gone(self) -> bool:
        return self.record is None and self.unreadable is None


def enrich(
    database: Database,
    stream: DetailStream[Any],
    client: Any,
    *,
    request: ReadRequest,
    origin: Origin,
    budget: int,
    workers: int,
    max_age: timedelta,
    lock_wait_seconds: float,
) -> Run:
    """Fetch at most `budget` due details (request.limit lowers it) and return the closed run.

    Due is what is new, changed, gone or older than `max_age`; with request.full everything.

    The extract is complete when the queue is empty afterwards. A dry run makes no call: it reports the queue. Raises
    what the client raised; what was fetched before is kept.
    """
    budget = budget if request.limit is None else min(budget, request.limit)
    with sole_writer(database, stream.subject, lock_wait_seconds) as connection:
        fetched_before = begin_of_full(connection, stream) if request.full else datetime.now(UTC) - max_age
        mode: Mode = "full" if request.full else "incremental"
        run = start(connection, stream, mode, request, origin, fetched_before=fetched_before.isoformat())
        try:
            calls, due = queue(connection, stream, fetched_before, budget)
            logger.info("🔄 %s: %d details are due, budget %d calls", stream.name, due, budget)
            if not run.dry:
                with BatchWriter(connection, stream, run, CALLS_PER_COMMIT) as writer:
                    for answers in _answers(stream, client, calls, workers):
                        _write(connection, stream, run, writer, answers)
            with connection.begin():
                _certify(run, due=due, calls=0 if run.dry else len(calls))
                if not run.dry:
                    connection.execute(text(SUPERSEDE), {**_values(stream), "run_id": run.run_id})
                run.watermark, run.row_count = position(connection, stream)
                run.checks.append(volume_check(run, last_metadata(connection, stream.subject)))
                if not run.dry:
                    close_run(connection, run)
        except BaseException as error:
            if not run.dry:
                fail_run(database, connection, run, error)
            logger.error("❌ %s: failed after %d records", stream.name, run.counts.processed)
            raise
        if not run.dry:
            renew_statistics(connection, run, JOINED_BY)
    logger.info("%s\n%s", summary(run), "🎉 Completed")
    return run


def _values(stream: DetailStream[Any]) -> dict[str, Any]:
    return {
        "source_system": stream.source_system,
        "entity_type": stream.entity_type,
        "list_source_system": stream.list_stream.source_system,
        "list_entity_type": stream.list_stream.entity_type,
    }


def begin_of_full(connection: Connection, stream: DetailStream[Any]) -> datetime:
    """The moment that a full fetch counts from: that of the last one as long as it has not come to its end, else now.

    So a full fetch that a budget or a failure cut short goes on where it stopped.
    """
    with connection.begin():
        last = connection.execute(
            text(
                "select status, metadata from meta.ingestion_runs where source_system = :source_system "
                "and entity_type = :entity_type and mode = 'full' order by run_seq desc limit 1"
            ),
            {"source_system": stream.source_system, "entity_type": stream.entity_type},
        ).one_or_none()
    unfinished = last and (last.status != "completed" or last.metadata["extract"]["state"] != "complete")
    began = last.metadata.get("fetched_before") if last and unfinished else None
    return datetime.fromisoformat(began) if began else datetime.now(UTC)


def queue(
    connection: Connection, stream: DetailStream[Any], fetched_before: datetime, budget: int
) -> tuple[list[Due], int]:
    """The `budget` most urgent details, and how many are due in all."""
    values = {
        **_values(stream),
        "fetched_before": fetched_before,
        # One row at least, for the count that stands in it.
        "budget": max(budget, 1),
    }
    with connection.begin():
        rows = connection.execute(text(QUEUE), values).all()
    due = [Due(row.external_id, row.list_seq, row.source_version, row.listed) for row in rows[:budget]]
    return due, rows[0].due if rows else 0


def _answers(stream: DetailStream[Any], client: Any, due: list[Due], workers: int) -> Iterator[list[Answer]]:
    """The answers in portions of one commit. A failed call ends the read, after the answers that came were handed on."""
    ended = threading.Event()
    counting = threading.Lock()
    unreadable_in_a_row = 0

    def call(item: Due) -> Answer | Exception | None:
        nonlocal unreadable_in_a_row
        if ended.is_set():
            return None
        try:
            answer = Answer(item, stream.fetch(client, item.external_id))
        except UnreadableRecordError as error:
            answer = Answer(item, unreadable=str(error))
        except Exception as error:
            ended.set()
            return error
        with counting:
            unreadable_in_a_row = unreadable_in_a_row + 1 if answer.unreadable else 0
            if unreadable_in_a_row >= UNREADABLE_IN_A_ROW:
                ended.set()
        return answer

    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="detail") as pool:
        for begin in range(0, len(due), CALLS_PER_COMMIT):
            results = list(pool.map(call, due[begin : begin + CALLS_PER_COMMIT]))
            answers = [result for result in results if isinstance(result, Answer)]
            if unreadable_in_a_row >= UNREADABLE_IN_A_ROW:
                # The source is ill, not its records: these are asked for again.
                yield [answer for answer in answers if not answer.unreadable]
                raise UnprovenReadError(f"{stream.name}: {UNREADABLE_IN_A_ROW} answers in a row could not be read")
            yield answers
            for result in results:
                if isinstance(result, Exception):
                    raise result


def _write(
    connection: Connection, stream: DetailStream[Any], run: Run, writer: BatchWriter, answers: list[Answer]
) -> None:
    """Write a portion of answers, then the record of its calls: a death in between only repeats calls."""
    outcomes = {answer.external_id: _outcome(stream, writer, answer) for answer in answers}
    writer.flush()
    gone = [answer.external_id for answer in answers if answer.gone]
    stream_values = {
        "source_system": stream.source_system,
        "entity_type": stream.entity_type,
        "run_id": run.run_id,
    }
    with connection.begin():
        if gone:
            refuse_contradiction(connection, stream, run, sum(answer.due.listed for answer in answers if answer.gone))
            run.counts.removed += connection.execute(
                text(ENTOMB_GONE),
                {
                    **stream_values,
                    "gone": gone,
                    "hash": EMPTY_PAYLOAD_HASH,
                    "version": stream.hash_rule.version,
                },
            ).rowcount
        if answers:
            connection.execute(
                text(RECORD_FETCH),
                [
                    {
                        **stream_values,
                        "external_id": answer.due.external_id,
                        "list_seq": answer.due.list_seq,
                        "source_version": answer.due.source_version,
                        "outcome": outcomes[answer.external_id],
                    }
                    for answer in answers
                ],
            )


def refuse_contradiction(connection: Connection, stream: DetailStream[Any], run: Run, gone_but_listed: int) -> None:
    """UnprovenReadError when more keys that the list has are answered "not there" than one run may remove.

    An account can go between list and call; that many point to a wrong address or a proxy that answers for the source.
    """
    contradictions = run.metadata.get("gone_but_listed", 0) + gone_but_listed
    run.metadata["gone_but_listed"] = contradictions
    _, present = position(connection, stream)
    if contradictions > removal_limit(present):
        raise UnprovenReadError(
            f"{stream.name}: {contradictions} records that the list has were answered as not there; "
            "look at the source's address. Nothing more was removed"
        )


def _outcome(stream: DetailStream[Any], writer: BatchWriter, answer: Answer) -> str:
    """Hand one answer to the writer, and name what it was."""
    if answer.gone:
        return "gone"
    rejection: RejectedRecordError | None = None
    if answer.unreadable:
        rejection = RejectedRecordError("read", answer.unreadable, answer.external_id)
    elif not isinstance(answer.record, dict):
        rejection = RejectedRecordError("read", "not an object", answer.external_id)
    else:
        try:
            if checked_key(stream, answer.record) != answer.external_id:
                rejection = RejectedRecordError("key", "the answer is about another record", answer.external_id)
        except RejectedRecordError as error:
            rejection = RejectedRecordError(error.stage, error.reason, answer.external_id)
    if rejection:
        # The key tells one unreadable answer from the other.
        record = answer.record if answer.unreadable is None else {"external_id": answer.external_id}
        writer.reject(record, rejection)
        return "quarantined"
    return "found" if writer.add(answer.record) else "quarantined"


def _certify(run: Run, *, due: int, calls: int) -> None:
    """State what is left, and when it will be done at this run's pace; what a budget leaves is partial by intent."""
    remaining = due - calls
    run.metadata["extract"] = {
        "state": "partial" if remaining else "complete",
        "due": due,
        "remaining": remaining,
    }
    if remaining and calls:
        left = timedelta(seconds=remaining * (time.monotonic() - run.started) / calls)
        run.metadata["extract"]["expected_finish"] = (datetime.now(UTC) + left).isoformat(timespec="minutes")
    run.checks.append(Check("integrity", True, "every record read was written, skipped or kept aside", severe=True))
