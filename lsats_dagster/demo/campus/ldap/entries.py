"""The entries of a directory, and which of their attributes a search wants to have."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lsats_dagster.demo.campus.ldap import ber
from lsats_dagster.demo.campus.ldap.filters import Attribute, Attributes
from lsats_dagster.demo.campus.ldap.syntaxes import comparable_dn

# An attribute of which some values are wanted, from the first one, counted from 0, to the last one (sources.md 4.5).
RANGE = re.compile(r"(?P<name>[^;]+);range=(?P<low>[0-9]{1,9})-(?P<high>[0-9]{1,9}|\*)", re.IGNORECASE)
EVERY_USER_ATTRIBUTE, EVERY_OPERATIONAL_ATTRIBUTE, NO_ATTRIBUTE = "*", "+", "1.1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; it never changes. `place`: its number in the order in which entries were added.

    What is sent of it is made when it is sent: entries that are ready to be sent would take twice the memory.
    """

    dn: str
    key: str
    place: int
    attributes: Attributes

    @property
    def name(self) -> bytes:
        """Its DN as it is sent."""
        return ber.octets(self.dn.encode(errors="surrogateescape"))

    @property
    def deleted(self) -> bool:
        """Whether it is what a deletion left (sources.md 23.2, L10)."""
        return "isdeleted" in self.attributes and self.attributes["isdeleted"].values == (b"TRUE",)


def make_entry(dn: str, place: int, attributes: Mapping[str, Iterable[bytes]]) -> Entry:
    """An entry of these values; ValueError for a DN that is none."""
    return Entry(dn, comparable_dn(dn), place, made_attributes(attributes))


def made_attributes(attributes: Mapping[str, Iterable[bytes]]) -> Attributes:
    """Attributes of these values; those without values are left out."""
    made = {name: tuple(values) for name, values in attributes.items()}
    return {name.lower(): Attribute(name, values) for name, values in made.items() if values}


class Selection:
    """The attributes that a search asks for (RFC 4511 4.5.1.8), of those that its identity sees."""

    def __init__(
        self, asked: Iterable[str], *, types_only: bool, operational: frozenset[str], most_values: int | None
    ) -> None:
        names = [name.lower() for name in asked]
        self._all_user = not names or EVERY_USER_ATTRIBUTE in names
        self._all_operational = EVERY_OPERATIONAL_ATTRIBUTE in names
        ranges = [found for found in map(RANGE.fullmatch, names) if found]
        self._ranges = {found["name"]: (int(found["low"]), found["high"]) for found in ranges}
        self._names = [name for name in dict.fromkeys(names) if ";" not in name]
        self._types_only = types_only
        self._operational = operational
        self._most = most_values

    def of(self, attributes: Attributes) -> bytes:
        """What is sent of an entry."""
        return b"".join(self._sent(name, attributes[name]) for name in self._chosen(attributes))

    def _chosen(self, attributes: Attributes) -> Iterable[str]:
        if not (self._all_user or self._all_operational):
            return [name for name in (*self._names, *self._ranges) if name in attributes]
        return [
            name
            for name in attributes
            if (self._all_operational if name in self._operational else self._all_user)
            or name in self._names
            or name in self._ranges
        ]

    def _sent(self, name: str, attribute: Attribute) -> bytes:
        if name in self._ranges:
            return self._slice(attribute, *self._ranges[name])
        if self._most is not None and len(attribute.values) > self._most:
            return self._slice(attribute, 0, "*")
        return ber.attribute(attribute.name, () if self._types_only else attribute.values)

    def _slice(self, attribute: Attribute, low: int, high: str) -> bytes:
        """The values of a range, as many as come at once: the name tells which they are, `*` that no more follow."""
        end = len(attribute.values) - 1
        last = end if high == "*" else min(int(high), end)
        if self._most is not None:
            last = min(last, low + self._most - 1)
        if last < low:
            return b""
        values = attribute.values[low : last + 1]
        name = f"{attribute.name};range={low}-{'*' if last == end else last}"
        return ber.attribute(name, () if self._types_only else values)
