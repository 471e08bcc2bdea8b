"""What the sources of the campus hold: tables of entities, the streams read from them, and campus time."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Payload = dict[str, Any]

EPOCH = datetime(2026, 1, 12, 6, 0, tzinfo=UTC)
NO_DATE = "0001-01-01T00:00:00"
NO_DATE_ZULU = "0001-01-01T00:00:00Z"
NO_GUID = "00000000-0000-0000-0000-000000000000"
# Places in the order of a list are numbers of 32 bits; the second record of a doubled key is half a list away.
HALF_A_LIST = 1 << 31


class UnknownEntityError(LookupError):
    """A stream, or a key in it, that the campus does not have."""


@dataclass
class DayChanges:
    """What a hub that read before and after must have seen, as sorted keys."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)


@dataclass
class Behaviour:
    """How the sources answer, apart from what they hold; switched through the side door."""

    empty_collections: str = "null"
    single_as_object: bool = False
    page_size: int = 1000
    poison: dict[str, list[str]] = field(default_factory=dict)
    poisoned_details: dict[tuple[str, str], str] = field(default_factory=dict)


class CampusTime:
    """Time inside the campus: a fixed epoch, whole days, and one second for each thing that happens."""

    def __init__(self) -> None:
        self.day = 0
        self._seconds = 0
        self._advanced = 0.0

    def next_day(self) -> None:
        """Go on to the next morning."""
        self.day += 1
        self._seconds = 0

    def advance(self, seconds: float) -> None:
        """Let what happens from now on be later by `seconds`, on this day and on the following ones."""
        self._advanced += seconds

    def stamp(self) -> str:
        """A later moment than the one before, in one of the spellings that TDX uses (sources.md 4.1.5)."""
        self._seconds += 1
        now = EPOCH + timedelta(days=self.day, seconds=self._seconds + self._advanced)
        return tdx_date(now, self._seconds % 3)


def tdx_date(moment: datetime, spelling: int = 0) -> str:
    """`moment` as TDX writes it: without a fraction, with three digits, or with seven."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{('', '.553', '.1234567')[spelling]}Z"


class Table:
    """The entities of one source: those it has, and those that left (kept, so that they can come back)."""

    def __init__(self) -> None:
        self.present: dict[str, Payload] = {}
        self.gone: dict[str, Payload] = {}
        self.order = 0
        self._doubled: dict[str, Payload] = {}

    def __getitem__(self, key: str) -> Payload:
        try:
            return self.present[key]
        except KeyError:
            raise UnknownEntityError(f"no entity {key!r} is present") from None

    def ordered(self) -> list[tuple[str, Payload]]:
        """What lists show, in an order that is stable and means nothing (the sources promise none)."""
        records = [(self._place(key), key, payload) for key, payload in self.present.items()]
        for key in self._doubled.keys() & self.present.keys():
            records.append((self._place(key) ^ HALF_A_LIST, key, self.present[key] | self._doubled[key]))
        return [(key, payload) for _, key, payload in sorted(records, key=lambda record: record[:2])]

    def _place(self, key: str) -> int:
        return int.from_bytes(hashlib.blake2b(f"{self.order}/{key}".encode(), digest_size=4).digest())

    def remove(self, key: str) -> None:
        """Let the entity leave."""
        self.gone[key] = self[key]
        del self.present[key]

    def double(self, key: str, fields: Payload | None) -> None:
        """Let lists show the entity twice while it is present, the second time with other `fields`; None ends it."""
        if key not in self.present:
            raise UnknownEntityError(f"no entity {key!r} is present")
        if fields is None:
            self._doubled.pop(key, None)
        else:
            self._doubled[key] = fields

    def bring_back(self, key: str) -> None:
        """Let an entity that left return exactly as it was."""
        if key not in self.gone:
            raise UnknownEntityError(f"no entity {key!r} has left")
        self.present[key] = self.gone.pop(key)


@dataclass(frozen=True)
class Stream:
    """One kind of record that a hub can read.

    `shown` is the payload on the wire, `compared` the part of it whose change a hub must notice; `touch`
    moves the modified date where the source has one; `newcomer` makes another entity and returns its key.
    """

    name: str
    table: Table
    shown: Callable[[Payload], Payload]
    compared: Callable[[Payload], Payload]
    touch: Callable[[Payload], None]
    newcomer: Callable[[], str]

    def truth(self) -> dict[str, Payload]:
        """What a perfect read returns now."""
        return {key: self.shown(payload) for key, payload in self.table.present.items()}

    def contents(self) -> dict[str, str]:
        """Per key, a text that is equal exactly when nothing has changed that a hub must notice."""
        return {
            key: json.dumps(self.compared(self.shown(payload)), sort_keys=True)
            for key, payload in self.table.present.items()
        }


def day_changes(before: dict[str, str], after: dict[str, str], left_before: set[str]) -> DayChanges:
    """The difference of two `Stream.contents`; `left_before` holds the keys that had left before the day."""
    appeared = after.keys() - before.keys()
    return DayChanges(
        new=sorted(appeared - left_before),
        changed=sorted(key for key in before.keys() & after.keys() if before[key] != after[key]),
        removed=sorted(before.keys() - after.keys()),
        returned=sorted(appeared & left_before),
    )


def as_json(value: object) -> bytes:
    """Compact JSON in UTF-8; lone surrogates stay escapes, which is what makes them valid JSON text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
