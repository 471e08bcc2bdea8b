"""What the rows of meta.ingestion_runs tell: the last success of each table, its checks, its volume, runs that died."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from lsats_dagster.database import Database, LockTimeoutError
from lsats_dagster.runs.protocol import reap, sole_writer
from lsats_dagster.runs.records import Check, Run, Subject

# A larger share of rows gone or come between two runs is shown, also where each change was allowed. A few rows are no sign.
LARGEST_FALL, LARGEST_RISE, LEAST_RISE = 0.10, 0.50, 20

# A run that was asked for a part (a limit, a replay) says nothing of the whole table.
WHOLE = "status = 'completed' and not coalesce(metadata -> 'extract' ? 'reason', false)"
# One that was asked for what changed alone sees no removals.
COMPLETE = f"{WHOLE} and not coalesce(metadata -> 'extract' ? 'changes_since', false)"
# Each check of the subject `s` as the newest whole run left it that made it. A read of what changed makes not all of them, so
# those of the last complete read stand; what is older, such as a check under an earlier name, does not.
STANDING = f"""
select distinct on (c ->> 'name') c as finding
from meta.ingestion_runs r cross join lateral jsonb_array_elements(r.metadata -> 'checks') c
where r.source_system = s.source_system and r.entity_type = s.entity_type and {WHOLE}
    and r.run_seq >= coalesce((
        select b.run_seq
        from meta.ingestion_runs b
        where b.source_system = s.source_system and b.entity_type = s.entity_type and {COMPLETE}
        order by b.run_seq desc
        limit 1
    ), 0)
order by c ->> 'name', r.run_seq desc
"""


def last_metadata(connection: Connection, subject: Subject) -> dict[str, Any]:
    """Metadata of the newest completed run of `subject`; empty before the first."""
    row = connection.execute(
        text(
            "select metadata from meta.ingestion_runs where source_system = :source_system "
            "and entity_type = :entity_type and status = 'completed' order by run_seq desc limit 1"
        ),
        asdict(subject),
    ).scalar_one_or_none()
    return dict(row or {})


def standing_checks(connection: Connection, subject: Subject) -> list[Check]:
    """What holds of `subject` as long as nothing is written: its checks as the last whole runs left them."""
    found = connection.execute(
        text(
            "select k.finding from (select cast(:source_system as text) as source_system, "
            f"cast(:entity_type as text) as entity_type) s cross join lateral ({STANDING}) k"
        ),
        asdict(subject),
    ).scalars()
    return [Check(**check) for check in found]


def volume_check(run: Run, before: Mapping[str, Any], *, filling: bool = False) -> Check:
    """Whether the number of present rows stayed near that of the last completed run (`before`).

    Removals that a person approved are no fall. filling: a budget fills the table run by run, and no rise tells anything.
    """
    previous, now = before.get("row_count") or 0, run.row_count or 0
    approved: int = run.metadata.get("approved_removals", 0)
    fell = now + approved < previous * (1 - LARGEST_FALL)
    rose = previous and not filling and now - previous > max(LEAST_RISE, LARGEST_RISE * previous)
    may_change = f"at most {LARGEST_FALL:.0%} may go or {LARGEST_RISE:.0%} come"
    description = f"{now} present rows, {previous} after the run before; {may_change}"
    if approved:
        description += f"; {approved} removals were approved and do not count"
    numbers: dict[str, int | float | str] = {"rows": now, "rows_before": previous}
    return Check("volume", not fell and not rose, description, numbers)


@dataclass(frozen=True)
class Status:
    """The newest run of one stream or table, its last success, and the checks that stand as failed (name -> description).

    A run that was asked for a part (`--limit`, a replay) is no success: it says nothing of how fresh the table is, and its
    checks say nothing of what the last whole run found. A replay is not the newest run either, because it reads no source.
    last_complete: the last success that was not asked for changes alone. row_count: present rows after the last success.
    dagster_run_id: of the last success, else of the newest run. details_left, expected_finish: what the last success left to
    later calls, and when they will have fetched it.
    """

    name: str
    status: str
    started_at: datetime
    completed_at: datetime | None
    first_started_at: datetime
    last_success: datetime | None
    last_complete: datetime | None
    row_count: int | None
    records_processed: int
    error_message: str | None
    failed_checks: dict[str, str]
    dagster_run_id: str | None
    details_left: int | None
    expected_finish: str | None


STATUS = f"""
select s.source_system || '/' || s.entity_type as name, s.status, s.started_at, s.completed_at, f.first_started_at,
    w.completed_at as last_success, b.completed_at as last_complete, w.row_count, s.records_processed, s.error_message,
    coalesce(k.failed, '{{}}') as failed_checks,
    coalesce(w.dagster_run_id, n.dagster_run_id) as dagster_run_id, cast(w.extract -> 'remaining' as integer) as details_left,
    w.extract ->> 'expected_finish' as expected_finish
from meta.current_ingestion_status s
join meta.ingestion_runs n using (run_id)
cross join lateral (
    select min(r.started_at) as first_started_at
    from meta.ingestion_runs r
    where r.source_system = s.source_system and r.entity_type = s.entity_type
) f
left join lateral (
    select r.completed_at, r.dagster_run_id, r.metadata -> 'extract' as extract,
        cast(r.metadata ->> 'row_count' as bigint) as row_count
    from meta.ingestion_runs r
    where r.source_system = s.source_system and r.entity_type = s.entity_type and {WHOLE}
    order by r.run_seq desc
    limit 1
) w on true
left join lateral (
    select r.completed_at
    from meta.ingestion_runs r
    where r.source_system = s.source_system and r.entity_type = s.entity_type and {COMPLETE}
    order by r.run_seq desc
    limit 1
) b on true
cross join lateral (
    select jsonb_object_agg(finding ->> 'name', finding ->> 'description') as failed
    from ({STANDING}) k
    where finding -> 'passed' = 'false'
) k
order by 1
"""


def status(connection: Connection) -> list[Status]:
    """The state of every stream and table that ever ran, by name."""
    rows = connection.execute(text(STATUS))
    return [Status(**row) for row in rows.mappings()]


def close_dead_runs(database: Database) -> int:
    """Close every open row whose owner no longer holds its lock; returns how many. Live runs are not touched."""
    with database.transaction() as connection:
        rows = connection.execute(
            text("select distinct source_system, entity_type from meta.ingestion_runs where status = 'running'")
        )
        subjects = [Subject(**row) for row in rows.mappings()]
    closed = 0
    for subject in subjects:
        with suppress(LockTimeoutError), sole_writer(database, subject, wait_seconds=0) as connection:
            closed += reap(connection, subject)
    return closed


def runs_at_work(connection: Connection) -> set[str]:
    """Ids of the Dagster runs that write something now, once `close_dead_runs` has closed what the dead left open."""
    found = connection.execute(
        text("select dagster_run_id from meta.ingestion_runs where status = 'running' and dagster_run_id is not null")
    )
    return set(found.scalars())
