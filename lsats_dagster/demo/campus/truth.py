"""The truth of the campus: its people, units, machines and awards, as nobody but the campus knows them.

Sources show parts of it, each in its own words and with its own mistakes. Dirt has a name, a rate and a place here: what
a source shows wrongly stands in `Truth.dirt`, so that a test can ask whether a hub found it.
"""

import math
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol, TypeVar

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import Table, mixed

# Share of the things that it concerns which have the dirt, at least.
DIRT: Mapping[str, float] = {
    "appointment without uniqname": 0.28,
    "appointment without supervisor": 0.069,
    "record number as text": 0.1,
    "user without account": 0.01,
    "user of a closed account": 0.005,
    "user without employee id": 0.005,
    "user with a mail address as uniqname": 0.002,
    "user with the uniqname of another": 0.002,
    "user whose name is spelled otherwise": 0.05,
    "inactive user": 0.03,
    "asset without serial": 0.035,
    "junk serial": 0.02,
    "shared serial": 0.005,
    "asset without MAC": 0.12,
    "MAC of a dock": 0.01,
    "several cards": 0.03,
    "owner who left": 0.01,
    "name unlike that in Active Directory": 0.05,
    "duplicate name": 0.01,
    "asset without tag": 0.02,
    "mail group in a cycle": 0.1,
    "empty mail group": 0.06,
    "mail group without owner": 0.05,
    "expired mail group": 0.06,
    "group in a cycle": 0.05,
    "empty group": 0.08,
    "group with a comma in its name": 0.04,
    "mail group with a group made after it": 0.08,
    "mail group with a group named by its other name": 0.06,
    "mail group whose name two groups have": 0.03,
    "account without uniqname": 0.055,
    "account of a conflict": 0.002,
    "disabled account": 0.02,
    "disabled computer": 0.058,
    "computer without asset": 0.08,
}
JUNK_SERIALS = ("To be filled by O.E.M.", "None", "N/A", "0", "System Serial Number", "Default string", "123456789")

T = TypeVar("T")


