"""How a stream is declared: what it is, how its records are keyed and compared, and how they are read.

Sources import this module and nothing else of the engine. A declaration holds pure functions and data only.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

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


class UnreadableRecordError(Exception):
    """Raised by a detail stream's fetch: this one answer could not be read. It goes to quarantine, the run goes on."""


class UnansweredCallError(Exception):
    """Raised by a detail stream's fetch: this one call failed for `reason`. The run goes on as long as others are answered."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class UnprovenReadError(Exception):
    """Raised by a reader whose read ended but cannot be shown to be whole; the engine repeats the read once."""


@dataclass(frozen=True)
class HashRule:
    """Which part of a payload is its content. A changed rule takes a higher version and keeps the former one declared.

    volatile: top-level fields that move without meaning; kept in the payload as of the last change of content.
    sets: top-level lists whose order has no meaning.
    """

    version: int = 1
    volatile: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Stream(Generic[Client]):
    """One kind of record of one source.

    table: name of its view and asset; row: what one record is; key: the external id of a record, or UnkeyedRecordError.
    left_out: paths that are not stored (`Attributes[].Choices`), for secrets and endlessly repeated lists. evidence: what the
    client knows of its reading, kept with every run however it ends: address, login, calls and pages so far. transport: how
    the records come, as Dagster shows it (https, ldap).
    """

    source_system: str
    entity_type: str
    table: str
    row: str
    description: str
    key: Callable[[Record], str]
    left_out: tuple[str, ...] = ()
    hash_rule: HashRule = HashRule()
    former_hash_rules: tuple[HashRule, ...] = ()
    evidence: Callable[[Client], Mapping[str, Any]] = no_evidence
    transport: str = "https"

    @property
    def subject(self) -> Subject:
        return Subject(self.source_system, self.entity_type)

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def values(self) -> dict[str, Any]:
        """Its name as parameters of a statement over its rows."""
        return asdict(self.subject)


@dataclass
class Extract:
    """What a reader states about its read. It is partial until the reader says why it is complete."""

    evidence: dict[str, Any] = field(default_factory=dict)
    completed_by: str | None = None

    def complete(self, terminating_condition: str, **evidence: str | int | float | bool) -> None:
        """State that the whole stream was read, by which condition that is known, and the evidence."""
        self.completed_by = terminating_condition
        self.evidence.update(evidence)


@dataclass(frozen=True, kw_only=True)
class ListStream(Stream[Client]):
    """A stream that is read as a whole, page by page.

    version_field: the source's own mark of modification. Where it is volatile it makes no new version, yet when it moves
    the record's detail is fetched again: what only the detail shows may have changed (sources.md 23.4, A4).
    """

    version_field: str | None = None
    read: Callable[[Client, Extract], Iterator[list[Any]]]
    layer = "bronze"


@dataclass(frozen=True, kw_only=True)
class DetailStream(Stream[Client]):
    """A stream that is read one record per call, for the keys of a list stream. `fetch` gives None when it is gone."""

    list_stream: ListStream[Client]
    fetch: Callable[[Client, str], Any | None]
    layer = "enriched"

    @property
    def values(self) -> dict[str, Any]:
        """The same, with the name of its list."""
        return asdict(self.subject) | {f"list_{name}": value for name, value in self.list_stream.values.items()}
