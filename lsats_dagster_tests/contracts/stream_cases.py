"""Aids of the stream suite: what is done to every stream, derived from its declaration and from the campus.

Routes and logins are those that the campus sees called.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.demo.campus import Campus
from lsats_dagster.ingestion.stream import (
    Before,
    DetailStream,
    Extract,
    SkippedRecordError,
    UnkeyedRecordError,
)
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Run
from lsats_dagster.source import Source
from lsats_dagster.sources import SOURCES, active_directory
from lsats_dagster_tests.clients.aids import SILENCE
from lsats_dagster_tests.clocks import SharedClock
from lsats_dagster_tests.conftest import Hub, make_client, source_named, source_of
from lsats_dagster_tests.contracts.stream_kinds import BY_CHANGES, LIMITED, transport

# A read of several pages where the source has pages, at the size of the small campus.
PAGE_ROWS = 40


def login_route(campus: Campus, source: Source) -> str:
    """The route on which clients of the source log in."""
    return _login_route(campus, source.name)


@functools.cache
def _login_route(campus: Campus, source: str) -> str:
    """The route that a client calls once, however often it is used. Counts start anew."""
    client = make_client(campus, source_named(source))
    campus.reset_calls()
    client.probe()
    first = campus.calls()
    client.probe()
    (route,) = (route for route, seen in campus.calls().items() if seen == first[route])
    client.close()
    campus.reset_calls()
    return route


def campus_source(campus: Campus, source: Source) -> str:
    """What the campus calls the source: its routes begin with it."""
    return login_route(campus, source).partition("/")[0]


@dataclass(frozen=True)
class Routes:
    """All routes on which the records of a stream come, and how often a whole read calls each."""

    campus: Campus
    whole: dict[str, int]

    def fault(self, kind: str, *, times: int | None = 1, after: int = 0, **options: float | None) -> None:
        """Switch a fault on, on every route."""
        for route in self.whole:
            self.campus.fault(route, kind, times=times, after=after, **options)

    def fault_half_way(self, kind: str, *, times: int | None = 1) -> None:
        """Switch a fault on that strikes every route in the middle of a whole read."""
        for route, whole in self.whole.items():
            self.campus.fault(route, kind, times=times, after=whole // 2)

    def calls(self, status: str | None = None) -> int:
        """How often they were called since the counts began, with one status or at all."""
        return sum(calls(self.campus, route, status) for route in self.whole)


def quick(hub: Hub, **terms: Any) -> Hub:
    """Give the hub clients that move the campus ahead where others wait."""
    clock = SharedClock(hub.campus)
    for source in SOURCES:
        if source.name in hub.clients:
            hub.clients[source.name].close()
        hub.clients[source.name] = make_client(
            hub.campus,
            source,
            **({"clock": clock, "window": LocalCallWindow(clock)} | terms),
        )
    return hub


def refuse_login(hub: Hub, source: Source) -> None:
    """From now on the source lets nobody in, whoever was before."""
    if source in LIMITED:
        hub.campus.expire_tokens(campus_source(hub.campus, source))
        hub.campus.fault(login_route(hub.campus, source), "status", times=None, status=403)
    else:
        hub.campus.refuse_login(campus_source(hub.campus, source))
        quick(hub)


def beside_a_silent_source(hub: Hub, fault: str) -> None:
    """Where the fault is silence, clients that wait for a short time only; a slow answer is tried again."""
    if fault == "hang":
        quick(hub, timeouts=SILENCE)


def roomy(campus: Campus) -> Campus:
    """Limits that no test meets by accident, and several pages."""
    for source in LIMITED:
        campus.limit(campus_source(campus, source), 100_000, 60.0)
    campus.page_size(PAGE_ROWS)
    campus.directory_limits(campus_source(campus, active_directory.SOURCE), page=PAGE_ROWS)
    return campus


def prepare(hub: Hub, stream: StreamDeclaration) -> None:
    """A detail stream follows its list stream, and a list its parent: read that first."""
    if isinstance(stream, DetailStream):
        prepare(hub, stream.list_stream)
        hub.run(stream.list_stream)
    elif stream.parent is not None:
        prepare(hub, stream.parent)
        hub.run(stream.parent)


def read(hub: Hub, stream: StreamDeclaration, **request: Any) -> Run:
    """One run of the stream, as the day brings it."""
    prepare(hub, stream)
    return hub.run(stream, **request)


def read_whole(hub: Hub, stream: StreamDeclaration, **request: Any) -> Run:
    """One run of the stream that shows what is gone: of everything, also where the day brings a look at what changed."""
    return read(hub, stream, full=stream in BY_CHANGES, **request)


def plan_of(hub: Hub, stream: StreamDeclaration) -> dict[str, int]:
    """The parts of the last complete read, by which the next begins."""
    rows = hub.rows(
        "select part, records from meta.read_parts where source_system || '/' || entity_type = :stream and planned",
        stream=stream.name,
    )
    return {row.part: row.records for row in rows}


def data_routes(hub: Hub, stream: StreamDeclaration) -> Routes:
    """The routes of a whole read now, seen from one read past the hub, or from one detail. Counts start anew."""
    client = hub.client(stream)
    hub.campus.reset_calls()
    if isinstance(stream, DetailStream):
        stream.fetch(client, keys(hub.campus, stream)[0])
        times = len(hub.campus.truth(stream.list_stream.name))
    else:
        parents = [] if stream.parent is None else keys(hub.campus, stream.parent)
        extract = Extract(Before(parent_keys=lambda: parents, parts=plan_of(hub, stream)))
        for _ in stream.read(client, extract):
            pass
        if "file" in extract.evidence:
            # Nobody sees who reads a file: the route is that of its kind.
            return Routes(hub.campus, {f"exports/{str(extract.evidence['file']).rpartition('_')[0]}": 1})
        times = 1
    made = hub.campus.calls()
    made.pop(login_route(hub.campus, source_of(stream)), None)
    hub.campus.reset_calls()
    return Routes(hub.campus, {route: sum(seen.values()) * times for route, seen in made.items()})


def with_steps(stream: StreamDeclaration, between: Callable[[], object]) -> StreamDeclaration:
    """The stream, with `between()` called before each page or detail."""
    if isinstance(stream, DetailStream):
        fetch = stream.fetch
        return replace(stream, fetch=lambda client, key: (between(), fetch(client, key))[1])

    def pages(client: Any, extract: Extract) -> Iterator[list[Any]]:
        between()
        for page in stream.read(client, extract):
            yield page
            between()

    return replace(stream, read=pages)


def calls(campus: Campus, route: str, status: str | None = None) -> int:
    """How often `route` was called since the counts began, of one status or at all."""
    seen = campus.calls().get(route, {})
    return sum(seen.values()) if status is None else seen.get(status, 0)


def keys(campus: Campus, stream: StreamDeclaration) -> list[str]:
    return sorted(campus.truth(stream.name))


def look_at_all(hub: Hub, stream: StreamDeclaration) -> list[str]:
    """The keys of the stream. Details that nothing tells of are fetched at every run from here on, and are few."""
    found = keys(hub.campus, stream)
    if not isinstance(stream, DetailStream) or stream.list_stream.version_field:
        return found
    hub.max_age = timedelta()
    for key in found[8:]:
        hub.campus.delete(stream.list_stream.name, key)
    return found[:8]


def key_field(stream: StreamDeclaration, payload: dict[str, Any]) -> str:
    """The field without which a record has no key."""
    for field in payload:
        try:
            stream.key({name: value for name, value in payload.items() if name != field})
        except (UnkeyedRecordError, SkippedRecordError):
            return field
    raise AssertionError(f"{stream.name} has a key whatever is missing")


def content_field(stream: StreamDeclaration, payload: dict[str, Any]) -> str:
    """A field that is content, takes a text, and is not of the key."""
    if texts := transport(stream).texts:
        return next(field for field in texts if field in (stream.hash_rule.known or texts))
    key = stream.key(payload)
    content = stable(stream, {key: stored(stream, payload)})[key]
    texts = (
        field for field, value in content.items() if isinstance(value, str) and field != key_field(stream, payload)
    )
    return next(field for field in texts if stream.key({**payload, field: "Changed"}) == key)


def change_content(campus: Campus, stream: StreamDeclaration, key: str, value: str = "Changed") -> None:
    """Let the source say something else about one record."""
    field = content_field(stream, campus.truth(stream.name)[key])
    campus.put(stream.name, key, {field: [value] if field in stream.hash_rule.sets else value})


def keys_of_nobody_else(campus: Campus, stream: StreamDeclaration) -> list[str]:
    """The keys of records that no other one of the stream names: what is done to them changes no other."""
    truth = campus.truth(stream.name)
    named = {
        str(value)
        for record in truth.values()
        for name, values in record.items()
        if name != "dn"
        for value in (values if isinstance(values, list) else [values])
    }
    return sorted(key for key, record in truth.items() if record.get("dn") not in named)


def other_values(campus: Campus, stream: StreamDeclaration, key: str, fields: Sequence[str]) -> dict[str, Any]:
    """Other values of these fields than one record has, as others have them: of the right kind, whatever that is."""
    truth = campus.truth(stream.name)
    own = truth.pop(key)
    others = ((field, record[field]) for record in truth.values() for field in fields if field in record)
    found = {field: value for field, value in others if value is not None and value != own.get(field)}
    assert found
    return found


def stored(stream: StreamDeclaration, payload: Any) -> Any:
    """`payload` without what the stream leaves out: what bronze must hold."""

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
    return payload if stream.kept is None else {field: payload[field] for field in stream.kept if field in payload}


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
    """Payloads without what is no content, which stays as of the last change of content."""
    rule = stream.hash_rule
    return {
        key: {
            field: value
            for field, value in payload.items()
            if field not in rule.volatile and (rule.known is None or field in rule.known)
        }
        for key, payload in payloads.items()
    }


def assert_mirrors(hub: Hub, stream: StreamDeclaration) -> None:
    """The view shows exactly what a perfect read returns now."""
    assert stable(stream, shown(hub, stream)) == stable(stream, expected(hub, stream))
