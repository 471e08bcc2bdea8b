"""Search filters (RFC 4511 4.5.1.7): what they say, and whether an entry meets them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lsats_dagster.demo.campus.ldap import ber
from lsats_dagster.demo.campus.ldap.messages import Code, RequestError
from lsats_dagster.demo.campus.ldap.syntaxes import COMPARABLE, IN_PIECES, ORDERED, Syntax, folded

DEEPEST = 100
AND, OR, NOT = 0xA0, 0xA1, 0xA2
EQUAL, PIECES, AT_LEAST, AT_MOST, PRESENT, ALIKE, EXTENSIBLE = 0xA3, 0xA4, 0xA5, 0xA6, 0x87, 0xA8, 0xA9
SIGNS = {EQUAL: "=", AT_LEAST: ">=", AT_MOST: "<=", ALIKE: "~="}
INITIAL, ANYWHERE, FINAL = 0x80, 0x81, 0x82


class Attribute(NamedTuple):
    """An attribute of an entry: its name as it is spelled, and its values."""

    name: str
    values: tuple[bytes, ...]


# The attributes of an entry that someone may see, by lower-case name; the syntax of each attribute that there is.
Attributes = Mapping[str, Attribute]
Schema = Mapping[str, Syntax]


class Filter(ABC):
    """A filter, or a part of one. `text`: as RFC 4515 writes it. `size`: of how many parts it consists."""

    text: str
    size = 1

    @abstractmethod
    def matches(self, attributes: Attributes) -> bool | None:
        """Whether an entry meets it; None where that cannot be said."""


@dataclass(frozen=True)
class Undefined(Filter):
    """An attribute that there is not, a value that is none of its syntax, a comparison that it has not."""

    text: str

    def matches(self, attributes: Attributes) -> bool | None:
        return None


@dataclass(frozen=True)
class Present(Filter):
    """The attribute has any value."""

    attribute: str
    text: str

    def matches(self, attributes: Attributes) -> bool | None:
        return self.attribute in attributes


@dataclass(frozen=True)
class Within(Filter):
    """A value lies between two comparable ones, both included; None leaves an end open."""

    attribute: str
    syntax: Syntax
    low: Any
    high: Any
    text: str

    def matches(self, attributes: Attributes) -> bool | None:
        found = attributes.get(self.attribute)
        return found is not None and any(self._holds(COMPARABLE[self.syntax](value)) for value in found.values)

    def _holds(self, value: Any) -> bool:
        if value is None:
            return False
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)


@dataclass(frozen=True)
class Substrings(Filter):
    """A value begins and ends with something and holds other things between them, in their order."""

    attribute: str
    syntax: Syntax
    initial: Any
    anywhere: tuple[Any, ...]
    final: Any
    text: str

    def matches(self, attributes: Attributes) -> bool | None:
        found = attributes.get(self.attribute)
        return found is not None and any(self._holds(COMPARABLE[self.syntax](value)) for value in found.values)

    def _holds(self, value: Any) -> bool:
        if not value.startswith(self.initial):
            return False
        at = len(self.initial)
        for piece in self.anywhere:
            at = value.find(piece, at)
            if at < 0:
                return False
            at += len(piece)
        return len(value) - len(self.final) >= at and bool(value.endswith(self.final))


class Several(Filter):
    """Filters taken together."""

    def __init__(self, sign: str, parts: tuple[Filter, ...]) -> None:
        self.parts = parts
        self.text = f"({sign}{''.join(part.text for part in parts)})"
        self.size = 1 + sum(part.size for part in parts)

    def results(self, attributes: Attributes) -> Iterator[bool | None]:
        """What each of them says."""
        return (part.matches(attributes) for part in self.parts)


class And(Several):
    """All of them; of none, true (RFC 4526)."""

    def matches(self, attributes: Attributes) -> bool | None:
        result: bool | None = True
        for said in self.results(attributes):
            if said is False:
                return False
            if said is None:
                result = None
        return result


class Or(Several):
    """Any of them; of none, false (RFC 4526)."""

    def matches(self, attributes: Attributes) -> bool | None:
        result: bool | None = False
        for said in self.results(attributes):
            if said:
                return True
            if said is None:
                result = None
        return result


class Not(Several):
    """The opposite of one."""

    def matches(self, attributes: Attributes) -> bool | None:
        said = self.parts[0].matches(attributes)
        return None if said is None else not said


def read_filter(data: bytes, schema: Schema) -> Filter:
    """The filter of a search; RequestError for one that is too deep or of a kind that does not exist."""
    return _read(ber.Reader(data), schema, 1)


def _read(reader: ber.Reader, schema: Schema, depth: int) -> Filter:
    if depth > DEEPEST:
        raise RequestError(Code.UNWILLING_TO_PERFORM, f"a filter is at most {DEEPEST} deep")
    tag = reader.next_tag()
    if tag in (AND, OR):
        inner, parts = reader.enter(tag), []
        while inner.more:
            parts.append(_read(inner, schema, depth + 1))
        return And("&", tuple(parts)) if tag == AND else Or("|", tuple(parts))
    if tag == NOT:
        return Not("!", (_read(reader.enter(tag), schema, depth + 1),))
    if tag == PRESENT:
        name = reader.text(tag)
        text = f"({name}=*)"
        return Present(name.lower(), text) if name.lower() in schema else Undefined(text)
    if tag == PIECES:
        return _read_pieces(reader.enter(tag), schema)
    if tag in SIGNS:
        inner = reader.enter(tag)
        return _comparison(tag, inner.text(), inner.octets(), schema)
    if tag == EXTENSIBLE:
        # Not served; it is true for no entry, nor is its opposite.
        reader.octets(tag)
        return Undefined("(:=)")
    raise RequestError(Code.PROTOCOL_ERROR, "a filter of this kind does not exist")


def _comparison(tag: int, name: str, value: bytes, schema: Schema) -> Filter:
    text = f"({name}{SIGNS[tag]}{escaped(value)})"
    syntax = schema.get(name.lower())
    if syntax is None or (tag in (AT_LEAST, AT_MOST) and syntax not in ORDERED):
        return Undefined(text)
    comparable = COMPARABLE[syntax](value)
    if comparable is None:
        return Undefined(text)
    low = None if tag == AT_MOST else comparable
    high = None if tag == AT_LEAST else comparable
    return Within(name.lower(), syntax, low, high, text)


def _read_pieces(reader: ber.Reader, schema: Schema) -> Filter:
    name = reader.text()
    items = reader.enter(ber.SEQUENCE)
    pieces: list[tuple[int, bytes]] = []
    while items.more:
        tag = items.next_tag()
        if tag not in (INITIAL, ANYWHERE, FINAL) or (pieces and (tag == INITIAL or pieces[-1][0] == FINAL)):
            raise RequestError(Code.PROTOCOL_ERROR, "pieces of a value stand in their order")
        pieces.append((tag, items.octets(tag)))
    if not pieces:
        raise RequestError(Code.PROTOCOL_ERROR, "a value has pieces")
    said = "".join(("" if tag == INITIAL else "*") + escaped(piece) for tag, piece in pieces)
    text = f"({name}={said}{'' if pieces[-1][0] == FINAL else '*'})"
    syntax = schema.get(name.lower())
    if syntax not in IN_PIECES:
        return Undefined(text)
    form = folded if syntax is Syntax.TEXT else bytes
    of = {kind: [form(piece) for tag, piece in pieces if tag == kind] for kind in (INITIAL, ANYWHERE, FINAL)}
    empty = form(b"")
    initial, final = ([*of[kind], empty][0] for kind in (INITIAL, FINAL))
    return Substrings(name.lower(), syntax, initial, tuple(of[ANYWHERE]), final, text)


def escaped(value: bytes) -> str:
    """A value as filters write it (RFC 4515 3): ASCII as it is, the rest and what is special in hexadecimal digits."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b"*()\\" else f"\\{byte:02x}" for byte in value)
