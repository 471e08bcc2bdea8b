"""A run of a detail stream: a queue over the keys of its list stream, within a budget of minutes or calls.

The queue is not stored: it is computed from bronze and meta.detail_fetches, so a run can end anywhere and the next one
goes on. An empty queue makes no call. Only a "not there" answer to a key's own call removes a detail.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from lsats_dagster.database import WHOLE_TABLES, Database
from lsats_dagster.ingestion.before import check_approval, last_complete
from lsats_dagster.ingestion.detail_calls import CALLS_PER_COMMIT, Answer, Calls, Due
from lsats_dagster.ingestion.extract import JOINED_BY, NOT_ENDED, finish, integrity_check, since
from lsats_dagster.ingestion.removals import remove_denied, remove_gone
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.writer import BatchWriter
from lsats_dagster.runs import Origin, Run, Work, running

logger = logging.getLogger(__name__)

# What is due, most urgent first: what this run approves, gone from the list (the call's 404 is the tombstone), never fetched,
# the list row has changed since (its content, or the source's own mark of modification), too old, without an answer that
# could be used, answered as not there before the list was last read, which still has it.
QUEUE = """
select q.external_id, q.list_seq, q.source_version, q.listed, q.last_outcome, count(*) over () as due
from (
    select
        l.external_id,
        l.seq as list_seq,
        l.source_version,
        l.removed_at is null as listed,
        f.outcome as last_outcome,
        case
            when l.removed_at is not null and d.external_id is not null and d.removed_at is null
                and coalesce(f.list_seq < l.seq, true) then 1
            when l.removed_at is null and f.list_seq is null then 2
            when l.removed_at is null
                and (f.list_seq < l.seq or f.source_version is distinct from l.source_version) then 3
            when (l.removed_at is null or d.removed_at is null and d.external_id is not null)
                and f.fetched_at < :fetched_before then 4
            when (l.removed_at is null or d.removed_at is null and d.external_id is not null)
                and f.outcome in ('quarantined', 'failed', 'denied') then 5
            when l.removed_at is null and f.outcome = 'gone' and f.fetched_at < :list_read_at then 6
        end as urgency
    from bronze.current_entities l
    left join bronze.current_entities d
        on d.source_system = :source_system and d.entity_type = :entity_type and d.external_id = l.external_id
    left join meta.detail_fetches f
        on f.source_system = :source_system and f.entity_type = :entity_type and f.external_id = l.external_id
    where l.source_system = :list_source_system and l.entity_type = :list_entity_type
) q
where q.urgency is not null
order by
    exists (select from meta.refused_removals r where r.run_id = :approval and r.external_id = q.external_id) desc,
    q.urgency, q.list_seq, q.external_id
limit :most
"""

# A key that now has an answer, or that the list has lost, leaves quarantine: what was quarantined is older.
SUPERSEDE = """
update meta.quarantine q
set resolved_at = now(), resolution = 'superseded', resolved_by = :run_id
where source_system = :source_system and entity_type = :entity_type and resolved_at is null
    and exists (
        select from meta.detail_fetches f
        where f.source_system = :source_system and f.entity_type = :entity_type and f.external_id = q.external_id
            and f.run_id = :run_id and f.outcome in ('found', 'gone')
        union all
        select from bronze.current_entities l
        where l.source_system = :list_source_system and l.entity_type = :list_entity_type
            and l.external_id = q.external_id and l.removed_at is not null
    )
"""

# The newest call of each key is all that the queue asks for.
RECORD_FETCHES = """
insert into meta.detail_fetches (source_system, entity_type, external_id, list_seq, source_version, outcome, run_id)
select :source_system, :entity_type, a.external_id, a.list_seq, a.source_version, a.outcome, :run_id
from unnest(
    cast(:external_ids as text[]), cast(:list_seqs as bigint[]), cast(:source_versions as text[]), cast(:outcomes as text[])
) a (external_id, list_seq, source_version, outcome)
on conflict (source_system, entity_type, external_id) do update set
    fetched_at = clock_timestamp(),
    list_seq = excluded.list_seq,
    source_version = excluded.source_version,
    outcome = excluded.outcome,
    run_id = excluded.run_id
