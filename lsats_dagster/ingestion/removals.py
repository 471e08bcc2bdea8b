"""What is gone at the source: absent from a complete list, or denied to a detail's own call. The guard limits both."""

import logging
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from lsats_dagster.database import WHOLE_TABLES
from lsats_dagster.ingestion.stream import DetailStream, ListStream, Stream
from lsats_dagster.runs import Check, Run

logger = logging.getLogger(__name__)

EMPTY_PAYLOAD_HASH = sha256(b"{}").digest()

NOT_SEEN = """
create temporary table absent on commit drop as
select c.external_id, false as approved
from bronze.current_entities c
where c.source_system = :source_system and c.entity_type = :entity_type and c.removed_at is null
    and not exists (select from seen s where s.external_id = c.external_id)
    and not exists (select from poisoned p where p.external_id = c.external_id)
"""
NOT_THERE = """
create temporary table absent on commit drop as
select external_id, false as approved from unnest(cast(:gone as text[])) g (external_id)
"""
# Of what the one or the other found: the ids that a person approved.
APPROVE = """
update absent set approved = true
from meta.refused_removals r
join meta.ingestion_runs i using (run_id)
where r.external_id = absent.external_id and r.run_id = :approval
    and i.source_system = :source_system and i.entity_type = :entity_type
"""

# Keys that the list has, that earlier runs of a day were told are not there, and that nobody had to approve.
DENIED_BEFORE = """
select count(*)
from (
    select distinct on (external_id) external_id, outcome
    from meta.detail_fetches
    where source_system = :source_system and entity_type = :entity_type
        and fetched_at > clock_timestamp() - interval '1 day'
    order by external_id, fetch_seq desc
) f
join bronze.current_entities l
    on l.source_system = :list_source_system and l.entity_type = :list_entity_type and l.external_id = f.external_id
where f.outcome = 'gone' and l.removed_at is null and f.external_id <> all(:gone)
    and not exists (
        select from meta.refused_removals r
        join meta.ingestion_runs i using (run_id)
        where r.external_id = f.external_id and i.source_system = :source_system and i.entity_type = :entity_type
    )
"""

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


def removal_limit(present: int) -> int:
    """The most entities one run may remove of `present` ones (architecture, section 3)."""
    return max(10, present * 5 // 100) if present <= 10_000 else max(500, present // 100)


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


def remove_absent(
    connection: Connection, stream: ListStream[Any], run: Run, unkeyed: int, approval: UUID | None
) -> None:
    """Write tombstones for what a complete read no longer brought, or refuse and keep the list of ids."""
    connection.exec_driver_sql("analyze seen")
    connection.exec_driver_sql(WHOLE_TABLES)
    connection.execute(text(NOT_SEEN), stream.values)
    _remove(
        connection,
        stream,
        run,
        approval,
        of=present(connection, stream),
        found="are absent from a complete read",
        # A record without a key may be any of the absent ones.
        doubt="records without a key could be among them" if unkeyed else None,
        about={"without_key": unkeyed},
    )


def remove_denied(
    connection: Connection, stream: DetailStream[Any], run: Run, denied: list[str], approval: UUID | None
) -> set[str]:
    """Write tombstones for details that were answered as not there although the list has them; the ids that were refused.

    An account can go between list and call; many that do point to a wrong address, a lost right, or a proxy that answers
    for the source. Runs follow one another every half hour, so those of a day count together.
    """
    before = connection.execute(text(DENIED_BEFORE), {**stream.values, "gone": denied}).scalar_one()
    connection.execute(text(NOT_THERE), {"gone": denied})
    refused = _remove(
        connection,
        stream,
        run,
        approval,
        of=present(connection, stream.list_stream),
        found=f"are in the list and were answered as not there, {before} more within a day",
        before=before,
        about={"within_a_day": before},
    )
    if not refused:
        return set()
    return set(connection.exec_driver_sql("select external_id from absent where not approved").scalars())


def remove_gone(connection: Connection, stream: DetailStream[Any], run: Run, gone: list[str]) -> None:
    """Write tombstones for details whose list has lost them too."""
    if not gone:
        return
    connection.execute(text(NOT_THERE), {"gone": gone})
    run.counts.removed += _entomb(connection, stream, run, only_approved=False)


def _remove(
    connection: Connection,
    stream: Stream[Any],
    run: Run,
    approval: UUID | None,
    *,
    of: int,
    found: str,
    before: int = 0,
    doubt: str | None = None,
    about: Mapping[str, int],
) -> int:
    """Entomb what stands in `absent`, or refuse what nobody approved when it is too much; how many were refused."""
    connection.execute(text(APPROVE), {**stream.values, "approval": approval})
    absent, approved = connection.execute(text("select count(*), count(*) filter (where approved) from absent")).one()
    limit = removal_limit(of)
    refused: int = absent - approved if before + absent - approved > limit or doubt else 0
    numbers: dict[str, int | float | str] = {
        "present": of, "absent": absent, "limit": limit, "refused": refused, **about
    }  # fmt: skip
    if run.dry:
        run.counts.removed += absent - refused
    else:
        run.counts.removed += _entomb(connection, stream, run, only_approved=bool(refused))
    description = f"{absent} of {of} entities {found}; at most {limit} may go"
    if refused:
        description = f"{description}: {refused} kept ({doubt or 'more than the limit'})"
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
    return refused


def _entomb(connection: Connection, stream: Stream[Any], run: Run, *, only_approved: bool) -> int:
    values = {
        **stream.values,
        "run_id": run.run_id,
        "hash": EMPTY_PAYLOAD_HASH,
        "version": stream.hash_rule.version,
        "only_approved": only_approved,
    }
    return connection.execute(text(ENTOMB), values).rowcount
