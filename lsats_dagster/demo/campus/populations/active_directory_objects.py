"""What Active Directory knows by itself: its branches, identifiers, objects that are no part of the truth, and links."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from lsats_dagster.demo.campus.truth import Alumnus, Device, MailGroup, Person

FOREST = "DC=adsroot,DC=itcs,DC=umich,DC=edu"
UNIVERSITY = f"OU=UMICH,{FOREST}"
COLLEGE = f"OU=LSA,OU=Organizations,{UNIVERSITY}"
PEOPLE = f"OU=People,{UNIVERSITY}"
DISABLED = f"OU=Disabled Accounts,{UNIVERSITY}"
SERVICES = f"OU=Service Accounts,{UNIVERSITY}"
USERS_AND_GROUPS = f"OU=Users and Groups,{COLLEGE}"
MIRRORS = f"OU=MCommADSync,{USERS_AND_GROUPS}"
LABS, WORKSTATIONS = "Research and Instrumentation", "Workstations"
DOMAIN = "S-1-5-21-1004336348-1177238915-682003330"


@dataclass(slots=True, eq=False)
class Service:
    """An account that is nobody's."""

    number: int
    name: str


@dataclass(slots=True, eq=False)
class Group:
    """A group in the unit of which `place` is the DN. mirrors: the group of MCommunity that it follows.

    copies: the one after which somebody made it by hand, so that nothing but its name tells.
    """

    number: int
    name: str
    place: str
    mirrors: MailGroup | None = None
    copies: MailGroup | None = None


@dataclass(slots=True, eq=False)
class OrganizationalUnit:
    """A unit; `above` is the GUID of the one that it is in, nothing below LSA itself. lab: nothing was planned below it."""

    number: int
    name: str
    above: str
    lab: bool = False


@dataclass(slots=True, eq=False)
class Computer:
    """A computer in the unit of a GUID: a device of the truth, or one that no other system knows."""

    number: int
    unit: str
    device: Device | None
    own_name: str = ""

    @property
    def name(self) -> str:
        """What the directory calls it."""
        return self.own_name if self.device is None else self.device.directory_name


Account = Person | Alumnus | Service
ACCOUNTS = (Person, Alumnus, Service)
# Relative identifiers and serial numbers begin so, by kind; each kind has less than a million objects.
FIRST = {Service: 1_000_000, Group: 2_000_000, OrganizationalUnit: 3_000_000, Computer: 4_000_000,
         Person: 5_000_000, Alumnus: 6_000_000}  # fmt: skip


def serial_of(subject: Account | Group | OrganizationalUnit | Computer) -> int:
    """A number that no other object has."""
    return FIRST[type(subject)] + subject.number


def guid_of(subject: Account | Group | OrganizationalUnit | Computer) -> str:
    """Its objectGUID, which stays whatever becomes of it."""
    digits = hashlib.blake2b(str(serial_of(subject)).encode(), digest_size=16).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Links:
    """Which objects name which others, known by their GUIDs, and seen from both ends in the order in which they came."""

    def __init__(self) -> None:
        # The values say nothing: a dict is a set with an order.
        self._to: dict[str, dict[str, None]] = {}
        self._from: dict[str, dict[str, None]] = {}

    def targets(self, source: str) -> list[str]:
        """What an object names."""
        return list(self._to.get(source, ()))

    def sources(self, target: str) -> list[str]:
        """What names an object."""
        return list(self._from.get(target, ()))

    def add(self, source: str, target: str) -> None:
        """Let an object name another."""
        self._to.setdefault(source, {})[target] = None
        self._from.setdefault(target, {})[source] = None

    def drop(self, source: str, target: str) -> None:
        """Let it do so no longer."""
        del self._to[source][target], self._from[target][source]

    def replace(self, source: str, targets: Iterable[str]) -> None:
        """Let an object name these and no others."""
        wanted = dict.fromkeys(targets)
        for target in self.targets(source):
            if target not in wanted:
                self.drop(source, target)
        for target in wanted:
            self.add(source, target)
        self._to[source] = wanted
