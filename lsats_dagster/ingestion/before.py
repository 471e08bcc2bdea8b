"""What a read knows when it begins (`stream.Before`), and the parts of it that are kept while it goes on."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from lsats_dagster.database import Database
from lsats_dagster.ingestion.request import ReadRequest, RefusedRequestError
from lsats_dagster.ingestion.stream import Before, ListStream, Stream

OF_STREAM = "source_system = :source_system and entity_type = :entity_type"

# Only a run that ended well and read all that it was asked for leaves a memory.
MEMORY = f"""
select metadata -> 'memory'
from meta.ingestion_runs
where {OF_STREAM} and status = 'completed' and metadata ? 'memory'
order by run_seq desc
limit 1
"""
LAST_COMPLETE = f"""
select started_at
from meta.ingestion_runs
where {OF_STREAM} and status = 'completed' and metadata #>> '{{extract,state}}' = 'complete'
order by run_seq desc
limit 1
"""
KEYS = f"select external_id from bronze.current_entities where {OF_STREAM} order by external_id"
PLAN = f"select part, records from meta.read_parts where {OF_STREAM} and planned"
# Parts of a read that died count for a day, and while records are stored the same way.
COUNTS = "stored_as = :stored_as and finished_at > clock_timestamp() - interval '1 day'"
FINISHED = f"select part, keys from meta.read_parts where {OF_STREAM} and not planned and {COUNTS}"
FINISH = """
insert into meta.read_parts (source_system, entity_type, part, records, keys, stored_as)
values (:source_system, :entity_type, :part, cardinality(cast(:keys as text[])), :keys, :stored_as)
on conflict (source_system, entity_type, planned, part) do update
set records = excluded.records, keys = excluded.keys, stored_as = excluded.stored_as, finished_at = clock_timestamp()
"""
# The finished parts of a read that proved complete are the plan of the next; nobody asks for their keys again.
DROP_PLAN = f"delete from meta.read_parts where {OF_STREAM} and (planned or not ({COUNTS}))"
BECOME_PLAN = f"update meta.read_parts set planned = true, keys = '{{}}' where {OF_STREAM}"

NEWEST_VERSION = f"select max(hash_version) from bronze.current_entities where {OF_STREAM}"


class NewerRecordsError(Exception):
    """What is stored was written by a newer checkout, by a hash rule that this one does not know."""


def last_complete(connection: Connection, stream: Stream[Any]) -> datetime | None:
    """When the newest complete read of `stream` began."""
    found: datetime | None = connection.execute(text(LAST_COMPLETE), stream.values).scalar_one_or_none()
    return found


def before(
    connection: Connection, database: Database, stream: ListStream[Any], request: ReadRequest
) -> tuple[Before, dict[str, list[str]]]:
    """What a read of `stream` may know, and the keys of its finished parts. RefusedRequestError where it must not begin.

    Keys are read when the reader asks for them, on a connection of their own: the writer's is at work by then.
    """
    with connection.begin():
        if request.since is not None and stream.whole_every is None:
            raise RefusedRequestError(
                f"{stream.label}: the source cannot tell what changed since a moment; leave out `since`"
            )
        if stream.parent is not None and last_complete(connection, stream.parent) is None:
            raise RefusedRequestError(
                f"{stream.label} is asked by the keys of {stream.parent.label}, which has not been read whole: read that first"
            )
        memory = connection.execute(text(MEMORY), stream.values).scalar_one_or_none() or {}
        parts = {row.part: row.records for row in connection.execute(text(PLAN), stream.values)}
        rows = connection.execute(text(FINISHED), {**stream.values, "stored_as": stream.stored_as})
        finished = {row.part: row.keys for row in rows}
        whole = last_complete(connection, stream)

    def keys_of(asked: Stream[Any]) -> list[str]:
        with database.transaction() as other:
            return list(other.execute(text(KEYS), asked.values).scalars())

    parent = stream.parent
    known = Before(
        changes_only=request.since is not None
        or (
            stream.whole_every is not None
            and not request.full
            and bool(memory)
            and whole is not None
            and datetime.now(UTC) - whole < stream.whole_every
        ),
        since=request.since,
        memory=memory,
        parts=parts,
        finished=frozenset(finished),
        parent_keys=lambda: keys_of(parent) if parent is not None else [],
        own_keys=lambda: keys_of(stream),
    )
    return known, finished


def finish_parts(connection: Connection, stream: Stream[Any], parts: Iterable[tuple[str, list[str]]]) -> None:
    """Keep whole parts and their keys, in the transaction that writes the last of their records."""
    rows = [{**stream.values, "stored_as": stream.stored_as, "part": part, "keys": keys} for part, keys in parts]
    if rows:
        connection.execute(text(FINISH), rows)


def make_plan(connection: Connection, stream: ListStream[Any]) -> None:
    """The read proved complete: its parts are the plan of the next."""
    values = {**stream.values, "stored_as": stream.stored_as}
    connection.execute(text(DROP_PLAN), values)
    connection.execute(text(BECOME_PLAN), values)


def check_versions(connection: Connection, stream: Stream[Any]) -> None:
    """NewerRecordsError when a newer checkout has written records of `stream`."""
    version = stream.hash_rule.version
    stored = connection.execute(text(NEWEST_VERSION), stream.values).scalar_one()
    if stored is not None and stored > version:
        raise NewerRecordsError(
            f"{stream.label}: records are stored by hash rule {stored}, this checkout knows rule {version}: it is older than "
            "the one that wrote them. Use that one, or a newer"
        )


def check_approval(connection: Connection, approval: UUID | None) -> None:
    """RefusedRequestError when the run that a person approves refused nothing, of whatever stream."""
    if approval is None:
        return
    with connection.begin():
        refused = connection.execute(
            text("select exists (select from meta.refused_removals where run_id = :run_id)"), {"run_id": approval}
        ).scalar_one()
    if not refused:
        raise RefusedRequestError(
            f"approve_removals names run {approval}, which refused no removal: take the id from the refusing run's message"
        )
