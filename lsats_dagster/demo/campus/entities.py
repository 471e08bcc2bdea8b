"""What the sources of the campus hold: tables of entities, the streams read from them, and campus time."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Payload = dict[str, Any]
# What a list shows at one place: a key, and the fields in which a doubled record differs from the first of its key.
Entry = tuple[str, Payload]

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

    def reset(self) -> None:
        """Answer as at the start."""
        vars(self).update(vars(Behaviour()))

    def without(self, collections: Iterable[str]) -> Payload:
        """How lists show collections that they leave out (sources.md 4.1.5: null or empty)."""
        return {name: None if self.empty_collections == "null" else [] for name in collections}

    def poison_of(self, stream: str) -> list[bytes]:
        """The raw records that lists of a stream end with."""
        return [raw.encode("utf-8", "backslashreplace") for raw in self.poison.get(stream, [])]


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

    def evening(self) -> None:
        """Go on to the evening: whoever reads now reads later than the day by more than clocks of directories differ."""
        self._seconds += 12 * 3600

    def advance(self, seconds: float) -> None:
        """Let what happens from now on be later by `seconds`, on this day and on the following ones."""
        self._advanced += seconds

    def stamp(self) -> str:
        """A later moment than the one before, in one of the spellings that TDX uses (sources.md 4.1.5)."""
        self._seconds += 1
        return tdx_date(self.now(), self._seconds % 3)

    def now(self) -> datetime:
        """The moment of the last thing that happened."""
        return EPOCH + timedelta(days=self.day, seconds=self._seconds + self._advanced)


def iso_date(moment: datetime) -> str:
    """`moment` in whole seconds, as a directory knows it (sources.md 4.7)."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def mixed(number: int, salt: int) -> int:
    """A number below 1000 that says nothing of `number`, but always the same of it."""
    return (number * 2_654_435_761 + salt * 40_503_001) % 4_294_967_296 // 4_295 % 1000


