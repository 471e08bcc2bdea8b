"""The whole campus: every population, the day it is, and what can be done to it from outside."""

from typing import Protocol

from lsats_dagster.demo.campus.departments import VOLUMES, Departments
from lsats_dagster.demo.campus.entities import (
    Behaviour,
    CampusTime,
    DayChanges,
    Payload,
    Stream,
    UnknownEntityError,
    day_changes,
)

SIZES = tuple(VOLUMES)
# Streams that are read one entity at a time end so.
DETAIL = "_detail"


class Population(Protocol):
    """One part of the campus that lives by its own rules, such as the departments."""

    def streams(self) -> list[Stream]: ...

    def live(self) -> None: ...


class World:
    """A campus: wholly determined by seed, size, the days lived, and the operations on it in their order.

    It can be pickled, with its streams and how they answer: that is how the first day is kept.
    """

    def __init__(self, seed: int, size: str) -> None:
        if size not in SIZES:
            raise ValueError(f"size {size!r} is not one of {', '.join(SIZES)}")
        self.time = CampusTime()
        self.behaviour = Behaviour()
        self.departments = Departments(seed, size, self.time, self.behaviour)
        self._populations: list[Population] = [self.departments]
        self._streams = {s.name: s for population in self._populations for s in population.streams()}

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

    def live_one_day(self) -> dict[str, DayChanges]:
        """Let a day pass; per stream, what it brought (not what operations before it did)."""
        before = {name: (stream.contents(), set(stream.table.gone)) for name, stream in self._streams.items()}
        self.time.next_day()
        for population in self._populations:
            population.live()
        return {
            name: day_changes(contents, self._streams[name].contents(), left)
            for name, (contents, left) in before.items()
        }

    def put(self, stream: str, key: str, fields: Payload, *, touch: bool) -> None:
        """Set fields of one entity; `touch` also moves its modified date."""
        found = self.stream(stream)
        entity = found.table[key]
        if touch:
            found.touch(entity)
        entity.update(fields)

    def double(self, stream: str, key: str, fields: Payload | None) -> None:
        """Let lists show a key twice, the second time with other `fields`; None ends it."""
        self.listed(stream).table.double(key, fields)

    def reorder(self, stream: str, seed: int) -> None:
        """Let lists show the same records in another order, which `seed` determines."""
        self.listed(stream).table.order = seed
