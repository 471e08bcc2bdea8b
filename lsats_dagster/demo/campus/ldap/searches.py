"""Which entries a search finds, and its pages (RFC 2696)."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lsats_dagster.demo.campus.ldap import ber
from lsats_dagster.demo.campus.ldap.directory import SUBSCHEMA, Directory
from lsats_dagster.demo.campus.ldap.entries import Entry
from lsats_dagster.demo.campus.ldap.filters import Filter, Schema
from lsats_dagster.demo.campus.ldap.identities import Identity
from lsats_dagster.demo.campus.ldap.messages import LARGEST_NUMBER, Code, Control, RequestError, Scope, Search, control
from lsats_dagster.demo.campus.ldap.syntaxes import COMPARABLE, comparable_dn, is_below, parent_of

PAGED = "1.2.840.113556.1.4.319"
SHOW_DELETED = "1.2.840.113556.1.4.417"
SORTED = "1.2.840.113556.1.4.473"
SORT_RESULT = "1.2.840.113556.1.4.474"
# What a search may ask for besides.
SEARCH_CONTROLS = (PAGED, SHOW_DELETED, SORTED)
ORDERING_RULE, REVERSE_ORDER = 0x80, 0x81
# Parts of filters that are held against entries before others have their turn.
AT_ONCE = 4096
# Paged searches of a connection that wait for their next page; the oldest is forgotten for one more.
MOST_PAGED = 10


@dataclass(frozen=True)
class View:
    """What one search may see of a directory."""

    directory: Directory
    identity: Identity
    deleted: bool
    features: Mapping[str, Iterable[bytes]]

    def sees(self, entry: Entry) -> bool:
        """Whether an entry does not look absent."""
        return (self.deleted or not entry.deleted) and not self.identity.hides(entry)

    def base(self, name: str) -> Entry:
        """The entry at which a search begins; RequestError if there is none of its name, or it is no name."""
        try:
            key = comparable_dn(name)
        except ValueError:
            raise RequestError(Code.INVALID_DN_SYNTAX, "the base is no distinguished name") from None
        if not key:
            return self.directory.root_dse(self.features)
        if key == SUBSCHEMA and self.directory.publishes_schema:
            return self.directory.subschema
        matched, above = None, key
        while above:
            entry = self.directory.get(above)
            if entry is not None and self.sees(entry):
                matched = entry
                break
            above = parent_of(above)
        if matched is None or matched.key != key:
            raise RequestError(Code.NO_SUCH_OBJECT, "there is no such entry", matched.dn if matched else "")
        return matched

    async def find(self, request: Search, query: Filter, most: float) -> list[Entry]:
        """The entries that a search finds, of one moment and in their order; not many more than `most`."""
        self.directory.refresh()
        with self.directory.locked():
            base = self.base(request.base)
            if request.scope is not Scope.BASE and not base.key:
                raise RequestError(Code.NO_SUCH_OBJECT, "nothing stands below the root but naming contexts")
            entries = [base] if request.scope is Scope.BASE else self.directory.candidates(query)
        step = max(1, AT_ONCE // query.size)
        found: list[Entry] = []
        for start in range(0, len(entries), step):
            found += [
                entry
                for entry in entries[start : start + step]
                if self._reached(entry, base.key, request.scope) and query.matches(self.identity.seen(entry))
            ]
            if len(found) > most:
                break
            await asyncio.sleep(0)
        return found

    def _reached(self, entry: Entry, base: str, scope: Scope) -> bool:
        if scope is Scope.BASE:
            return True
        below = parent_of(entry.key) == base if scope is Scope.LEVEL else is_below(entry.key, base)
        return below and self.sees(entry)


@dataclass
class Answer:
    """What a search found, and how much of it was sent. `request`: the search as it came."""

    request: bytes
    entries: list[Entry]
    sent: int = 0


class Pages:
    """The paged searches of one connection. A cookie is good for one page, on this connection, of the same search."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, Answer] = {}

    def keep(self, answer: Answer) -> bytes:
        """The cookie for the next page."""
        if len(self._waiting) >= MOST_PAGED:
            del self._waiting[next(iter(self._waiting))]
        cookie = secrets.token_bytes(16)
        self._waiting[cookie] = answer
        return cookie

    def take(self, cookie: bytes, request: bytes) -> Answer:
        """The search that goes on; RequestError if the cookie is not good for it."""
        answer = self._waiting.get(cookie)
        if answer is None or answer.request != request:
            raise RequestError(Code.UNWILLING_TO_PERFORM, "the cookie belongs to no search of this kind here")
        return self._waiting.pop(cookie)

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()


def read_page(asked: Control) -> tuple[int, bytes]:
    """Size and cookie of the page that is asked for."""
    try:
        value = ber.Reader(asked.value).enter(ber.SEQUENCE)
        size, cookie = value.integer(), value.octets()
    except ber.BerError:
        raise RequestError(Code.PROTOCOL_ERROR, "a page has a size and a cookie") from None
    if not 0 <= size <= LARGEST_NUMBER:
        raise RequestError(Code.PROTOCOL_ERROR, "a page has a size")
    return size, cookie


def page_control(cookie: bytes) -> bytes:
    """What ends a page: the cookie of the next one, empty after the last. How many entries there are is not told."""
    return control(PAGED, ber.sequence(ber.integer(0), ber.octets(cookie)))


@dataclass(frozen=True)
class Order:
    """How a search is sorted (RFC 2891): attributes, and whether each one's order is reversed. `code`: of the outcome."""

    keys: tuple[tuple[str, bool], ...]
    code: int = Code.SUCCESS

    def sorted(self, entries: list[Entry], view: View) -> list[Entry]:
        """Entries by the lowest value of each attribute; those without one come last, and first in reverse."""
        for name, reverse in reversed(self.keys):
            entries = sorted(entries, key=partial(_lowest, view, name), reverse=reverse)
        return entries

    @property
    def control(self) -> bytes:
        """What tells the client of the outcome."""
        return control(SORT_RESULT, ber.sequence(ber.integer(self.code, ber.ENUMERATED)))


def _lowest(view: View, name: str, entry: Entry) -> tuple[bool, Any]:
    found = view.identity.seen(entry).get(name)
    values = map(COMPARABLE[view.directory.schema[name]], found.values if found else ())
    return min(((False, value) for value in values if value is not None), default=(True, None))


def read_order(asked: Control, schema: Schema) -> Order:
    """The order that is asked for; RequestError if it must be and there is no such attribute."""
    keys = []
    try:
        reader = ber.Reader(asked.value).enter(ber.SEQUENCE)
        while reader.more:
            key = reader.enter(ber.SEQUENCE)
            name = key.text().lower()
            if key.next_tag() == ORDERING_RULE:
                # An attribute has no order but that of its syntax.
                key.octets(ORDERING_RULE)
            keys.append((name, key.next_tag() == REVERSE_ORDER and key.boolean(REVERSE_ORDER)))
    except ber.BerError:
        raise RequestError(Code.PROTOCOL_ERROR, "an order consists of attributes") from None
    if all(name in schema for name, _ in keys):
        return Order(tuple(keys))
    if asked.critical:
        raise RequestError(Code.UNAVAILABLE_CRITICAL_EXTENSION, "there is no such attribute to sort by")
    return Order((), Code.NO_SUCH_ATTRIBUTE)
