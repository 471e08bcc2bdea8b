"""What the directories of the campus have in common: records of streams as entries, served over LDAP (sources.md 23.2)."""

import json
import re
import secrets
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import trustme

from lsats_dagster.demo.campus.entities import Payload, Stream
from lsats_dagster.demo.campus.faces.directory_values import (
    SCHEMA,
    Sent,
    raw_attributes,
    text_octets,
)
from lsats_dagster.demo.campus.ldap.directory import Contents, Directory
from lsats_dagster.demo.campus.ldap.entries import made_attributes
from lsats_dagster.demo.campus.ldap.filters import Attribute, Attributes
from lsats_dagster.demo.campus.ldap.identities import Identity, Limits
from lsats_dagster.demo.campus.ldap.server import LdapServer
from lsats_dagster.demo.campus.ldap.syntaxes import comparable_dn, is_below, parent_of
from lsats_dagster.demo.campus.world import World

HOST, ADDRESS = "localhost", "127.0.0.1"
# Type and value of the first name of a DN, up to the first comma that no `\` stands before.
FIRST_NAME = re.compile(r"([^=]+)=((?:[^\\,]|\\.)*)(?:,|\Z)", re.DOTALL)
ESCAPED = re.compile(rb"\\(?:([0-9a-fA-F]{2})|(.))", re.DOTALL)
# What stands above others, by the type of its name.
CLASSES = {"dc": "domain", "ou": "organizationalUnit"}
CONTAINER = "container"
NOTHING = Attribute("", ())
# A record of a stream by its key, or one of its poison by its number.
Owner = tuple[str, str | int]
# DN and attributes of the record of each owner, None where there is none any more.
Changes = dict[Owner, tuple[str, Attributes] | None]


