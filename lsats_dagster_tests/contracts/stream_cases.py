"""Aids of the stream suite: what every stream has in common, derived from its declaration and from the campus.

Nothing here names a stream. What belongs to a transport (its login, the faults that it can meet) stands in
TRANSPORTS by source system; every stream meets all faults of its transport.
"""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from lsats_dagster.clients.http import Timeouts
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.database import Database
from lsats_dagster.demo.campus import Campus
from lsats_dagster.ingestion.stream import DetailStream, Extract, ListStream, Stream, UnkeyedRecordError
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Run
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.conftest import Hub, make_client

LISTS = [stream for stream in STREAMS if isinstance(stream, ListStream)]
DETAILS = [stream for stream in STREAMS if isinstance(stream, DetailStream)]
# A read of several pages where the source has pages, at the size of the small campus.
PAGE_ROWS = 40
# For sources that never answer: a try ends soon, and a slow machine still answers in time.
IMPATIENT = Timeouts(connect=2.0, read=0.4, answer=2.0)


@dataclass(frozen=True)
class Transport:
    """How a source is reached. `unreadable` faults answer 200 with something else than a record or a list.

    announces_limit: its answers tell the limit before it is used up. offset_pages: rows can move between pages,
    so a key that comes twice within a read is the sign that they did, and never a duplicate record.
    """

    campus_source: str
    login_route: str
    broken: tuple[str, ...]
    unreadable: tuple[str, ...]
    announces_limit: bool = False
    offset_pages: bool = False

    @property
    def faults(self) -> tuple[str, ...]:
        return self.broken + self.unreadable


BROKEN, UNREADABLE = ("status", "reset", "truncate", "hang"), ("cut_json", "html")
TRANSPORTS = {
    "tdx": Transport("tdx", "tdx/loginadmin", BROKEN, UNREADABLE, announces_limit=True),
    "umich_api": Transport("gateway", "gateway/token", BROKEN, UNREADABLE, offset_pages=True),
}


def transport(stream: StreamDeclaration) -> Transport:
    return TRANSPORTS[stream.source_system]


def name(value: Any) -> str:
    """Test ids: streams by name, other parameters as they are."""
    return value.name if isinstance(value, Stream) else str(value)


class QuickClock:
    """A hundred times as fast as the machine's: the clients' pauses between tries stay in proportion and are short."""

    SPEED = 100.0

    def __init__(self) -> None:
        self._began = time.time()
        self._zero = time.monotonic()

    def now(self) -> float:
        return self._began + (time.monotonic() - self._zero) * self.SPEED

    def sleep_until(self, when: float) -> None:
        time.sleep(max(0.0, when - self.now()) / self.SPEED)


def quick(hub: Hub, **changes: Any) -> Hub:
    """Give the hub clients with short pauses."""
    for source in {stream.source_system for stream in STREAMS}:
        clock = QuickClock()
        hub.clients[source] = make_client(
            hub.campus, source, **({"clock": clock, "window": LocalCallWindow(clock)} | changes)
        )
    return hub


def roomy(campus: Campus) -> Campus:
    """Limits that no test meets by accident, and several pages."""
    for used in TRANSPORTS.values():
        campus.limit(used.campus_source, 100_000, 60.0)
    campus.page_size(PAGE_ROWS)
    return campus


def prepare(hub: Hub, stream: StreamDeclaration) -> None:
    """A detail stream follows its list stream: read that first."""
    if isinstance(stream, DetailStream):
        hub.run(stream.list_stream)


def read(hub: Hub, stream: StreamDeclaration, **request: Any) -> Run:
    """One run of the stream, as the day brings it."""
    prepare(hub, stream)
    return hub.run(stream, **request)


def data_route(hub: Hub, stream: StreamDeclaration) -> str:
    """The route on which the stream's records come, seen from a call of it. Counts start anew."""
    client = hub.client(stream.source_system)
    hub.campus.reset_calls()
    if isinstance(stream, DetailStream):
        stream.fetch(client, keys(hub.campus, stream)[0])
    else:
        next(stream.read(client, Extract()))
    (route,) = hub.campus.calls().keys() - {transport(stream).login_route}
    hub.campus.reset_calls()
    return route