def _letters(name: str) -> str:
    """The letters that a login name takes from a name."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", name).lower() if "a" <= sign <= "z")


# Last names, and what login names of alumni have of them.
BORN_AS = [(begin + end, _letters(begin)[:3]) for begin in words.LAST_BEGIN for end in words.LAST_END]


@dataclass(slots=True, eq=False)
class Unit:
    """One department: its code, its name, and which record of each system it is.

    replaced: the account that it had before, which TeamDynamix still has under the same code.
    """

    code: str
    name: str
    college: int
    account: str | None = None
    department: str | None = None
    replaced: str | None = None


@dataclass(slots=True, eq=False)
class Appointment:
    """One paid engagement of a person: their `number`-th, begun at 0."""

    person: int
    number: int
    unit: Unit
    title: str
    jobcode: str
    local_title: str
    supervisor: int | None


@dataclass(slots=True, eq=False)
class Person:
    """Somebody of the campus; `number` is the place in `Truth.people`. `umid` has eight digits.

    `records`: how many appointments there ever were, for no number is given twice.
    """

    number: int
    uid: str
    umid: str
    uniqname: str
    first: str
    middle: str
    last: str
    unit: Unit | None = None
    building: int = 0
    room: str = ""
    phone: str = ""
    technician: bool = False
    active: bool = True
    records: int = 0
    appointments: list[Appointment] = field(default_factory=list)
    devices: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}"


@dataclass(slots=True, eq=False)
class Alumnus:
    """Somebody who left long ago and whom only the directories still know; `number` is the place in `Truth.alumni`.

    All but the last name follows from the number, because there are twice as many of them as of people.
    """

    number: int
    last: str

    @property
    def first(self) -> str:
        """The first name."""
        return words.ALUMNI[mixed(self.number, 21) % len(words.ALUMNI)]

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}"

    @property
    def uniqname(self) -> str:
        """What nobody else has: first names of alumni begin with letters that those of people do not."""
        # As many as four letters can say, each once.
        place = (self.number * 7919 + 12_345) % 26**4
        letters = "".join(chr(97 + place // 26**digit % 26) for digit in range(4))
        return self.first[0].lower() + BORN_AS[mixed(self.number, 22) % len(BORN_AS)][1] + letters


Somebody = Person | Alumnus


@dataclass(slots=True, eq=False)
class MailGroup:
    """A group of MCommunity; `number` is the place in `Truth.groups`. Its members are people, groups, and addresses elsewhere."""

    number: int
    name: str
    aliases: list[str]
    people: list[Somebody] = field(default_factory=list)
    groups: list["MailGroup"] = field(default_factory=list)
    owners: "list[Somebody | MailGroup]" = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def everybody(self) -> list[Somebody]:
        """Its members and those of the groups in it, each once, also where groups are members of each other."""
        found: dict[Somebody, None] = {}
        seen, ahead = {self}, [self]
        while ahead:
            group = ahead.pop()
            found.update(dict.fromkeys(group.people))
            ahead += (fresh := [inner for inner in group.groups if inner not in seen])
            seen.update(fresh)
        return list(found)


@dataclass(slots=True, eq=False)
class Device:
    """One machine or other thing of value; `number` is the place in `Truth.devices`.

    `name` is what its owner calls it, `directory_name` what the directory does. An empty serial or no cards: unknown.
    """

    number: int
    kind: str
    name: str
    directory_name: str
    serial: str
    cards: list[str]
    model: int
    system: int
    unit: Unit
    owner: int | None
    building: int
    room: str
    shortcode: str


@dataclass(slots=True, eq=False)
class Award:
    """Money for research: who has which part in it. It `began` so many days before the campus."""

    number: int
    title: str
    sponsor: int
    dollars: int
    began: int
    years: int
    parts: list[tuple[int, str, Unit]] = field(default_factory=list)


class Population(Protocol):
    """One part of the campus that lives by its own rules and shows the truth in streams of its own."""

    def streams(self) -> Iterable[Any]: ...

    def live(self) -> None: ...

    def shows(self, subject: Any) -> Iterator[tuple[Table, str]]: ...


class Truth:
    """Everybody and everything, and where the dirt is."""

    def __init__(self, random: Random, people: int) -> None:
        self.people: list[Person] = []
        self.alumni: list[Alumnus] = []
        self.groups: list[MailGroup] = []
        self.units: list[Unit] = []
        self.devices: list[Device] = []
        self.awards: list[Award] = []
        self.dirt: dict[str, list[str]] = {name: [] for name in DIRT}
        self.populations: list[Population] = []
        self._uniqnames: set[str] = set()
        self._umids: set[str] = set()
        for _ in range(people):
            self.new_person(random)

    def new_person(self, random: Random) -> Person:
        """Somebody new, without a place yet."""
        first = random.choice(words.FIRST_BEGIN) + random.choice(words.FIRST_END)
        last = random.choice(words.LAST_BEGIN) + random.choice(words.LAST_END)
        person = Person(
            number=len(self.people),
            uid=str(uuid.UUID(int=random.getrandbits(128), version=4)),
            umid=self._new_umid(random),
            uniqname=self._new_uniqname(random, first, last),
            first=first,
            middle=random.choice(("", "", random.choice(words.FIRST_BEGIN))),
            last=last,
            building=random.randrange(len(words.BUILDINGS)),
            room=f"{random.randint(1, 4999):04d}{random.choice(('', '', 'A'))}",
            phone=f"555/555-{random.randint(100, 199):04d}" if random.random() < 0.67 else "",
        )
        self.people.append(person)
        return person

    def new_alumnus(self) -> Alumnus:
        """One more of those who left."""
        number = len(self.alumni)
        alumnus = Alumnus(number, BORN_AS[mixed(number, 22) % len(BORN_AS)][0])
        self.alumni.append(alumnus)
        return alumnus

    def changing(self, *subjects: Any) -> None:
        """Tell every table that shows one of the subjects that it is about to change."""
        for subject in subjects:
            for population in self.populations:
                for table, key in population.shows(subject):
                    table.changing(key)

    def deal(self, random: Random, name: str, candidates: Sequence[T], key: Callable[[T], str]) -> list[T]:
        """Those of the candidates that get the dirt: as many as its rate says, at least one."""
        count = min(len(candidates), max(1, math.ceil(DIRT[name] * len(candidates))))
        dealt = random.sample(candidates, count)
        self.dirt[name] += sorted(map(key, dealt))
        return dealt

    def dealing(self, random: Random, pool: list[T], key: Callable[[T], str]) -> Callable[[str], list[T]]:
        """Deals dirt to a pool that it shuffles. What got some leaves the pool, so that nothing has two kinds of it."""
        random.shuffle(pool)

        def deal(name: str) -> list[T]:
            dealt = self.deal(random, name, pool, key)
            spoiled = set(map(key, dealt))
            pool[:] = [each for each in pool if key(each) not in spoiled]
            return dealt

        return deal

    def _new_umid(self, random: Random) -> str:
        umid = "00400000"
        while umid in self._umids:
            umid = f"{random.randrange(10**8):08d}"
        self._umids.add(umid)
        return umid

    def _new_uniqname(self, random: Random, first: str, last: str) -> str:
        uniqname = _letters(first[0] + last)[:8].ljust(3, "x")
        while uniqname in self._uniqnames:
            uniqname = uniqname[:5] + "".join(random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(3))
        self._uniqnames.add(uniqname)
        return uniqname