def certified(ca_file: Path) -> ssl.SSLContext:
    """TLS of a server on loopback, by an authority made now, of which only the certificate is kept, in this file."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, ADDRESS).configure_cert(context)
    ca_file.parent.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(str(ca_file))
    return context


def _all_keys(stream: Stream) -> list[str]:
    """What the stream shows, in the order of its lists, and what left."""
    return [*(key for key, _ in stream.table.ordered()), *stream.table.gone]


class CampusDirectory:
    """A directory that shows streams of the campus, and its server.

    Operations of the side door run in another thread than searches: `lock` is held for each of them, and while the directory is
    brought up to date. Who holds it may then take the directory's own lock, never the other way round: a search has left the
    first one before it takes the second. So nobody waits for somebody who waits for them. What the side door's own thread
    answers over HTTP needs no lock: nothing but an operation, in that same thread, changes what it reads.

    name: in routes. prefix: of the hub's variables. root: the topmost name. branches: by stream, where its entries stand.
    units: what stands there besides from the start, those above first. login: the names of the hub; it is told the first one.
    """

    name: ClassVar[str]
    prefix: ClassVar[str]
    root: ClassVar[str]
    branches: ClassVar[Mapping[str, str]]
    units: ClassVar[tuple[str, ...]]
    login: ClassVar[tuple[str, ...]]
    limits: ClassVar[Limits]
    indexed: ClassVar[tuple[str, ...]]
    referrals: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, first_day: Callable[[], World], lock: threading.RLock, tls: ssl.SSLContext, ca_file: Path
    ) -> None:
        self._root = comparable_dn(self.root)
        self._first_day = first_day
        self._lock = lock
        self._ca_file = ca_file
        self._password = secrets.token_urlsafe(16)
        self.directory = Directory(
            [self.root],
            SCHEMA,
            indexed=self.indexed,
            about=self._about,
            referrals=self.referrals,
            refresh=self.refresh,
        )
        self.server = LdapServer(
            self.directory,
            [Identity(self.login, self._password)],
            self.limits,
            anonymous=self._anonymous(),
            tls=tls,
        )
        # Where the record of each owner stands, by comparable DN, and which poison stands there.
        self._places: dict[Owner, str] = {}
        self._poison: dict[str, list[str]] = {}
        # The directory of the first day, kept because tests reset often.
        self._first: tuple[Contents, dict[Owner, str]] | None = None

    def environment(self) -> dict[str, str]:
        """The hub's variables for this directory, whose server runs."""
        return {
            f"{self.prefix}_SERVER": HOST,
            f"{self.prefix}_PORT": str(self.server.tls_port),
            f"{self.prefix}_USER": self.login[0],
            f"{self.prefix}_PASSWORD": self._password,
            f"{self.prefix}_CA_FILE": str(self._ca_file),
        }

    # Operations of the side door

    def show(self, world: World, *, is_first_day: bool) -> None:
        """Show a world from now on, as at the start. is_first_day: it is that of `first_day`."""
        self.server.faults.clear()
        self.server.log.clear()
        self.server.limits = self.limits
        self.directory.publishes_schema = True
        self._world = world
        # From now on the tables tell what is not any more as it is here.
        for stream in self.branches:
            world.stream(stream).table.take_touched()
        self._now = world.time.now()
        self._is_first, self._is_built = is_first_day, False

    def rebuild(self) -> None:
        """Make all entries anew, before the next search: in another order, or because they look otherwise."""
        self._is_first, self._is_built = False, False

    def refuse_login(self) -> None:
        """Refuse the login of the hub until faults are cleared."""
        self.server.faults.refuse_login(self.login[0])

    def calls(self) -> dict[str, dict[str, int]]:
        """Route -> result code, or `fault` where no whole answer was sent -> logins or searches."""
        calls: dict[str, dict[str, int]] = {}
        for (operation, outcome), count in self.server.log.outcomes.copy().items():
            if operation in ("bind", "search"):
                calls.setdefault(f"{self.name}/{operation}", {})[outcome] = count
        return calls

    def check_poison(self, stream: str, records: list[str]) -> None:
        """ValueError for records that cannot stand in the directory."""
        self.refresh()
        before = {key for owner, key in self._places.items() if owner[0] == stream and isinstance(owner[1], int)}
        keys = [self._key(self._poisoned(stream, number, raw)[0]) for number, raw in enumerate(records)]
        if len(set(keys)) < len(keys) or any(self.directory.get(key) for key in keys if key not in before):
            raise ValueError("an entry of this name exists")

    def check_name(self, owner: Owner, dn: str) -> None:
        """ValueError for a name that an entity cannot have."""
        self.refresh()
        key = self._key(dn)
        if self.directory.get(key) and self._places.get(owner) != key:
            raise ValueError("an entry of this name exists")

    # What it shows

    def refresh(self) -> None:
        """Show the world as it is now."""
        with self._lock, self.directory.locked():
            self._now = self._world.time.now()
            streams = [self._world.stream(name) for name in self.branches]
            changed = {stream.name: sorted(stream.table.take_touched()) for stream in streams}
            if not self._is_built:
                if self._is_first:
                    self._show_first_day()
                else:
                    self._clear()
                    changed = {stream.name: _all_keys(stream) for stream in streams}
                self._is_built = True
            self._bring({**self._records(streams, changed), **self._changed_poison()})

    def _anonymous(self) -> Identity | None:
        """Who everybody is that does not log in."""
        return None

    def _about(self) -> Mapping[str, Iterable[bytes]]:
        """What the root DSE says of the directory."""
        return {}

    def _shown(self, stream: Stream, key: str) -> Payload | None:
        """What is shown of an entity: its record, while it is there."""
        return stream.shown(stream.table[key]) if key in stream.table.present else None

    def _show_first_day(self) -> None:
        """Show the first day; what the world has changed since is told by its tables."""
        if self._first is None:
            streams = [self._first_day().stream(name) for name in self.branches]
            self._clear()
            self._bring(self._records(streams, {stream.name: _all_keys(stream) for stream in streams}))
            self._first = self.directory.contents, self._places.copy()
        self.directory.contents, self._places, self._poison = self._first[0], self._first[1].copy(), {}

    def _clear(self) -> None:
        self.directory.clear()
        self._places, self._poison = {}, {}
        for dn in (self.root, *self.units):
            self.directory.put(dn, self._structure(dn))

    def _records(self, streams: Iterable[Stream], changed: Mapping[str, Iterable[str]]) -> Changes:
        records: Changes = {}
        for stream in streams:
            for key in changed[stream.name]:
                record = self._shown(stream, key)
                records[stream.name, key] = None if record is None else (str(record["dn"]), Sent(record))
        return records

    def _changed_poison(self) -> Changes:
        changes: Changes = {}
        for stream in self.branches:
            records = self._world.behaviour.poison.get(stream, [])
            before = self._poison.get(stream, [])
            if records != before:
                changes.update({(stream, number): None for number in range(len(before))})
                for number, raw in enumerate(records):
                    changes[stream, number] = self._poisoned(stream, number, raw)
                self._poison[stream] = records
        return changes

    def _poisoned(self, stream: str, number: int, raw: str) -> tuple[str, Attributes]:
        """DN and attributes of a record of poison; ValueError if it is none."""
        record = json.loads(raw)
        if not isinstance(record, dict):
            raise ValueError("a record of a directory is an object")
        dn = record.get("dn", f"cn=poison {number},{self.branches[stream]}")
        return str(dn), made_attributes(raw_attributes(record))

    def _key(self, dn: str) -> str:
        """The comparable form of a name; ValueError for one that is none of this directory."""
        key = comparable_dn(dn)
        if not is_below(key, self._root):
            raise ValueError(f"a name stands below {self.root}")
        return key

    def _bring(self, changes: Changes) -> None:
        """Let records be shown, elsewhere or no more, with what must stand above them."""
        left: set[str] = set()
        for owner, record in changes.items():
            if (before := self._places.pop(owner, None)) is not None:
                left.add(before)
            if record is not None:
                self._places[owner] = self._key(record[0])
        left -= {self._places[owner] for owner in changes if owner in self._places}
        # Those below go first. In the comparable form a comma stands between names only.
        for key in sorted(left, key=lambda key: key.count(","), reverse=True):
            entry = self.directory.get(key)
            if entry is not None and self.directory.bears(key):
                self.directory.put(entry.dn, self._structure(entry.dn))
            else:
                self.directory.remove(key)
        for owner, record in changes.items():
            if record is not None:
                self._put_above(record[0], self._places[owner])
                self._places[owner] = self.directory.put(*record).key

    def _put_above(self, dn: str, key: str) -> None:
        """Let something stand above a name."""
        if self.directory.get(parent_of(key)) is None:
            above = first_name(dn)[2]
            self._put_above(above, parent_of(key))
            self.directory.put(above, self._structure(above))

    def _structure(self, dn: str) -> Attributes:
        """What stands above others and is shown by no stream."""
        kind, value, _ = first_name(dn)
        return made_attributes({"objectClass": [b"top", CLASSES.get(kind, CONTAINER).encode()], kind: [value]})


def first_name(dn: str) -> tuple[str, bytes, str]:
    """Type (in small letters) and value of the first name of a DN, and the DN above."""
    found = FIRST_NAME.match(dn)
    if found is None:
        raise ValueError("a name has a type and a value")
    value = ESCAPED.sub(lambda sign: bytes.fromhex(sign[1].decode()) if sign[1] else sign[2], text_octets(found[2]))
    return found[1].strip().lower(), value, dn[found.end() :]
