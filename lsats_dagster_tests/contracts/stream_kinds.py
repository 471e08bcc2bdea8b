"""Which streams there are for the stream suite, by what they have in common.

Every stream meets all faults of its transport (TRANSPORTS). What no declaration says of a stream stands in CAPABILITIES.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from lsats_dagster.ingestion.stream import DetailStream, ListStream, Stream
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.sources import SOURCES, STREAMS
from lsats_dagster_tests import depth
from lsats_dagster_tests.conftest import source_of

LISTS = [stream for stream in STREAMS if isinstance(stream, ListStream)]
DETAILS = [stream for stream in STREAMS if isinstance(stream, DetailStream)]


@dataclass(frozen=True)
class Transport:
    """How records come. `unreadable` faults answer with something else than a record or a list; of an `oversized` answer
    no further try is made, where a list may have 1 MB and a record 64 KB.

    says, too_large: words of the error of the first broken fault, and of an oversized answer. evidence: what a client tells
    of its reading. outlasts: another try within a read can bring what the one before did not; clients log in, and logins meet
    `login_faults`. waits: faults of a source that asks for patience: its calls have limits, and its logins end. texts, lists:
    fields that hold any text, or any texts, where not all fields do. members: of a list.
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
        too_large="larger than 0.0625 MB",
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
LIST_KINDS = [*ENGINE_LISTS, *BY_PARTS[:1], *BY_CHANGES[:1]]
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


def name(value: Any) -> str:
    """Test ids: streams by name, other parameters as they are."""
    return value.name if isinstance(value, Stream) else str(value)
