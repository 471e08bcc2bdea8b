"""Aids of the stream suite: what every stream has in common, derived from its declaration and from the campus.

Every stream meets all faults of its transport (TRANSPORTS). What no declaration says of a stream stands in CAPABILITIES;
routes and logins are those that the campus sees called.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.demo.campus import Campus
from lsats_dagster.ingestion.stream import (
    Before,
    DetailStream,
    Extract,
    ListStream,
    SkippedRecordError,
    Stream,
    UnkeyedRecordError,
)
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Run
from lsats_dagster.source import Source
from lsats_dagster.sources import SOURCES, STREAMS, active_directory
from lsats_dagster_tests import depth
from lsats_dagster_tests.clients.aids import SILENCE
from lsats_dagster_tests.clocks import SharedClock
from lsats_dagster_tests.conftest import Hub, make_client, source_named, source_of

LISTS = [stream for stream in STREAMS if isinstance(stream, ListStream)]
DETAILS = [stream for stream in STREAMS if isinstance(stream, DetailStream)]
# A read of several pages where the source has pages, at the size of the small campus.
PAGE_ROWS = 40


@dataclass(frozen=True)
class Transport:
    """How records come. `unreadable` faults answer with something else than a record or a list; of an `oversized` answer
    no further try is made.

    says: words of the error of the first broken fault. evidence: what a client tells of its reading. too_large: words of the
    error of an oversized answer where 1 MB is allowed. outlasts: another try within a read can bring what the one before did
    not; clients log in, and logins meet `login_faults`. waits: faults of a source that asks for patience: its calls have limits,
    and its logins end. texts, lists: fields that hold any text, or any texts, where not all fields do. members: of a list.
    """

    broken: tuple[str, ...]
    unreadable: tuple[str, ...]
    oversized: tuple[str, ...]
    says: str
    evidence: frozenset[str]
    too_large: str = "larger than 1 MB"
    outlasts: bool = False
    login_faults: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    members: tuple[Any, ...] = ({"ID": 501, "Value": "2"}, {"ID": 502, "Value": "1"}, {"ID": 501, "Value": "3"})

    @property
    def faults(self) -> tuple[str, ...]:
        return self.broken + self.unreadable

    @property
    def breaks(self) -> str:
        """The fault that stands for all of them."""
        return self.broken[0]


# By what the sources declare as their transport.
TRANSPORTS = {
    "https": Transport(
        ("status", "reset", "truncate", "hang"), ("cut_json", "html"), ("endless", "gzip_bomb"),
        says="503", evidence=frozenset({"login", "calls"}), outlasts=True, waits=("storm",),
        login_faults=("status", "reset", "truncate", "hang", "cut_json", "html", "storm"),
    ),
    "ldap": Transport(
        ("code", "drop", "truncate", "hang"), ("garbage",), ("large",),
        says=r"code 51 \(busy\)", evidence=frozenset({"address", "login", "searches", "entries"}), outlasts=True,
        login_faults=("code", "drop", "hang"), texts=("displayName", "description"), lists=("umichTitle", "description"),
        members=("2", "1", "3"),
    ),
    "file": Transport(
        ("half", "removed"), ("bad_bytes", "other_header"), ("large",),
        says="still being copied", evidence=frozenset({"address"}),
    ),
}  # fmt: skip
# announces_limit: answers tell the limit before it is used up. pages: read by offset, so rows can move between pages.
# doubles: the campus can show a key of it twice. parts: read by whole parts, which a read that died goes on behind.
CAPABILITIES: dict[str, frozenset[str]] = {
    "tdx/department": frozenset({"announces_limit", "doubles"}),
    "tdx/department_detail": frozenset({"announces_limit"}),
    "tdx/user": frozenset({"announces_limit", "doubles"}),
    "tdx/user_detail": frozenset({"announces_limit"}),
    "tdx/asset": frozenset({"announces_limit", "doubles"}),
    "tdx/asset_detail": frozenset({"announces_limit"}),
    "umich_api/department": frozenset({"pages", "doubles"}),
    "umich_api/user": frozenset({"pages", "doubles"}),
    "mcommunity_ldap/user": frozenset({"parts"}),
    "mcommunity_ldap/group": frozenset({"parts"}),
    "active_directory/user": frozenset(),
    "active_directory/group": frozenset(),
    "active_directory/organizational_unit": frozenset(),
    "active_directory/computer": frozenset(),
    "lab_awards/lab_award": frozenset(),
    "key_client/computer": frozenset(),
    "key_client/computer_usage": frozenset(),
}


def able(capability: str) -> list[StreamDeclaration]:
    """The streams that have a capability."""
    return [stream for stream in STREAMS if capability in CAPABILITIES[stream.name]]


PAGED, DOUBLED, BY_PARTS = able("pages"), able("doubles"), able("parts")
# Read by what changed, and whole now and then: only a whole read of them removes.
BY_CHANGES = [stream for stream in LISTS if stream.whole_every is not None]
# What proves the engine is proved once per kind of stream: a list in one answer, a list in pages, details.
ENGINE_LISTS = [*[stream for stream in LISTS if stream not in PAGED][:1], *PAGED[:1]]
ENGINE_DETAILS = DETAILS[:1]
# The same, and a list by parts and one by changes, where that makes a difference.
LIST_KINDS = [*ENGINE_LISTS, *BY_PARTS[-1:], *BY_CHANGES[:1]]
STREAM_KINDS: list[StreamDeclaration] = [*LIST_KINDS, *ENGINE_DETAILS]
ENGINE_STREAMS: list[StreamDeclaration] = [*ENGINE_LISTS, *ENGINE_DETAILS]
# What proves a client is proved once per source and kind: its first list, its first details.
CLIENT_STREAMS: list[StreamDeclaration] = [
    stream
    for source in SOURCES
    for kind in (ListStream, DetailStream)
    for stream in [stream for stream in source.streams if isinstance(stream, kind)][:1]
]


def in_depth(few: list[StreamDeclaration]) -> list[StreamDeclaration]:
    """What hardly depends on the declaration is asked of these streams, and in `make proof` of every stream."""
    return list(STREAMS) if depth.PROOF else few


def transport(stream: StreamDeclaration) -> Transport:
    return TRANSPORTS[source_of(stream).transport]


# Those whose clients log in; of these, those whose calls have limits and whose logins end.
REMOTE = [source for source in SOURCES if TRANSPORTS[source.transport].outlasts]
LIMITED = [source for source in REMOTE if TRANSPORTS[source.transport].waits]
REMOTE_STREAMS = [stream for stream in CLIENT_STREAMS if source_of(stream) in REMOTE]
LIMITED_STREAMS = [stream for stream in CLIENT_STREAMS if source_of(stream) in LIMITED]
# Every transport shows all its faults on one stream, as those do that prove the engine.
ALL_FAULTS = [
    *ENGINE_STREAMS,
    *BY_CHANGES,
    *{source.transport: source.streams[0] for source in reversed(SOURCES)}.values(),
]


def fault_cases(streams: Sequence[StreamDeclaration] = STREAMS) -> list[ParameterSet]:
    """(stream, fault): every stream meets a broken and an unreadable answer; those of ALL_FAULTS meet all faults."""

    def own(stream: StreamDeclaration) -> tuple[str, str]:
        return transport(stream).breaks, transport(stream).unreadable[0]

    return [
        pytest.param(stream, fault, marks=() if fault in own(stream) else pytest.mark.engine)
        for stream in streams
        for fault in (transport(stream).faults if stream in ALL_FAULTS else own(stream))
    ]


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


def name(value: Any) -> str:
    """Test ids: streams by name, other parameters as they are."""
    return value.name if isinstance(value, Stream) else str(value)


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
