"""The directory that a server serves: a tree of entries, its schema, and what it says of itself."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from lsats_dagster.demo.campus.ldap.entries import Entry, made_attributes, make_entry
from lsats_dagster.demo.campus.ldap.filters import Attributes, Filter
from lsats_dagster.demo.campus.ldap.indexes import Index, candidates
from lsats_dagster.demo.campus.ldap.syntaxes import Syntax, comparable_dn, parent_of

Values = Mapping[str, Iterable[bytes]]

SUBSCHEMA = "cn=subschema"
# Object identifiers of attributes whose own ones nobody told the directory: in the arc of UUIDs, under an invented one.
ATTRIBUTE_ARC = "2.25.297486151420174633802471109482736451209"
# What every directory has, besides what it declares.
STANDARD: Mapping[str, Syntax] = {"objectClass": Syntax.TEXT, "isDeleted": Syntax.BOOLEAN}


@dataclass(frozen=True)
class Contents:
    """What a directory held at some moment."""

    entries: dict[str, Entry]
    children: Counter[str]
    added: int
    indexes: dict[str, Index]


class Directory:
    """Entries below naming contexts, in the order in which they were added. Any thread may change and read it.

    schema: the syntax of each attribute that entries may have. operational: attributes that come only when they are asked
    for. indexed: attributes by whose values entries are found without looking at all of them. about: what the root DSE says
    besides what the server knows. referrals: URLs of other servers, told to who searches all below a naming context.
    publishes_schema: whether the subschema entry is there; may change at any time. refresh: called before each search, so
    that a directory which shows something else is brought up to date.
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
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        self.naming_contexts = tuple(naming_contexts)
        self.declared = {**STANDARD, **schema}
        self.schema = {name.lower(): syntax for name, syntax in self.declared.items()}
        self.operational = frozenset(name.lower() for name in operational)
        self.about = about
        self.referrals = tuple(referrals)
        self.publishes_schema = publishes_schema
        self.refresh = refresh
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
        made = self._made(attributes)
        with self._lock:
            if comparable_dn(dn) in self._entries:
                raise ValueError("an entry of this name exists")
            self.put(dn, made)

    def replace(self, dn: str, attributes: Values) -> None:
        """Other attributes for an entry, which keeps its place; LookupError if there is none, ValueError as for `add`."""
        made = self._made(attributes)
        with self._lock:
            self.put(self._existing(dn).dn, made)

    def put(self, dn: str, attributes: Attributes) -> Entry:
        """An entry with attributes that are made, whatever their names; it takes the place of the one of its name.

        ValueError if there is none and none stands above.
        """
        key = comparable_dn(dn)
        parent = parent_of(key)
        with self._lock:
            old = self._entries.get(key)
            if old is not None:
                self._forget(old)
                place = old.place
            elif key in self.roots or parent in self._entries:
                place = self._added
                self._added += 1
                self._children[parent] += 1
            else:
                raise ValueError("no entry stands above")
            entry = Entry(dn, key, place, attributes)
            self._entries[key] = entry
            for index in self._indexes.values():
                index.add(entry)
            return entry

    def remove(self, dn: str) -> None:
        """An entry less; LookupError if there is none, ValueError if others stand below it."""
        with self._lock:
            old = self._existing(dn)
            if self.bears(old.key):
                raise ValueError("other entries stand below")
            self._children[parent_of(old.key)] -= 1
            self._forget(old)
            del self._entries[old.key]

    def bears(self, key: str) -> bool:
        """Whether entries stand directly below the one of a comparable DN."""
        return self._children[key] > 0

    def clear(self) -> None:
        """Remove all entries."""
        with self._lock:
            self._entries.clear()
            self._children.clear()
            for index in self._indexes.values():
                index.clear()

    @property
    def contents(self) -> Contents:
        """What is in it now, to be put back later."""
        with self._lock:
            indexes = {name: index.copy() for name, index in self._indexes.items()}
            return Contents(self._entries.copy(), self._children.copy(), self._added, indexes)

    @contents.setter
    def contents(self, kept: Contents) -> None:
        with self._lock:
            self._entries, self._children, self._added = kept.entries.copy(), kept.children.copy(), kept.added
            self._indexes = {name: index.copy() for name, index in kept.indexes.items()}

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

    def _made(self, attributes: Values) -> Attributes:
        if unknown := {name for name in attributes if name.lower() not in self.schema}:
            raise ValueError(f"the schema does not declare {', '.join(sorted(unknown))}")
        return made_attributes(attributes)

    def _existing(self, dn: str) -> Entry:
        key = comparable_dn(dn)
        if key not in self._entries:
            raise LookupError("no entry has this name")
        return self._entries[key]

    def _forget(self, entry: Entry) -> None:
        for index in self._indexes.values():
            index.remove(entry)