def calls(campus: Campus, route: str, status: str | None = None) -> int:
    """How often `route` was called since the counts began, of one status or at all."""
    seen = campus.calls().get(route, {})
    return sum(seen.values()) if status is None else seen.get(status, 0)


def calls_of_a_read(hub: Hub, stream: StreamDeclaration, route: str) -> int:
    """How many data calls a whole read takes. Counts start anew."""
    if isinstance(stream, DetailStream):
        return len(hub.campus.truth(stream.list_stream.name))
    hub.campus.reset_calls()
    for _ in stream.read(hub.client(stream.source_system), Extract()):
        pass
    made = calls(hub.campus, route)
    hub.campus.reset_calls()
    return made


def keys(campus: Campus, stream: StreamDeclaration) -> list[str]:
    return sorted(campus.truth(stream.name))


def key_field(stream: StreamDeclaration, payload: dict[str, Any]) -> str:
    """The field without which a record has no key."""
    for field in payload:
        try:
            stream.key({name: value for name, value in payload.items() if name != field})
        except UnkeyedRecordError:
            return field
    raise AssertionError(f"{stream.name} has a key whatever is missing")


def content_field(stream: StreamDeclaration, payload: dict[str, Any]) -> str:
    """A text field that is content: stored, not volatile and not the key."""
    apart = {*stream.hash_rule.volatile, *stream.left_out, key_field(stream, payload)}
    return next(field for field, value in payload.items() if isinstance(value, str) and field not in apart)


def change_content(campus: Campus, stream: StreamDeclaration, key: str, value: str = "Changed") -> None:
    """Let the source say something else about one record."""
    campus.put(stream.name, key, {content_field(stream, campus.truth(stream.name)[key]): value})


def stored(stream: StreamDeclaration, payload: Any) -> Any:
    """`payload` without the paths that the stream leaves out: what bronze must hold."""

    def without(value: Any, steps: list[str]) -> Any:
        if isinstance(value, list):
            return [without(item, steps) for item in value]
        if not isinstance(value, dict):
            return value
        step, further = steps[0].removesuffix("[]"), steps[1:]
        kept = {field: item for field, item in value.items() if field != step}
        return kept if not further or step not in value else kept | {step: without(value[step], further)}

    for path in stream.left_out:
        payload = without(payload, path.split("."))
    return payload


def expected(hub: Hub, stream: StreamDeclaration) -> dict[str, Any]:
    """What the stream's view must show as present now."""
    return {key: stored(stream, payload) for key, payload in hub.campus.truth(stream.name).items()}


def shown(hub: Hub, stream: StreamDeclaration, *, present: bool = True) -> dict[str, Any]:
    """What the stream's view shows: payloads of what is present, or of what is gone."""
    rows = hub.rows(
        f"select external_id, payload from {stream.layer}.{stream.table} where is_present = :present",
        present=present,
    )
    return {row.external_id: row.payload for row in rows}


def stable(stream: StreamDeclaration, payloads: dict[str, Any]) -> dict[str, Any]:
    """Payloads without volatile fields, which stay as of the last change of content."""
    apart = stream.hash_rule.volatile
    return {
        key: {field: value for field, value in payload.items() if field not in apart}
        for key, payload in payloads.items()
    }


def assert_mirrors(hub: Hub, stream: StreamDeclaration) -> None:
    """The view shows exactly what a perfect read returns now."""
    assert stable(stream, shown(hub, stream)) == stable(stream, expected(hub, stream))


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
        "r.raw_data::text, l.raw_data::text, f.external_id "
        "from bronze.current_entities c join bronze.raw_entities r on r.raw_id = c.raw_id and r.seq = c.seq "
        "join bronze.raw_entities l on l.raw_id = c.live_raw_id join bronze.raw_entities f on f.seq = c.first_seq "
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
