"""The whole campus: the truth, every population that shows it, the day it is, and what can be done to it from outside."""

from collections.abc import Hashable
from random import Random

from lsats_dagster.demo.campus.entities import (
    Behaviour,
    CampusTime,
    DayChanges,
    Payload,
    Stream,
    Table,
    UnknownEntityError,
    subject_of,
)
from lsats_dagster.demo.campus.populations.active_directory import ActiveDirectory
from lsats_dagster.demo.campus.populations.active_directory_objects import Computer, Group
from lsats_dagster.demo.campus.populations.assets import Assets
from lsats_dagster.demo.campus.populations.departments import Departments
from lsats_dagster.demo.campus.populations.exports import Exports
from lsats_dagster.demo.campus.populations.mcommunity import Mcommunity
from lsats_dagster.demo.campus.populations.people import People
from lsats_dagster.demo.campus.sizes import SIZES
from lsats_dagster.demo.campus.truth import Appointment, Population, Truth

# Streams that are read one entity at a time end so.
DETAIL = "_detail"
# In a directory, a name is there once.
DIRECTORIES = ("mcommunity_ldap/", "active_directory/")


class World:
    """A campus: wholly determined by seed, size, the days lived, and the operations on it in their order.

    It can be pickled, with its streams and how they answer: that is how a day is kept.
    """

    def __init__(self, seed: int, size: str) -> None:
        if size not in SIZES:
            raise ValueError(f"size {size!r} is not one of {', '.join(SIZES)}")
        origin, volume = f"{seed}/{size}", SIZES[size]
        self.time = CampusTime()
        self.behaviour = Behaviour()
        self.truth = Truth(Random(f"{origin}/people/names"), volume.people)
        self.departments = Departments(origin, volume.units, self.truth, self.time, self.behaviour)
        self.people = People(origin, self.truth, self.departments, self.time, self.behaviour)
        self.assets = Assets(origin, self.truth, self.departments, self.time, self.behaviour)
        self.exports = Exports(origin, self.truth, self.time)
        self.mcommunity = Mcommunity(origin, volume.alumni, self.truth, self.time)
        self.active_directory = ActiveDirectory(origin, self.truth, self.time)
        populations: list[Population] = [
            self.departments, self.people, self.assets, self.exports, self.mcommunity, self.active_directory
        ]  # fmt: skip
        self.truth.populations += populations
        self._streams: dict[str, Stream] = {s.name: s for population in populations for s in population.streams()}
        self._tables: list[Table] = []
        for stream in self._streams.values():
            stream.table.streams.append(stream)
            if stream.table not in self._tables:
                self._tables.append(stream.table)

    def stream(self, name: str) -> Stream:
        """The stream of that name; UnknownEntityError if there is none."""
        try:
            return self._streams[name]
        except KeyError:
            raise UnknownEntityError(f"no stream {name!r}; there are {', '.join(self._streams)}") from None

    def listed(self, name: str) -> Stream:
        """The stream of that name; ValueError if it has no list, but is read one entity at a time."""
        stream = self.stream(name)
        if name.endswith(DETAIL):
            raise ValueError(f"{name} has no list: its entities are read one at a time")
        return stream

    def identity(self, stream: str, key: str) -> Hashable:
        """Whom or what a record is of, also one that left: of two records the same object where they are of one and the same.

        No source tells it, nor does the side door: tests ask a world of their own. TypeError for records of exports.
        """
        table = self.stream(stream).table
        if table in (self.departments.accounts, self.departments.departments):
            return self.departments.unit_of(table, key) or (stream, key)
        subject: Hashable = subject_of(table.known(key))
        match subject:
            case Appointment():
                return self.truth.people[subject.person]
            case Group():
                return subject.mirrors or subject.copies or subject
            case Computer():
                return subject.device or subject
        return subject

    def live_one_day(self) -> dict[str, DayChanges]:
        """Let a day pass; per stream, what it brought (not what operations before it did)."""
        for table in self._tables:
            table.begin_day()
        self.time.next_day()
        for population in self.truth.populations:
            population.live()
        self.time.evening()
        brought = {name: changes for table in self._tables for name, changes in table.end_day().items()}
        return {name: brought[name] for name in self._streams}

    def put(self, stream: str, key: str, fields: Payload, *, touch: bool) -> None:
        """Set fields of one entity; `touch` also moves its modified date."""
        found = self.stream(stream)
        entity = found.table[key]
        if touch:
            found.touch(entity)
        found.table.put(key, fields)

    def double(self, stream: str, key: str, fields: Payload | None) -> None:
        """Let lists show a key twice, the second time with other `fields`; None ends it."""
        if stream.startswith(DIRECTORIES):
            raise ValueError(f"{stream} is of a directory, in which nothing is there twice")
        self.listed(stream).table.double(key, fields)

    def reorder(self, stream: str, seed: int) -> None:
        """Let lists show the same records in another order, which `seed` determines."""
        self.listed(stream).table.reorder(seed)