"""


def enrich(
    database: Database,
    stream: DetailStream[Any],
    client: Any,
    *,
    request: ReadRequest,
    origin: Origin,
    minutes: float,
    every_minutes: float,
    workers: int,
    max_age: timedelta,
    lock_wait_seconds: float,
) -> Run:
    """Fetch due details, at most request.limit of them, until `minutes` are over; return the closed run.

    Due is what is new, changed, gone or older than `max_age`; with request.full everything. When the rest will be done is
    told by the pace of this run, and by how much of the time such runs take: `minutes` out of `every_minutes`.

    The extract is complete when the queue is empty afterwards. A dry run makes no call: it reports the queue. Raises what
    the client raised when calls go on failing, UnprovenReadError when answers go on being unreadable; what was fetched
    before is kept, also when the run is interrupted.
    """
    with running(
        database,
        stream.subject,
        "full" if request.full else "incremental",
        origin,
        metadata={"extract": dict(NOT_ENDED)},
        statistics=JOINED_BY,
        dry=request.dry_run,
        wait_seconds=lock_wait_seconds,
    ) as work:
        began = time.monotonic()
        check_approval(work.connection, request.approve_removals)
        fetched_before = (
            begin_of_full(work.connection, stream, max_age) if request.full else datetime.now(UTC) - max_age
        )
        work.note(fetched_before=fetched_before.isoformat(), stored_as=stream.stored_as)
        most_urgent, due = queue(work.connection, stream, fetched_before, request)
        logger.info("🔄 %s: %d details are due", stream.label, due)
        # Of many that are due few may be asked.
        asked = (Due(*row) for row in ([] if work.run.dry else most_urgent))
        calls = Calls(stream, client, asked, workers, total=len(most_urgent), until=began + 60 * minutes)
        counted = stream.evidence(client)
        try:
            with BatchWriter(work, stream, CALLS_PER_COMMIT) as writer:
                answered = Answered(work, stream, writer)
                fetch(calls, answered)
        except BaseException:
            work.run.metadata["extract"] |= since(counted, stream.evidence(client))
            raise
        with work.last_transaction():
            refused = answered.judge_denied(request.approve_removals)
            _certify(
                work.run,
                due=due,
                calls=calls.asked,
                seconds=(time.monotonic() - began) * max(every_minutes / minutes, 1.0),
                unanswered=answered.unanswered,
                denied=answered.denied + len(refused),
                taken=writer.taken,
                evidence=since(counted, stream.evidence(client)),
            )
            finish(work, stream, filling=True)
    return work.run


def fetch(calls: Calls, answered: "Answered") -> None:
    """Make the calls and keep their answers; those that came when the run is interrupted, too."""
    with interrupts_held(calls.interrupt):
        try:
            for answers in calls:
                answered.take(answers)
                answered.commit()
        finally:
            calls.stop()


@contextmanager
def interrupts_held(told: Callable[[], None]) -> Iterator[None]:
    """Call `told` on the first interrupt, which takes its effect when the block has ended; a second one does at once.

    An interrupt that is raised in the middle of a commit leaves a connection on which nothing more can be written, and one
    between two lines loses what the first has taken. Only the main thread is ever interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[signal.Signals] = []

    def hold(number: int, _frame: object) -> None:
        interrupt = signal.Signals(number)
        signal.signal(interrupt, former[interrupt])
        came.append(interrupt)
        told()

    former = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        for interrupt in came:
            signal.raise_signal(interrupt)


