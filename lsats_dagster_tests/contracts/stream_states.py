"""What a hub's database holds of a stream: its log, its current state, its quarantine, its runs."""

from typing import Any

from sqlalchemy import text

from lsats_dagster.database import Database
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Run
from lsats_dagster_tests.conftest import Hub

LogRow = tuple[str, str, str]


def log(hub: Hub, stream: StreamDeclaration) -> list[LogRow]:
    """(external_id, change, hash) of every version of the stream, in order."""
    rows = hub.rows(
        "select external_id, change, encode(entity_hash, 'hex') from bronze.raw_entities "
        "where source_system || '/' || entity_type = :stream order by seq",
        stream=stream.name,
    )
    return [tuple(row) for row in rows]


def changes(hub: Hub, stream: StreamDeclaration, after: int) -> list[tuple[str, str]]:
    """(external_id, change) of what was logged behind the first `after` versions, sorted."""
    return sorted((key, change) for key, change, _ in log(hub, stream)[after:])


def current(hub: Hub, stream: StreamDeclaration) -> list[tuple[Any, ...]]:
    """The current state of the stream without ids, sequence numbers and times."""
    rows = hub.rows(
        "select c.external_id, encode(c.entity_hash, 'hex'), c.hash_version, c.removed_at is null, "
        "r.raw_data::text, l.raw_data::text, l.change <> 'removed', f.external_id "
        "from bronze.current_entities c join bronze.raw_entities r on r.raw_id = c.raw_id and r.seq = c.seq "
        "join bronze.raw_entities l on l.seq = c.live_seq and (l.source_system, l.entity_type, l.external_id) "
        "= (c.source_system, c.entity_type, c.external_id) join bronze.raw_entities f on f.seq = c.first_seq "
        "where c.source_system || '/' || c.entity_type = :stream order by c.external_id",
        stream=stream.name,
    )
    return [tuple(row) for row in rows]


def state(hub: Hub, stream: StreamDeclaration, *, in_order: bool = True) -> tuple[list[Any], list[Any]]:
    """What two hubs have in common when they are equal (architecture, section 3)."""
    versions = log(hub, stream)
    return (versions if in_order else sorted(versions)), current(hub, stream)


def quarantine(hub: Hub, stream: StreamDeclaration) -> list[Any]:
    return hub.rows(
        "select external_id, stage, reason, payload, resolution, run_id from meta.quarantine "
        "where source_system || '/' || entity_type = :stream order by quarantined_at, quarantine_id",
        stream=stream.name,
    )


def run_row(hub: Hub, stream: StreamDeclaration) -> Any:
    """The newest run row of the stream."""
    return hub.rows(
        "select * from meta.ingestion_runs where source_system || '/' || entity_type = :stream "
        "order by run_seq desc limit 1",
        stream=stream.name,
    )[0]


def passed_over(run: Any) -> int:
    """How many records of a run, or of a run row, were none by a rule of the source."""
    return sum(run.metadata.get("skipped_by_rule", {}).values())


def check(run: Run, wanted: str) -> Any:
    return next(found for found in run.checks if found.name == wanted)


def as_superuser(hub: Hub) -> Database:
    """The hub's database with the rights of the test server's superuser; the caller disposes of it."""
    return Database(hub.database.url.render_as_string(hide_password=False), role=None)


def dump(hub: Hub, *, apart: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Every row of every table of the hub as text, and how far its sequences are; without what is named `apart`."""
    database = as_superuser(hub)
    schemas = "('bronze', 'meta', 'silver', 'curated')"
    content = {}
    with database.transaction() as connection:
        tables = connection.execute(
            text(
                "select table_schema || '.' || table_name from information_schema.tables "
                f"where table_type = 'BASE TABLE' and table_schema in {schemas}"
            )
        ).scalars()
        for table in tables.all():
            rows = connection.execute(text(f"select t::text from {table} t order by 1")).scalars()
            content[table] = list(rows)
        for sequence, last in connection.execute(
            text(
                f"select schemaname || '.' || sequencename, last_value from pg_sequences where schemaname in {schemas}"
            )
        ):
            content[f"sequence {sequence}"] = [str(last)]
    database.dispose()
    return {part: rows for part, rows in content.items() if not any(word in part for word in apart)}


def assert_runs_ended(hub: Hub) -> None:
    """Every run row is terminal, and its counts are in balance."""
    bad = hub.rows(
        "select source_system, entity_type, status from meta.ingestion_runs where status = 'running' "
        "or completed_at is null or (status = 'failed') <> (error_message is not null) "
        "or records_processed <> records_created + records_updated + records_skipped + records_failed"
    )
    assert bad == []
