"""The messages of LDAP version 3 (RFC 4511): what clients ask, and the bytes that answer them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from lsats_dagster.demo.campus.ldap import ber

START_TLS = "1.3.6.1.4.1.1466.20037"
NOTICE_OF_DISCONNECTION = "1.3.6.1.4.1.1466.20036"
LARGEST_NUMBER = (1 << 31) - 1

CONTROLS = 0xA0
REFERRAL_ITEM = 0x73
RESULT_ITEM = 0x64


class Code(IntEnum):
    """Result codes (RFC 4511 A.2) that the server itself gives; faults may give any."""

    SUCCESS = 0
    OPERATIONS_ERROR = 1
    PROTOCOL_ERROR = 2
    TIME_LIMIT_EXCEEDED = 3
    SIZE_LIMIT_EXCEEDED = 4
    AUTH_METHOD_NOT_SUPPORTED = 7
    UNAVAILABLE_CRITICAL_EXTENSION = 12
    NO_SUCH_ATTRIBUTE = 16
    NO_SUCH_OBJECT = 32
    INVALID_DN_SYNTAX = 34
    INVALID_CREDENTIALS = 49
    INSUFFICIENT_ACCESS_RIGHTS = 50
    BUSY = 51
    UNWILLING_TO_PERFORM = 53
    OTHER = 80


class RequestError(Exception):
    """A request that is refused. `matched`: the DN of the nearest entry above one that does not exist."""

    def __init__(self, code: int, text: str, matched: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.matched = matched


class Scope(IntEnum):
    """How far below its base a search looks."""

    BASE = 0
    LEVEL = 1
    SUBTREE = 2


class Operation(IntEnum):
    """The tags of requests."""

    BIND = 0x60
    UNBIND = 0x42
    SEARCH = 0x63
    MODIFY = 0x66
    ADD = 0x68
    DELETE = 0x4A
    RENAME = 0x6C
    COMPARE = 0x6E
    ABANDON = 0x50
    EXTENDED = 0x77


# The tag of what ends the answer. Unbind and abandon have no answer.
ANSWERS: Mapping[Operation, int] = {
    Operation.BIND: 0x61,
    Operation.SEARCH: 0x65,
    Operation.MODIFY: 0x67,
    Operation.ADD: 0x69,
    Operation.DELETE: 0x6B,
    Operation.RENAME: 0x6D,
    Operation.COMPARE: 0x6F,
    Operation.EXTENDED: 0x78,
}


@dataclass(frozen=True)
class Control:
    """What a request asks for beside its operation."""

    critical: bool
    value: bytes


@dataclass(frozen=True)
class Message:
    """One request. `controls`: by object identifier. `body`: what the operation says, still encoded."""

    number: int
    operation: Operation
    body: bytes
    controls: Mapping[str, Control]


@dataclass(frozen=True)
class Bind:
    """A login. `password`: None where it is another than a simple one."""

    version: int
    name: str
    password: bytes | None


@dataclass(frozen=True)
class Search:
    """A search. `filter`: still encoded. `size_limit` in entries, `time_limit` in seconds; 0 means none."""

    base: str
    scope: Scope
    size_limit: int
    time_limit: int
    types_only: bool
    filter: bytes
    attributes: tuple[str, ...]


def read_message(data: bytes) -> Message:
    """The request in a whole message; BerError for what the session cannot survive (RFC 4511 4.1.1)."""
    envelope = ber.Reader(data).enter(ber.SEQUENCE)
    number = envelope.integer()
    tag = envelope.next_tag()
    # 0 is the server's own, for what nobody asked.
    if not 0 < number <= LARGEST_NUMBER or tag not in list(Operation):
        raise ber.BerError("a request has a number and an operation")
    body = envelope.octets(tag)
    controls = {}
    if envelope.next_tag() == CONTROLS:
        items = envelope.enter(CONTROLS)
        while items.more:
            item = items.enter(ber.SEQUENCE)
            identifier = item.text()
            critical = item.boolean() if item.next_tag() == ber.BOOLEAN else False
            value = item.octets() if item.next_tag() == ber.OCTET_STRING else b""
            controls[identifier] = Control(critical, value)
    return Message(number, Operation(tag), body, controls)


def read_bind(body: bytes) -> Bind:
    """The body of a bind request (RFC 4511 4.2)."""
    reader = ber.Reader(body)
    version, name = reader.integer(), reader.text()
    return Bind(version, name, reader.octets(0x80) if reader.next_tag() == 0x80 else None)


def read_search(body: bytes) -> Search:
    """The body of a search request (RFC 4511 4.5.1); RequestError for a scope or a limit that does not exist."""
    reader = ber.Reader(body)
    base, scope = reader.text(), reader.integer(ber.ENUMERATED)
    # When to follow aliases: there are none.
    reader.integer(ber.ENUMERATED)
    size_limit, time_limit, types_only = reader.integer(), reader.integer(), reader.boolean()
    if (
        scope not in list(Scope)
        or not 0 <= min(size_limit, time_limit) <= max(size_limit, time_limit) <= LARGEST_NUMBER
    ):
        raise RequestError(Code.PROTOCOL_ERROR, "a search has a scope and limits")
    filter_tag = reader.next_tag()
    if filter_tag is None:
        raise ber.BerError("a search has a filter")
    query = ber.element(filter_tag, reader.octets(filter_tag))
    names, selected = reader.enter(ber.SEQUENCE), []
    while names.more:
        selected.append(names.text())
    return Search(base, Scope(scope), size_limit, time_limit, types_only, query, tuple(selected))


def read_abandon(body: bytes) -> int:
    """Which request is abandoned (RFC 4511 4.11)."""
    return ber.Reader(ber.element(ber.INTEGER, body)).integer()


def read_extended(body: bytes) -> str:
    """Which extended operation is asked for (RFC 4511 4.12)."""
    return ber.Reader(body).text(0x80)


def result(
    number: int,
    tag: int,
    code: int,
    text: str = "",
    *,
    matched: str = "",
    name: str = "",
    controls: Sequence[bytes] = (),
) -> bytes:
    """The end of an answer (RFC 4511 4.1.9). `name`: that of an extended answer. `controls`: each encoded."""
    parts = [ber.integer(code, ber.ENUMERATED), ber.octets(matched), ber.octets(text)]
    if name:
        parts.append(ber.octets(name, 0x8A))
    said = [ber.sequence(*controls, tag=CONTROLS)] if controls else []
    return ber.sequence(ber.integer(number), ber.sequence(*parts, tag=tag), *said)


def entry(number: bytes, name: bytes, attributes: bytes) -> bytes:
    """One entry of an answer, from the encoded number of the request, the encoded DN and encoded attributes."""
    content = name + ber.element(ber.SEQUENCE, attributes)
    return ber.element(ber.SEQUENCE, number + ber.element(RESULT_ITEM, content))


def referral(number: int, url: str) -> bytes:
    """A part of the answer that another server has (SearchResultReference)."""
    return ber.sequence(ber.integer(number), ber.sequence(ber.octets(url), tag=REFERRAL_ITEM))


def control(identifier: str, value: bytes) -> bytes:
    """One control of an answer."""
    return ber.sequence(ber.octets(identifier), ber.octets(value))


def notice_of_disconnection(code: int, text: str) -> bytes:
    """What is said before a connection is closed that the client did not end (RFC 4511 4.4.1)."""
    return result(0, ANSWERS[Operation.EXTENDED], code, text, name=NOTICE_OF_DISCONNECTION)
