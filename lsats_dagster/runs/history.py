"""What ran: rows of meta.ingestion_runs for people, the newest first."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

HISTORY = """
select run_id, source_system || '/' || entity_type as name, status, mode, started_at, completed_at, records_processed,
    records_created, records_updated, records_removed, records_failed, error_message, dagster_run_id
from meta.ingestion_runs
where (cast(:name as text) is null or source_system || '/' || entity_type = :name)
    and (not :failed or status = 'failed')
    and (cast(:days as double precision) is null or started_at > now() - make_interval(secs => 86400 * :days))
order by run_seq desc
limit :limit
"""


@dataclass(frozen=True)
class Past:
    """One run of a stream or table. records_failed: quarantined."""

    run_id: UUID
    name: str
    status: str
    mode: str
    started_at: datetime
    completed_at: datetime | None
    records_processed: int
    records_created: int
    records_updated: int
    records_removed: int
    records_failed: int
    error_message: str | None
    dagster_run_id: str | None


def history(
    connection: Connection, *, name: str | None = None, failed: bool = False, days: float | None = None, limit: int
) -> list[Past]:
    """At most `limit` runs, the newest first: of one stream or table, the failed ones, those of the last days."""
    rows = connection.execute(text(HISTORY), {"name": name, "failed": failed, "days": days, "limit": limit})
    return [Past(**row) for row in rows.mappings()]
