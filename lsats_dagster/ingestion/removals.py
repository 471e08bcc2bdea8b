"""What is gone at the source: absent from a complete list, or denied to a detail's own call. The guard limits both.

The guard counts the removals of a day that nobody had to approve: runs follow one another, and a list that shrinks a little
in each of them shrinks as surely.
"""

import logging
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from lsats_dagster.ingestion.seen import Seen
from lsats_dagster.ingestion.stream import DetailStream, ListStream, Stream
from lsats_dagster.runs import Check, Run, Work

logger = logging.getLogger(__name__)

EMPTY_PAYLOAD_HASH = sha256(b"{}").digest()

# What may have gone, and which of it a person approved.
SUSPECTS = """
create temporary table absent on commit drop as
select a.external_id, exists (
    select from meta.refused_removals r
    join meta.ingestion_runs i using (run_id)
    where r.external_id = a.external_id and r.run_id = :approval
        and i.source_system = :source_system and i.entity_type = :entity_type
) as approved
from unnest(cast(:external_ids as text[])) a (external_id)
"""

# What was removed within a day without a person's word.
REMOVED_TODAY = """
select count(*)
from bronze.current_entities c
where c.source_system = :source_system and c.entity_type = :entity_type
    and c.removed_at > clock_timestamp() - interval '1 day'
    and not exists (
        select from bronze.raw_entities t
        join meta.ingestion_runs i on i.run_id = t.ingestion_run_id
        join meta.refused_removals r on r.run_id::text = i.metadata ->> 'approve_removals'
        where t.raw_id = c.raw_id and r.external_id = c.external_id
    )
"""

# Of those, what the list still has: a detail that follows its list needs no guard.
DENIED_TODAY = (
    REMOVED_TODAY
    + """
    and exists (
        select from bronze.current_entities l
        where l.source_system = :list_source_system and l.entity_type = :list_entity_type
            and l.external_id = c.external_id and l.removed_at is null
    )
"""
)

ENTOMB = """
with tombstones as (
    insert into bronze.raw_entities (
        source_system, entity_type, external_id, change, raw_data,
        entity_hash, hash_version, ingestion_run_id, ingestion_metadata
    )
    select c.source_system, c.entity_type, c.external_id, 'removed', '{}', :hash, :version, :run_id, '{}'
    from absent a
    join bronze.current_entities c
        on c.source_system = :source_system and c.entity_type = :entity_type and c.external_id = a.external_id
    where c.removed_at is null and (a.approved or not :only_approved)
    order by c.external_id
    returning external_id, raw_id, seq, entity_hash, ingested_at
)
update bronze.current_entities c
set raw_id = t.raw_id, seq = t.seq, entity_hash = t.entity_hash, changed_at = t.ingested_at, removed_at = t.ingested_at
from tombstones t
where c.source_system = :source_system and c.entity_type = :entity_type and c.external_id = t.external_id
"""

# A complete read that removed all that was absent: how many records without a key were ordinary then.
UNKEYED_BEFORE = """
select (metadata #>> '{extract,without_key}')::integer
from meta.ingestion_runs
where source_system = :source_system and entity_type = :entity_type and status = 'completed'
    and metadata #>> '{extract,state}' = 'complete' and not metadata ? 'refused_removals'
order by run_seq desc
limit 1
"""