def tdx_date(moment: datetime, spelling: int = 0) -> str:
    """`moment` as TDX writes it: without a fraction, with three digits, or with seven."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{('', '.553', '.1234567')[spelling]}Z"


class Shown(dict[str, Any]):
    """An entity that shows something of the truth: its subject, and the fields in which its source says otherwise."""

    __slots__ = ("subject",)

    def __init__(self, subject: Any, own: Payload | None = None) -> None:
        super().__init__(own or {})
        self.subject = subject

    def __reduce__(self) -> tuple[Any, ...]:
        return (Shown, (self.subject, dict(self)) if self else (self.subject,))


def subject_of(entity: Payload) -> Any:
    """What an entity shows of the truth; TypeError if it is none that does."""
    if not isinstance(entity, Shown):
        raise TypeError("this entity shows nothing of the truth")
    return entity.subject


class Table:
    """The entities of one source: those it has, and those that left (kept, so that they can come back).

    While a day is lived, a table notes what each entity was before it changed.

    related: the entities that show the name of the one of a key, or are shown in it by their names.
    """

    def __init__(self, related: Callable[[str], Iterable["tuple[Table, str]"]] | None = None) -> None:
        self._related = related
        # None: nobody has asked yet.
        self._touched: set[str] | None = None
        self.present: dict[str, Payload] = {}
        self.gone: dict[str, Payload] = {}
        self.streams: list[Stream] = []
        self._order = 0
        self._doubled: dict[str, Payload] = {}
        self._sorted: list[Entry] | None = None
        self._journal: dict[str, Before] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Whoever looks at a copy has seen nothing of it.
        return vars(self) | {"_touched": None}

    def __getitem__(self, key: str) -> Payload:
        try:
            return self.present[key]
        except KeyError:
            raise UnknownEntityError(f"no entity {key!r} is present") from None

    def __setitem__(self, key: str, entity: Payload) -> None:
        self.changing(key)
        self.present[key] = entity
        self._sorted = None

    def known(self, key: str) -> Payload:
        """The entity, also one that left."""
        return self.present[key] if key in self.present else self.gone[key]

    def ordered(self) -> list[Entry]:
        """What lists show, in an order that is stable and means nothing (the sources promise none)."""
        if self._sorted is None:
            doubled = self._doubled.keys() & self.present.keys()
            places = [(self._place(key), key, NOTHING) for key in self.present if key not in doubled]
            for key in doubled:
                first = self._place(key) % HALF_A_LIST
                pair = [NOTHING, self._doubled[key]][:: -1 if self._order % 2 else 1]
                places += [(first, key, pair[0]), (first + HALF_A_LIST, key, pair[1])]
            places.sort(key=lambda place: place[:2])
            self._sorted = [(key, fields) for _, key, fields in places]
        return self._sorted

    def reorder(self, seed: int) -> None:
        """Let lists come in the order that `seed` determines."""
        self._order, self._sorted = seed, None

    def remove(self, key: str) -> None:
        """Let the entity leave."""
        self.moving(key)
        self.gone[key] = self[key]
        del self.present[key]
        self._sorted = None

    def double(self, key: str, fields: Payload | None) -> None:
        """Let lists show the entity twice while it is present, the second time with other `fields`; None ends it."""
        if key not in self.present:
            raise UnknownEntityError(f"no entity {key!r} is present")
        if fields is None:
            self._doubled.pop(key, None)
        else:
            self._doubled[key] = fields
        self._sorted = None

    def bring_back(self, key: str) -> None:
        """Let an entity that left return exactly as it was."""
        if key not in self.gone:
            raise UnknownEntityError(f"no entity {key!r} has left")
        self.moving(key)
        self.present[key] = self.gone.pop(key)
        self._sorted = None

    def put(self, key: str, fields: Payload) -> None:
        """Set fields of an entity."""
        self.moving(key)
        self.write(self[key], fields)
        # What it is related to now may be new.
        self.moving(key)

    def write(self, entity: Payload, fields: Payload) -> None:
        """Set the fields; for tables that keep some of them elsewhere."""
        entity.update(fields)

    def moving(self, key: str) -> None:
        """As `changing`, where its name, its presence or its relations change: for what is related to it too."""
        self.changing(key)
        for table, other in self._related(key) if self._related else ():
            table.changing(other)

    def noted(self, key: str) -> bool:
        """Whether the day that is being lived has changed the entity."""
        return self._journal is not None and key in self._journal

    def take_touched(self) -> set[str]:
        """The keys of what changed, came or left since the last call; at first all there are."""
        touched, self._touched = self._touched, set()
        if touched is None:
            return set(self.present)
        return {key for key in touched if key in self.present or key in self.gone}

    def changing(self, key: str) -> None:
        """Note what the entity is, for it is about to change."""
        if self._touched is not None:
            self._touched.add(key)
        if self._journal is not None and key not in self._journal:
            contents = {s.name: s.content(key) for s in self.streams} if key in self.present else None
            self._journal[key] = Before(contents, key in self.gone)

    def begin_day(self) -> None:
        """Note from now on what changes."""
        self._journal = {}

    def end_day(self) -> dict[str, DayChanges]:
        """What the day brought, by stream."""
        journal, self._journal = self._journal or {}, None
        return {stream.name: self._changes(stream, journal) for stream in self.streams}

    def _changes(self, stream: "Stream", journal: "dict[str, Before]") -> DayChanges:
        changes = DayChanges()
        for key, before in sorted(journal.items()):
            if before.contents is None:
                if key in self.present:
                    (changes.returned if before.had_left else changes.new).append(key)
            elif key not in self.present:
                changes.removed.append(key)
            elif stream.content(key) != before.contents[stream.name]:
                changes.changed.append(key)
        return changes

    def _place(self, key: str) -> int:
        return int.from_bytes(hashlib.blake2b(f"{self._order}/{key}".encode(), digest_size=4).digest())


NOTHING: Payload = {}


@dataclass(frozen=True)
class Before:
    """An entity as the day found it: per stream its content (None: it was not there), and whether it had left before."""

    contents: dict[str, str] | None
    had_left: bool


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
        return {key: self.shown(entity) for key, entity in self.table.present.items()}

    def listed(self) -> Iterator[Payload]:
        """The payloads of a list, in its order, doubled ones twice."""
        for key, fields in self.table.ordered():
            yield self.shown(self.table[key]) | fields

    def content(self, key: str) -> str:
        """A text that is equal exactly when nothing has changed that a hub must notice."""
        return json.dumps(self.compared(self.shown(self.table[key])), sort_keys=True)


def settled(table: Table, keys: Iterable[str]) -> Iterator[str]:
    """Those of the keys that are there and that the day has not changed, as it is when the next one is taken."""
    return (key for key in keys if key in table.present and not table.noted(key))


def touch_nothing(entity: Payload) -> None:
    """For records that have no modified date."""


def as_json(value: object) -> bytes:
    """Compact JSON in UTF-8; lone surrogates stay escapes, which is what makes them valid JSON text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
