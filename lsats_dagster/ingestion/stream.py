"""How a stream is declared: what it is, how its records are keyed and compared, and how they are read.

Sources import this module and nothing else of the engine. A declaration holds pure functions and data only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from lsats_dagster.runs import Subject

# What is cut from around a key, and what clean.text cuts from around a value: keys are compared with values.
BLANKS = " \t\n\r\f\v\u0085\u00a0\u200b\ufeff\u202f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

Client = TypeVar("Client")
Record = Mapping[str, Any]


def no_evidence(client: Any) -> Mapping[str, Any]:
    """Of a client that keeps no count."""
    return {}


class UnkeyedRecordError(Exception):
    """Raised by a stream's key function: the record has no usable key. The message names the field, not its value."""


class SkippedRecordError(Exception):
    """Raised by a stream's key function: by a rule of the source this is no record. Counted by its reason, not quarantined."""


class UnreadableRecordError(Exception):
    """Raised by a detail stream's fetch: this one answer could not be read. It goes to quarantine, the run goes on."""


class UnansweredCallError(Exception):
    """Raised by a detail stream's fetch: this one call failed for `reason`. The run goes on as long as others are answered."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class UnprovenReadError(Exception):
    """Raised by a reader whose read ended but cannot be shown to be whole; the engine repeats the read once."""


class Part(list[Any]):
    """A page that is a whole part of the source, proven so by itself. A read that died goes on behind its finished parts."""

    def __init__(self, name: str, records: Iterable[Any] = ()) -> None:
        super().__init__(records)
        self.name = name


class Present(list[str]):
    """A page of keys that the source still has and that were not read: they are not gone, and not compared."""


@dataclass(frozen=True)
class HashRule:
    """Which part of a payload is its content. A changed rule takes a higher version and keeps the former one declared.

    volatile: top-level fields that move without meaning; kept in the payload as of the last change of content.
    sets: top-level lists whose order has no meaning. texts: top-level fields that come as number or text at will: 0 and "0"
    are one. known: if named, only these top-level fields are content; others are stored.
    """

    version: int = 1
    volatile: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    known: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Stream(Generic[Client]):
    """One kind of record of one source.

    table: name of its view and asset; row: what one record is; key: the external id of a record, or UnkeyedRecordError,
    or SkippedRecordError. left_out: paths that are not stored (`Attributes[].Choices`), for secrets and endlessly repeated
    lists. kept: if named, only these top-level fields are stored. evidence: what the client knows of its reading, kept with
    every run however it ends: address, login, calls and pages so far.
    """

    source_system: str
    entity_type: str
    table: str
    row: str
    description: str
    key: Callable[[Record], str]
    left_out: tuple[str, ...] = ()
    kept: tuple[str, ...] | None = None
    hash_rule: HashRule = HashRule()
    former_hash_rules: tuple[HashRule, ...] = ()
    evidence: Callable[[Client], Mapping[str, Any]] = no_evidence
    layer: ClassVar[str]

    @property
    def subject(self) -> Subject:
        return Subject(self.source_system, self.entity_type, f"{self.layer}/{self.table}")

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def label(self) -> str:
        """Its asset key, for messages."""
        return self.subject.label

    @property
    def values(self) -> dict[str, Any]:
        """Its name as parameters of a statement over its rows."""
        return asdict(self.subject)

    @property
    def stored_as(self) -> str:
        """What of this declaration shapes stored records: after a change, those stored before are of another kind."""
        kept = f"only {','.join(self.kept)}" if self.kept is not None else "all"
        return f"{kept} without {','.join(self.left_out) or 'nothing'}, hash version {self.hash_rule.version}"


def no_keys() -> list[str]:
    """Of a stream of which nothing is stored."""
    return []


@dataclass(frozen=True)
class Before:
    """What a read knows when it begins; the default means: the first read of everything.

    changes_only: only what changed since `memory` is wanted. since: a person asked for what changed since this moment.
    memory: what the last read that ended well left by `Extract.remember`. parts: the parts of the last complete read and
    their sizes, the plan of this one. finished: parts that a read which died within a day has committed, which this one
    leaves out. parent_keys, own_keys: keys of the parent stream and of this one, those of removed records too.
    """

    changes_only: bool = False
    since: datetime | None = None
    memory: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)
    finished: frozenset[str] = frozenset()
    parent_keys: Callable[[], list[str]] = no_keys
    own_keys: Callable[[], list[str]] = no_keys


@dataclass
class Extract:
    """What a reader knows, and what it states about its read: partial by mishap until it says why it is complete, or that it
    brought what changed.
    """

    before: Before = field(default_factory=Before)
    evidence: dict[str, Any] = field(default_factory=dict)
    completed_by: str | None = None
    changes_since: str | None = None
    memory: dict[str, Any] = field(default_factory=dict)

    def complete(self, terminating_condition: str, **evidence: str | int | float | bool) -> None:
        """State that the whole stream was read, by which condition that is known, and the evidence."""
        self.completed_by = terminating_condition
        self.evidence.update(evidence)

    def changes(self, since: str, **evidence: str | int | float | bool) -> None:
        """State that all that changed since `since` (a moment or cursor of the source) was read. Nothing is removed then."""
        self.changes_since = since
        self.evidence.update(evidence)

    def remember(self, **memory: Any) -> None:
        """Leave this to the next read (`Before.memory`), if this one ends well: a cursor, a fingerprint. JSON values."""
        self.memory.update(memory)

    @property
    def stated(self) -> bool:
        return self.completed_by is not None or self.changes_since is not None


@dataclass(frozen=True, kw_only=True)
class ListStream(Stream[Client]):
    """A stream that is read page by page, as a whole or by what changed.

    version_field: the source's own mark of modification. Where it is volatile it makes no new version, yet when it moves
    the record's detail is fetched again: what only the detail shows may have changed (sources.md 23.4, A4). parent: a
    stream whose keys this one is asked by; it must have been read whole before. whole_every: the source can tell what
    changed, and a whole read is due at least so often. confirm: asks singly for keys that a complete read lacks, and yields
    pages of the records that the source still has.
    """

    version_field: str | None = None
    parent: "ListStream[Client] | None" = None
    whole_every: timedelta | None = None
    confirm: Callable[[Client, list[str]], Iterator[list[Any]]] | None = None
    read: Callable[[Client, Extract], Iterator[list[Any]]]
    layer: ClassVar[str] = "bronze"


@dataclass(frozen=True, kw_only=True)
class DetailStream(Stream[Client]):
    """A stream that is read one record per call, for the keys of a list stream. `fetch` gives None when it is gone."""

    list_stream: ListStream[Client]
    fetch: Callable[[Client, str], Any | None]
    layer: ClassVar[str] = "enriched"

    @property
    def values(self) -> dict[str, Any]:
        """The same, with the name of its list."""
        return asdict(self.subject) | {f"list_{name}": value for name, value in self.list_stream.values.items()}