def removal_limit(present: int) -> int:
    """The most entities that may go within a day of `present` ones (architecture, section 3), never more than half."""
    limit = max(10, present * 5 // 100) if present <= 10_000 else max(500, present // 100)
    return min(limit, present // 2)


def present(connection: Connection, stream: ListStream[Any]) -> int:
    """How many entities of `stream` are current."""
    return int(
        connection.execute(
            text(
                "select count(*) from bronze.current_entities "
                "where source_system = :source_system and entity_type = :entity_type and removed_at is null"
            ),
            stream.values,
        ).scalar_one()
    )


def removed_today(connection: Connection, stream: Stream[Any]) -> int:
    """How many entities were removed within a day that nobody had to approve; of details, that their list still has."""
    statement = DENIED_TODAY if isinstance(stream, DetailStream) else REMOVED_TODAY
    return int(connection.execute(text(statement), stream.values).scalar_one())


def may_go(connection: Connection, stream: ListStream[Any]) -> int:
    """How many entities the guard would still let go now."""
    before = removed_today(connection, stream)
    return removal_limit(present(connection, stream) + before) - before


def remove_absent(work: Work, stream: ListStream[Any], seen: Seen, unkeyed: int, approval: UUID | None) -> None:
    """Write tombstones for what a complete read no longer brought, or refuse and keep the list of ids."""
    connection = work.connection
    of = present(connection, stream)
    # A dry run has written none of the keys that came anew.
    absent = [] if seen.are_all_of(of) and not work.run.dry else seen.absent(stream)
    ordinary = connection.execute(text(UNKEYED_BEFORE), stream.values).scalar_one_or_none() or 0
    _remove(
        work,
        stream,
        absent,
        approval,
        of=of,
        found="are absent from a complete read",
        # A further record without a key may be any of the absent ones.
        doubt="more records came without a key than in the last complete read, and could be among them"
        if unkeyed > ordinary
        else None,
        about={"without_key": unkeyed, "without_key_before": ordinary},
    )


def remove_denied(work: Work, stream: DetailStream[Any], denied: list[str], approval: UUID | None) -> set[str]:
    """Write tombstones for details that two runs were told are not there although the list has them; the ids refused.

    An account can go between list and call; many that do point to a wrong address, a lost right, or a proxy that answers
    for the source.
    """
    refused = _remove(
        work,
        stream,
        denied,
        approval,
        of=present(work.connection, stream.list_stream),
        found="are in the list and were twice answered as not there",
        about={},
    )
    if not refused:
        return set()
    return set(work.connection.exec_driver_sql("select external_id from absent where not approved").scalars())


def remove_gone(work: Work, stream: DetailStream[Any], gone: list[str]) -> None:
    """Write tombstones for details whose list has lost them too."""
    if not gone:
        return
    _suspect(work.connection, stream, gone, None)
    work.run.counts.removed += _entomb(work, stream, only_approved=False)


def _suspect(connection: Connection, stream: Stream[Any], external_ids: list[str], approval: UUID | None) -> None:
    values = {**stream.values, "external_ids": external_ids, "approval": approval}
    connection.execute(text(SUSPECTS), values)


def _remove(
    work: Work,
    stream: Stream[Any],
    suspects: list[str],
    approval: UUID | None,
    *,
    of: int,
    found: str,
    doubt: str | None = None,
    about: Mapping[str, int],
) -> int:
    """Entomb the suspects, or refuse what nobody approved when it is too much; how many were refused."""
    run, connection = work.run, work.connection
    before = removed_today(connection, stream)
    _suspect(connection, stream, suspects, approval)
    approved: int = connection.exec_driver_sql("select count(*) from absent where approved").scalar_one()
    absent = len(suspects)
    # What went before was among those that were present then.
    limit = removal_limit(of + (before if isinstance(stream, ListStream) else 0))
    beyond = before + absent - approved > limit
    refused = absent - approved if beyond or doubt else 0
    numbers: dict[str, int | float | str] = {
        "present": of, "absent": absent, "limit": limit, "within_a_day": before, "refused": refused, **about
    }  # fmt: skip
    if run.dry:
        run.counts.removed += absent - refused
    else:
        run.counts.removed += _entomb(work, stream, only_approved=bool(refused))
    description = f"{absent} of {of} entities {found}, {before} went within a day; at most {limit} may go"
    if approved:
        run.metadata["approved_removals"] = numbers["approved"] = approved
        run.metadata["approve_removals"] = str(approval)
        description += f"; {approved} were approved by a person (approve_removals {approval})"
    if refused:
        description += f": {refused} stay ({doubt or 'more than the limit'})"
        if changed_form(run, refused):
            description += f". As many new keys came ({run.counts.created}): have the keys changed their form?"
        run.metadata["refused_removals"] = numbers
        if not run.dry:
            connection.execute(
                text("insert into meta.refused_removals select :run_id, external_id from absent where not approved"),
                {"run_id": run.run_id},
            )
            numbers["approve_removals"] = str(run.run_id)
            description += f"; if they are really gone, run again with approve_removals {run.run_id}"
        logger.warning("⚠️ %s: %s", stream.label, description)
    run.checks.append(Check("removal_guard", not refused, description, numbers, severe=True))
    return refused


def changed_form(run: Run, refused: int) -> bool:
    """Whether about as many keys came anew as would go: then the same entities may have got other keys."""
    return run.counts.created >= 0.9 * refused


def _entomb(work: Work, stream: Stream[Any], *, only_approved: bool) -> int:
    values = {
        **stream.values,
        "run_id": work.run.run_id,
        "hash": EMPTY_PAYLOAD_HASH,
        "version": stream.hash_rule.version,
        "only_approved": only_approved,
    }
    return work.connection.execute(text(ENTOMB), values).rowcount
