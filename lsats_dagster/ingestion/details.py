"""A run of a detail stream: a budgeted queue over the keys of its list stream.

The queue is not stored: it is computed from bronze and meta.detail_fetches, so a run can end anywhere and the next one
goes on. An empty queue makes no call. Only a "not there" answer to a key's own call removes a detail.
"""

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from lsats_dagster.database import Database
from lsats_dagster.ingestion.detail_calls import CALLS_PER_COMMIT, Answer, Due, ask_all
from lsats_dagster.ingestion.extract import (
    JOINED_BY,
    ReadRequest,
    integrity_check,
    position,
    since,
    start,
)
from lsats_dagster.ingestion.removals import remove_denied, remove_gone
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.writer import BatchWriter
from lsats_dagster.runs import (
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

# What is due, most urgent first: what this run approves, gone from the list (the call's 404 is the tombstone), never fetched,
# the list row has changed since (its content, or the source's own mark of modification), too old, without an answer that
# could be used.
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
order by
    exists (select from meta.refused_removals r where r.run_id = :approval and r.external_id = q.external_id) desc,
    q.urgency, q.list_seq, q.external_id
limit :budget
"""

# A key that now has an answer, or that the list has lost, leaves quarantine: what was kept aside is older.
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

RECORD_FETCH = """
insert into meta.detail_fetches (source_system, entity_type, external_id, list_seq, source_version, outcome, run_id)
values (:source_system, :entity_type, :external_id, :list_seq, :source_version, :outcome, :run_id)
"""


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

    The extract is complete when the queue is empty afterwards. A dry run makes no call: it reports the queue. Raises what
    the client raised when calls go on failing, UnprovenReadError when answers go on being unreadable; what was fetched
    before is kept.
    """
    budget = budget if request.limit is None else min(budget, request.limit)
    with sole_writer(database, stream.subject, wait_seconds=lock_wait_seconds) as connection:
        fetched_before = begin_of_full(connection, stream, max_age) if request.full else datetime.now(UTC) - max_age
        mode: Mode = "full" if request.full else "incremental"
        about = {"fetched_before": fetched_before.isoformat(), "stored_as": stored_as(stream)}
        run, before = start(connection, stream, mode, request, origin, **about), stream.evidence(client)
        try:
            calls, due = queue(connection, stream, fetched_before, budget, request.approve_removals)
            logger.info("🔄 %s: %d details are due, budget %d calls", stream.name, due, budget)
            if run.dry:
                calls = []
            # Answers that contradict the list are judged together, at the end.
            denied: list[Answer] = []
            unanswered = 0
            with BatchWriter(connection, stream, run, CALLS_PER_COMMIT) as writer:
                for answers in ask_all(stream, client, calls, workers):
                    denied += [answer for answer in answers if answer.denied]
                    unanswered += sum(answer.failure is not None for answer in answers)
                    _write(connection, stream, run, writer, [answer for answer in answers if not answer.denied])
            with connection.begin():
                refused = set()
                if not run.dry:
                    refused = remove_denied(
                        connection, stream, run, [a.external_id for a in denied], request.approve_removals
                    )
                    _record(connection, stream, run, denied, dict.fromkeys(refused, "denied"))
                    connection.execute(text(SUPERSEDE), {**stream.values, "run_id": run.run_id})
                _certify(
                    run,
                    due=due,
                    calls=len(calls),
                    unanswered=unanswered,
                    denied=len(refused),
                    taken=writer.taken,
                    evidence=since(before, stream.evidence(client)),
                )
                run.watermark, run.row_count = position(connection, stream)
                run.checks.append(volume_check(run, last_metadata(connection, stream.subject)))
                if not run.dry:
                    close_run(connection, run)
        except BaseException as error:
            run.metadata["extract"] |= since(before, stream.evidence(client))
            if not run.dry:
                fail_run(database, connection, run, error)
            logger.error("❌ %s: failed after %d records", stream.name, run.counts.processed)
            raise
        if not run.dry:
            renew_statistics(connection, run, JOINED_BY)
    logger.info("%s\n%s", summary(run), "🎉 Completed")
    return run


def stored_as(stream: DetailStream[Any]) -> str:
    """What of a stream's declaration shapes its stored details: after a change, those fetched before are of another kind."""
    return f"without {','.join(stream.left_out) or 'nothing'}, hash version {stream.hash_rule.version}"


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
    if last is None or last.metadata.get("stored_as") != stored_as(stream):
        return now
    extract = last.metadata["extract"]
    # What was asked for in vain is due again, and no part of the full fetch that is missing.
    if last.status == "completed" and not extract.get("unasked", extract["remaining"]):
        return now
    began = datetime.fromisoformat(last.metadata["fetched_before"])
    return began if began > now - max_age else now


def queue(
    connection: Connection, stream: DetailStream[Any], fetched_before: datetime, budget: int, approval: UUID | None
) -> tuple[list[Due], int]:
    """The `budget` most urgent details, and how many are due in all."""
    values = {
        **stream.values,
        "fetched_before": fetched_before,
        "approval": approval,
        # One row at least, for the count that stands in it.
        "budget": max(budget, 1),
    }
    with connection.begin():
        rows = connection.execute(text(QUEUE), values).all()
    due = [
        Due(row.external_id, row.list_seq, row.source_version, row.listed, row.last_outcome) for row in rows[:budget]
    ]
    return due, rows[0].due if rows else 0


def _write(
    connection: Connection, stream: DetailStream[Any], run: Run, writer: BatchWriter, answers: list[Answer]
) -> None:
    """Write a portion of answers, then the record of its calls: a death in between only repeats calls."""
    outcomes = {answer.external_id: _outcome(writer, answer) for answer in answers}
    writer.flush()
    with connection.begin():
        remove_gone(connection, stream, run, [answer.external_id for answer in answers if answer.gone])
        _record(connection, stream, run, answers, outcomes)


def _record(
    connection: Connection, stream: DetailStream[Any], run: Run, answers: list[Answer], outcomes: Mapping[str, str]
) -> None:
    """The record of these calls; what `outcomes` does not name was answered as not there."""
    if answers:
        connection.execute(
            text(RECORD_FETCH),
            [
                {
                    **stream.values,
                    "run_id": run.run_id,
                    "external_id": answer.external_id,
                    "list_seq": answer.due.list_seq,
                    "source_version": answer.due.source_version,
                    "outcome": outcomes.get(answer.external_id, "gone"),
                }
                for answer in answers
            ],
        )


def _outcome(writer: BatchWriter, answer: Answer) -> str:
    """Hand one answer to the writer, and name what it was."""
    if answer.gone:
        return "gone"
    if answer.failure:
        return "failed"
    if answer.rejection:
        writer.reject(answer.record, answer.rejection)
        return "quarantined"
    return "found" if writer.add(answer.record) else "quarantined"


def _certify(
    run: Run, *, due: int, calls: int, unanswered: int, denied: int, taken: int, evidence: Mapping[str, Any]
) -> None:
    """State what is left, and when it will be done at this run's pace; what a budget leaves is partial by intent."""
    unasked = due - calls
    remaining = unasked + unanswered + denied + run.counts.failed
    run.metadata["extract"] = {
        "state": "partial" if remaining else "complete",
        "due": due,
        "unasked": unasked,
        "remaining": remaining,
        "unanswered": unanswered,
        "denied": denied,
        **evidence,
    }
    if unanswered == calls > 0:
        # Calls that are known to fail do not fail the run; it says nothing of how fresh the table is, either.
        run.metadata["extract"]["reason"] = "no call was answered"
    if unasked and calls:
        left = timedelta(seconds=unasked * (time.monotonic() - run.started) / calls)
        run.metadata["extract"]["expected_finish"] = (datetime.now(UTC) + left).isoformat(timespec="minutes")
    run.checks.append(integrity_check(run, taken, unanswered))
