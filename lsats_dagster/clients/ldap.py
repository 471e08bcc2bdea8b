"""Directories: MCommunity and Active Directory over LDAP (sources.md 4.3 to 4.5, 13 to 18)."""

import logging
import math
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from lsats_dagster.clients.addresses import is_host
from lsats_dagster.clients.errors import (
    LoginRefusedError,
    PartialFetchError,
    PermanentSourceError,
    SourceError,
    TransientSourceError,
)
from lsats_dagster.clients.http import (
    DEFAULT_CEILINGS,
    DEFAULT_TIMEOUTS,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    TRIES,
    Ceilings,
    Probe,
    Timeouts,
)
from lsats_dagster.clients.ldap_connection import WHOLE, Found, LdapConnection, Login, Scope, trust_in
from lsats_dagster.clients.ldap_intervals import HIGHEST, gaps, halves, intervals, numbers_of
from lsats_dagster.clients.ldap_messages import Entry
from lsats_dagster.clients.ldap_ranges import SIGNALS, all_values, ranged
from lsats_dagster.clients.ldap_values import Attributes, generalized_time
from lsats_dagster.clients.window import SYSTEM_CLOCK, Clock

logger = logging.getLogger(__name__)

T = TypeVar("T")

LDAPS_PORT = 636
PAGE_SIZE = 1000  # the most that Active Directory gives at once
MOST_PAGES = 10_000  # of one read; a source that never ends is not read for ever
MOST_SEARCHES = 100_000  # of one read by parts
OUTSIDE = "outside"  # name of the part with all numbers that are in no interval
NO_ATTRIBUTES = ("1.1",)
UNWILLING = 53  # what servers say of a cookie that they do not know, too
_EVERYTHING = "(objectClass=*)"


@dataclass(frozen=True)
class Controller:
    """The domain controller that answers: its DNS name, and its time when it was asked."""

    name: str
    time: datetime