class Answered:
    """The answers of a run: written in portions, records first, then the record of their calls. A death in between only
    repeats calls.

    unanswered: calls without an answer. denied: keys that were for the first time answered as not there although the list
    has them; the next run asks again.
    """

    def __init__(self, work: Work, stream: DetailStream[Any], writer: BatchWriter) -> None:
        self._work = work
        self._stream = stream
        self._writer = writer
        self._outcomes: list[tuple[Answer, str]] = []
        # Answers that contradict the list are judged together, at the end.
        self._denied_again: list[Answer] = []
        self.unanswered = 0
        self.denied = 0

    def take(self, answers: list[Answer]) -> None:
        """Hand the records of these answers to the writer."""
        for answer in answers:
            self.unanswered += answer.failure is not None
            if answer.denied_again:
                self._denied_again.append(answer)
            else:
                self._outcomes.append((answer, self._outcome(answer)))

    def _outcome(self, answer: Answer) -> str:
        if answer.denied:
            self.denied += 1
            return "denied"
        if answer.gone:
            return "gone"
        if answer.failure:
            return "failed"
        if answer.rejection:
            self._writer.reject(answer.record, answer.rejection)
            return "quarantined"
        return "found" if self._writer.add(answer.record) else "quarantined"

    def commit(self) -> None:
        """Write what was taken, and the record of its calls."""
        self._writer.flush()
        if self._outcomes:
            with self._work.connection.begin():
                gone = [answer.external_id for answer, outcome in self._outcomes if outcome == "gone"]
                remove_gone(self._work, self._stream, gone)
                self._record(self._outcomes)
            self._outcomes = []

    def judge_denied(self, approval: UUID | None) -> set[str]:
        """Remove what was denied by two runs, within the guard, and close what is settled; the keys that were refused."""
        if self._work.run.dry:
            return set()
        denied = [answer.external_id for answer in self._denied_again]
        refused = remove_denied(self._work, self._stream, denied, approval)
        self._record([(a, "denied" if a.external_id in refused else "gone") for a in self._denied_again])
        self._work.connection.execute(text(SUPERSEDE), {**self._stream.values, "run_id": self._work.run.run_id})
        return refused

    def _record(self, outcomes: list[tuple[Answer, str]]) -> None:
        values = {
            **self._stream.values,
            "run_id": self._work.run.run_id,
            "external_ids": [answer.external_id for answer, _ in outcomes],
            "list_seqs": [answer.due.list_seq for answer, _ in outcomes],
            "source_versions": [answer.due.source_version for answer, _ in outcomes],
            "outcomes": [outcome for _, outcome in outcomes],
        }
        self._work.connection.execute(text(RECORD_FETCHES), values)


def begin_of_full(connection: Connection, stream: DetailStream[Any], max_age: timedelta) -> datetime:
    """The moment that a full fetch counts from: that of the last one as long as it has not come to its end, else now.

    So a full fetch that a budget or a failure cut short goes on where it stopped, unless details are stored in another way
    since, or what it fetched first would be due again by its age.
    """
    with connection.begin():
        last = connection.execute(
            text(
                "select status, metadata from meta.ingestion_runs where source_system = :source_system "
                "and entity_type = :entity_type and mode = 'full' and metadata ? 'fetched_before' "
                "order by run_seq desc limit 1"
            ),
            stream.values,
        ).one_or_none()
    now = datetime.now(UTC)
    if last is None or last.metadata.get("stored_as") != stream.stored_as:
        return now
    extract = last.metadata["extract"]
    # What was asked for in vain is due again, and no part of the full fetch that is missing.
    if last.status == "completed" and not extract.get("unasked", extract["remaining"]):
        return now
    began = datetime.fromisoformat(last.metadata["fetched_before"])
    return began if began > now - max_age else now


def queue(
    connection: Connection, stream: DetailStream[Any], fetched_before: datetime, request: ReadRequest
) -> tuple[list[tuple[Any, ...]], int]:
    """The most urgent details, as rows of `Due`, and how many are due in all."""
    values: dict[str, Any] = {
        **stream.values,
        "fetched_before": fetched_before,
        "approval": request.approve_removals,
        # One row at least, for the count that stands in it.
        "most": None if request.limit is None else max(request.limit, 1),
    }
    with connection.begin():
        connection.exec_driver_sql(WHOLE_TABLES)
        values["list_read_at"] = last_complete(connection, stream.list_stream)
        rows = connection.execute(text(QUEUE), values).all()
    return [row[:-1] for row in rows[: request.limit]], rows[0].due if rows else 0


def _certify(
    run: Run,
    *,
    due: int,
    calls: int,
    seconds: float,
    unanswered: int,
    denied: int,
    taken: int,
    evidence: Mapping[str, Any],
) -> None:
    """State what is left, and when it will be done at a pace of so many calls in so many seconds. What a budget leaves is
    partial by intent.
    """
    unasked = due - calls
    remaining = unasked + unanswered + denied + run.counts.failed
    run.metadata["extract"] = {
        "state": "partial" if remaining else "complete",
        "due": due,
        "unasked": unasked,
        "remaining": remaining,
        "unanswered": unanswered,
        "listed_but_not_there": denied,
        **evidence,
    }
    if unanswered == calls > 0:
        # Calls that are known to fail do not fail the run; it says nothing of how fresh the table is, either.
        run.metadata["extract"]["reason"] = "no call was answered"
    if unasked and calls:
        left = timedelta(seconds=unasked * seconds / calls)
        run.metadata["extract"]["expected_finish"] = (datetime.now(UTC) + left).isoformat(timespec="minutes")
    run.checks.append(integrity_check(run, taken, unanswered))
