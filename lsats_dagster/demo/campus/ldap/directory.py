"""The directory that a server serves: a tree of entries, its schema, and what it says of itself."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

from lsats_dagster.demo.campus.ldap.entries import Entry, make_entry
from lsats_dagster.demo.campus.ldap.filters import Filter
from lsats_dagster.demo.campus.ldap.indexes import Index, candidates
from lsats_dagster.demo.campus.ldap.syntaxes import Syntax, comparable_dn, parent_of

Values = Mapping[str, Iterable[bytes]]

SUBSCHEMA = "cn=subschema"
# Object identifiers of attributes whose own ones nobody told the directory: in the arc of UUIDs, under an invented one.
ATTRIBUTE_ARC = "2.25.297486151420174633802471109482736451209"
# What every directory has, besides what it declares.
STANDARD: Mapping[str, Syntax] = {"objectClass": Syntax.TEXT, "isDeleted": Syntax.BOOLEAN}


class Directory:
    """Entries below naming contexts, in the order in which they were added. Any thread may change and read it.

    schema: the syntax of each attribute that entries may have. operational: attributes that come only when they are asked
    for. indexed: attributes by whose values entries are found without looking at all of them. about: what the root DSE says
    besides what the server knows. referrals: URLs of other servers, told to who searches all below a naming context.
    publishes_schema: whether the subschema entry is there; may change at any time.
    """

    def __init__(
        self,
        naming_contexts: Sequence[str],
        schema: Mapping[str, Syntax],
        *,
        operational: Iterable[str] = (),
        indexed: Iterable[str] = (),
        about: Callable[[], Values] = dict,
        referrals: Sequence[str] = (),
        publishes_schema: bool = True,
    ) -> None:
        self.naming_contexts = tuple(naming_contexts)
        self.declared = {**STANDARD, **schema}
        self.schema = {name.lower(): syntax for name, syntax in self.declared.items()}
        self.operational = frozenset(name.lower() for name in operational)
        self.about = about
        self.referrals = tuple(referrals)
        self.publishes_schema = publishes_schema
        self.roots = frozenset(comparable_dn(name) for name in naming_contexts)
        names = [name.lower() for name in indexed]
        if unknown := (self.operational | set(names)) - self.schema.keys():
            raise ValueError(f"the schema does not declare {', '.join(sorted(unknown))}")
        self._indexes = {name: Index(name, self.schema[name]) for name in names}
        self._entries: dict[str, Entry] = {}
        self._children: Counter[str] = Counter()
        self._added = 0
        self._lock = threading.RLock()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Several changes of which a search sees all or none, or several looks at one state; others wait for the end."""
        with self._lock:
            yield

    def add(self, dn: str, attributes: Values) -> None:
        """A new entry behind all others; ValueError if there is one of its name or none above, or it breaks the schema."""
        with self._lock:
            entry = self._made(dn, self._added, attributes)
            parent = parent_of(entry.key)
            if entry.key in self._entries:
                raise ValueError("an entry of this name exists")
            if entry.key not in self.roots and parent not in self._entries:
                raise ValueError("no entry stands above")
            self._added += 1
            self._children[parent] += 1
            self._put(entry)

    def replace(self, dn: str, attributes: Values) -> None:
        """Other attributes for an entry, which keeps its place; LookupError if there is none, ValueError as for `add`."""
        with self._lock:
            old = self._existing(dn)
            entry = self._made(old.dn, old.place, attributes)
            self._forget(old)
            self._put(entry)

    def remove(self, dn: str) -> None:
        """An entry less; LookupError if there is none, ValueError if others stand below it."""
        with self._lock:
            old = self._existing(dn)
            if self._children[old.key]:
                raise ValueError("other entries stand below")
            self._children[parent_of(old.key)] -= 1
            self._forget(old)
            del self._entries[old.key]

    @property
    def entries(self) -> list[Entry]:
        """All entries of this moment, in their order."""
        with self._lock:
            return list(self._entries.values())

    def get(self, key: str) -> Entry | None:
        """The entry of a comparable DN."""
        return self._entries.get(key)

    def candidates(self, query: Filter) -> list[Entry]:
        """Entries of one moment, in their order, among which all are that meet a filter."""
        with self._lock:
            found = candidates(query, self._indexes)
            return list(self._entries.values()) if found is None else found

    @cached_property
    def subschema(self) -> Entry:
        """What the directory publishes of its schema (RFC 4512 4.2)."""
        types = [
            f"( {ATTRIBUTE_ARC}.{number} NAME '{name}' SYNTAX {syntax.value} )"
            for number, (name, syntax) in enumerate(self.declared.items(), 1)
        ]
        classes = ["( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )"]
        return make_entry(
            SUBSCHEMA,
            -1,
            {
                "objectClass": [b"top", b"subentry", b"subschema"],
                "cn": [b"subschema"],
                "attributeTypes": [text.encode() for text in types],
                "objectClasses": [text.encode() for text in classes],
            },
        )

    def root_dse(self, features: Values) -> Entry:
        """The entry without a name (RFC 4512 5.1): what directory and server say of themselves now."""
        published = {"subschemaSubentry": [SUBSCHEMA.encode()]} if self.publishes_schema else {}
        contexts = {"namingContexts": [name.encode() for name in self.naming_contexts]}
        return make_entry("", -1, {"objectClass": [b"top"], **contexts, **published, **features, **self.about()})

    def _made(self, dn: str, place: int, attributes: Values) -> Entry:
        if unknown := {name for name in attributes if name.lower() not in self.schema}:
            raise ValueError(f"the schema does not declare {', '.join(sorted(unknown))}")
        return make_entry(dn, place, attributes)

    def _existing(self, dn: str) -> Entry:
        key = comparable_dn(dn)
        if key not in self._entries:
            raise LookupError("no entry has this name")
        return self._entries[key]

    def _put(self, entry: Entry) -> None:
        self._entries[entry.key] = entry
        for index in self._indexes.values():
            index.add(entry)

    def _forget(self, entry: Entry) -> None:
        for index in self._indexes.values():
            index.remove(entry)