class LdapClient:
    """Reads one directory over one connection, which begins with the first read. One thread uses it, for one read at a time.

    A connection that is lost is replaced where nothing is lost with it: a paged read begins again, or a part does. After
    bounded tries a read raises TransientSourceError, UnreadableAnswerError, PermanentSourceError or, where it cannot be shown
    to be whole, PartialFetchError. What is larger than the ceilings allow is a PermanentSourceError at once. title: what messages
    call the directory. ca_file: the authorities that may sign its certificate; default: those of the system.
    """

    def __init__(
        self,
        *,
        title: str,
        host: str,
        user: str,
        password: str,
        port: int = LDAPS_PORT,
        ca_file: Path | None = None,
        page_size: int = PAGE_SIZE,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        ceilings: Ceilings = DEFAULT_CEILINGS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if page_size < 1:
            raise ValueError("a page has at least one entry")
        if not is_host(host):
            raise PermanentSourceError(f"{title}: the server must be a host, a name or an address")
        if not user or not password:
            # Servers take a bind without either for an anonymous one, which sees a part of everything.
            raise PermanentSourceError(f"{title}: the login needs a user and a password")
        self._title = title
        self._host = host
        self._port = port
        self._login = Login(user, password)
        self._trust = trust_in(title, ca_file)
        self._page_size = page_size
        self._timeouts = timeouts
        self._ceilings = ceilings
        self._clock = clock
        self._connection: LdapConnection | None = None
        # The controller to connect to before the host, and whether no other may answer.
        self._controller: str | None = None
        self._is_pinned = False
        self._refusal: str | None = None
        self._has_connected = False
        self._told: set[str] = set()
        self._counts: dict[str, int | float] = dict.fromkeys(
            ("searches", "pages", "parts", "entries", "retries", "waited_seconds", "reconnects", "secrets_dropped"), 0
        )

    def pages(
        self, base: str, filter: str, attributes: Attributes, *, scope: Scope = "subtree"
    ) -> Iterator[list[object]]:
        """All entries of a paged search, in pages: records, or an UnreadableRecordError. Each entry comes once.

        When the connection is lost the search begins anew, as no other connection knows how far it was; entries that were given
        before are left out, by their DNs.
        """
        given: set[int] = set()  # hashes: of 700,000 DNs they take a third of the memory
        tries = 0
        while True:
            before = frozenset(given)
            try:
                for entries in self._walk(base, filter, attributes, scope):
                    new = [entry for entry in entries if hash(entry[0]) not in before]
                    given.update(hash(dn) for dn, _ in new)
                    if new:
                        yield self._records(new, attributes)
                return
            except TransientSourceError as error:
                tries += 1
                self._pause(error, tries)

    def parts(
        self,
        base: str,
        filter: str,
        attributes: Attributes,
        by: str,
        *,
        plan: Iterable[str] = (),
        finished: Collection[str] = (),
        scope: Scope = "subtree",
    ) -> Iterator[tuple[str, list[object]]]:
        """All entries with the integer attribute `by`, in whole parts that are small enough for the server: (name, records).

        For a server with a limit that holds for all pages of a search together (sources.md 4.4). Parts are intervals of `by`,
        named `lo-hi`, and OUTSIDE for numbers beyond them: those of `plan`, which held everything last time, but for the
        `finished` ones. An interval of more entries than the server gives is split. Those given and those finished hold every
        number once, and each ended in code 0: together they are all. What has no such number has no part; `evidence` counts it
        as `without_<by>`, up to the limit of the server.
        """
        if by not in attributes.one:
            raise ValueError(f"{by} must be one of the attributes with one value")
        self._prove_order(base, filter, by, scope)
        planned = set(intervals(plan))
        # (interval, whether nobody knows how much is in it)
        left = [(interval, interval not in planned) for interval in reversed(gaps(finished, plan))]
        for _ in range(MOST_SEARCHES):
            if not left:
                break
            (lo, hi), is_unknown = left.pop()
            within = f"(&{filter}({by}>={lo})({by}<={hi}))"
            names = (by,) if is_unknown else attributes.names
            found = self._once(base, within, names, scope)
            if found.is_whole and is_unknown:
                left.append(((lo, hi), False))
            elif found.is_whole:
                self._check_places(found.entries, by, range(lo, hi + 1))
                yield self._part(f"{lo}-{hi}", found.entries, attributes)
            else:
                two = halves((lo, hi), [number for entry in found.entries for number in numbers_of(entry, by)])
                if two is None:
                    raise PermanentSourceError(
                        f"{self._title}: more entries have one {by} than the server gives in one search"
                    )
                left += [(half, is_unknown) for half in reversed(two)]
        else:
            raise PermanentSourceError(f"{self._title}: no end after {MOST_SEARCHES} searches")
        if OUTSIDE not in finished:
            found = self._once(base, f"(&{filter}(|({by}<=-1)({by}>={HIGHEST + 1})))", attributes.names, scope)
            if not found.is_whole:
                raise PermanentSourceError(
                    f"{self._title}: more entries have a {by} outside of 0 to {HIGHEST} than the server gives in one search"
                )
            self._check_places(found.entries, by, range(HIGHEST + 1), are_inside=False)
            yield self._part(OUTSIDE, found.entries, attributes)
        found = self._once(base, f"(&{filter}(!({by}=*)))", NO_ATTRIBUTES, scope)
        self._count(**{f"without_{by}": len(found.entries)})

    def controller(self, remembered: str | None = None) -> Controller:
        """The domain controller that answers, `remembered` if it does: its certificate must be for that name.

        Times and counters of Active Directory are those of one controller (sources.md 4.5). So from now on no other may answer
        after a lost connection: PartialFetchError.
        """
        if remembered is not None and remembered != self._controller:
            self._drop()
            self._controller = remembered
        self._is_pinned = False
        found = self._steadily(self._root)
        if found is None:
            raise PermanentSourceError(f"{self._title}: the server does not tell its name and time, as controllers do")
        self._controller, self._is_pinned = found.name, True
        return found

    def probe(self) -> Probe:
        """Log in and ask for the server's time, where it tells it. A directory tells no limits."""
        found = self._steadily(self._root)
        difference = None if found is None else found.time.timestamp() - self._clock.now()
        return Probe(difference, {})

    def evidence(self) -> dict[str, str | int | float]:
        """Where the client reads, and counts since it was made.

        Searches sent, pages and parts and entries given, tries after the first (retries) and the seconds waited between them,
        connections after the first (reconnects), values of secrets that came unasked and were dropped.
        """
        reading = {"address": f"ldaps://{self._host}:{self._port}", "login": "simple bind"}
        if self._is_pinned and self._controller is not None:
            reading["controller"] = self._controller
        return {**reading, **self._counts}

    def close(self) -> None:
        """Close the connection."""
        self._drop()

    def _walk(self, base: str, filter: str, attributes: Attributes, scope: Scope) -> Iterator[list[Entry]]:
        """The entries of all pages, on one connection: cookies hold on no other."""
        connection = self._connected()
        cookie = b""
        for _ in range(MOST_PAGES):
            signals = (UNWILLING,) if cookie else ()
            found = self._ask(
                connection, base, filter, attributes.names, scope,
                page_size=self._page_size, cookie=cookie, signals=signals,
            )  # fmt: skip
            if found.code == UNWILLING:
                raise TransientSourceError(f"{self._title}: the server forgot how far the read was")
            if found.code != WHOLE:
                raise PermanentSourceError(
                    f"{self._title}: the server ended the search at its size limit: it must be read by parts"
                )
            self._count(pages=1)
            yield [self._whole(connection, entry) for entry in found.entries]
            cookie = found.cookie
            if not cookie:
                return
        raise PartialFetchError(f"{self._title}: no end after {MOST_PAGES} pages")

    def _once(self, base: str, filter: str, names: Collection[str], scope: Scope, *, most: int = 0) -> Found:
        """What one search gives, at most a page of it; its long lists of values are whole."""

        def search(connection: LdapConnection) -> Found:
            found = self._ask(connection, base, filter, names, scope, page_size=self._page_size, most=most)
            entries = [self._whole(connection, entry) for entry in found.entries] if found.is_whole else found.entries
            return Found(found.code, entries, found.cookie)

        return self._steadily(search)

    def _part(self, name: str, entries: Sequence[Entry], attributes: Attributes) -> tuple[str, list[object]]:
        self._count(parts=1)
        return name, self._records(entries, attributes)

    def _records(self, entries: Sequence[Entry], attributes: Attributes) -> list[object]:
        self._count(entries=len(entries))
        for _, found in entries:
            for name in attributes.unasked_secrets(found):
                self._count(secrets_dropped=1)
                if name not in self._told:
                    self._told.add(name)
                    logger.error("❌ %s sends secrets that nobody asked for: %s is dropped", self._title, name)
        return [attributes.record(dn, found) for dn, found in entries]

    def _prove_order(self, base: str, filter: str, by: str, scope: Scope) -> None:
        """PartialFetchError where an entry is not found by its own number.

        A server that has no order for an attribute answers every interval with nothing, and with code 0.
        """
        first = self._once(base, f"(&{filter}({by}=*))", (by,), scope, most=1)
        for entry in first.entries[:1]:
            number = next(iter(numbers_of(entry, by)), None)
            own = f"(&{filter}({by}>={number})({by}<={number}))"
            if number is None or not self._once(base, own, (by,), scope, most=1).entries:
                raise self._unordered(by)

    def _check_places(self, entries: Sequence[Entry], by: str, numbers: range, *, are_inside: bool = True) -> None:
        """PartialFetchError where an interval gave an entry that is not of it: the server orders texts, and others are lost."""
        for entry in entries:
            if not any((number in numbers) is are_inside for number in numbers_of(entry, by)):
                raise self._unordered(by)

    def _unordered(self, by: str) -> PartialFetchError:
        return PartialFetchError(
            f"{self._title}: the server does not find entries by intervals of {by}: has it an order of numbers for it?"
        )

    def _whole(self, connection: LdapConnection, entry: Entry) -> Entry:
        """An entry with all values of those attributes of which the server gave only a range."""
        dn, found = entry
        partial = ranged(found)
        if not partial:
            return entry
        base = dn.decode("utf-8", "replace")

        def ask(name: str) -> Found:
            return self._ask(connection, base, _EVERYTHING, (name,), "base", signals=SIGNALS, is_further=True)

        folded = {name.lower() for name in partial}
        plain = {name: values for name, values in found.items() if name.partition(";")[0].lower() not in folded}
        return dn, plain | {name: all_values(name, ask, self._ceilings) for name in partial}

    def _root(self, connection: LdapConnection) -> Controller | None:
        """What the root of a server tells of it, None where it does not tell name and time."""
        found = self._ask(connection, "", _EVERYTHING, ("dnsHostName", "currentTime"), "base")
        told = {name.lower(): values[0] for _, given in found.entries for name, values in given.items() if values}
        try:
            name = told["dnshostname"].decode().lower()
            time = datetime.fromisoformat(generalized_time(told["currenttime"]))
        except (KeyError, ValueError):
            return None
        return Controller(name, time) if is_host(name) else None

    def _ask(self, connection: LdapConnection, *search: Any, **terms: Any) -> Found:
        """Send one search. What ends it early, an interrupt too, leaves a connection that nobody may use again."""
        self._count(searches=1)
        try:
            return connection.search(*search, **terms)
        except BaseException:
            self._drop()
            raise

    def _steadily(self, work: Callable[[LdapConnection], T]) -> T:
        """What `work` gives on a connection, on another one when that is lost."""
        tries = 0
        while True:
            try:
                return work(self._connected())
            except TransientSourceError as error:
                tries += 1
                self._pause(error, tries)

    def _pause(self, error: TransientSourceError, tries: int) -> None:
        """Wait before the next try; raise where there is none. What tells the run to stop ends the wait."""
        self._drop()
        if tries >= TRIES:
            raise type(error)(f"{error} (tries: {tries})") from None
        pause = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1)))
        told = (error, tries + 1, TRIES, math.ceil(pause))
        logger.warning("🔄 %s; try %d of %d in %d s", *told, extra={"wait": pause})
        self._count(retries=1, waited_seconds=pause)
        self._clock.sleep_until(self._clock.now() + pause)

    def _connected(self) -> LdapConnection:
        """The connection; a new one where there is none, to the controller that was chosen."""
        if self._connection is None:
            if self._refusal is not None:  # repeating a refused login locks accounts
                raise LoginRefusedError(self._refusal)
            self._connection = self._to_controller() or self._to(self._host)
            if self._is_pinned:
                found = self._root(self._connection)
                if found is None or found.name != self._controller:
                    self._drop()
                    raise PartialFetchError(
                        f"{self._title}: another controller answers than the one that was read from"
                    )
        return self._connection

    def _to_controller(self) -> LdapConnection | None:
        """A connection to the chosen controller by its own name, None without one or where it cannot be reached."""
        if self._controller is None or self._controller == self._host or not is_host(self._controller):
            return None
        try:
            return self._to(self._controller)
        except LoginRefusedError:
            raise
        except SourceError as error:
            logger.warning("⚠️ %s; the controller read from before is not reached by its name", error)
            return None

    def _to(self, host: str) -> LdapConnection:
        try:
            connection = LdapConnection(
                self._title, host, self._port, self._login, self._trust, self._timeouts, self._ceilings
            )
        except LoginRefusedError as error:
            self._refusal = str(error)
            raise
        self._count(reconnects=int(self._has_connected))
        self._has_connected = True
        return connection

    def _count(self, **more: int | float) -> None:
        for name, number in more.items():
            self._counts[name] = self._counts.get(name, 0) + number

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
