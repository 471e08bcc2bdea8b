"""Accounts, groups, units and computers of Active Directory (sources.md 4.5, 15 to 18), what they are called."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Any

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import (
    CampusTime,
    Payload,
    Shown,
    Stream,
    Table,
    iso_date,
    mixed,
    subject_of,
)
from lsats_dagster.demo.campus.populations import active_directory_objects as objects
from lsats_dagster.demo.campus.populations.active_directory_days import Days
from lsats_dagster.demo.campus.populations.active_directory_objects import (
    Account,
    Computer,
    Group,
    Links,
    OrganizationalUnit,
    Service,
    guid_of,
)
from lsats_dagster.demo.campus.populations.active_directory_records import ActiveDirectoryRecords
from lsats_dagster.demo.campus.populations.active_directory_start import Start
from lsats_dagster.demo.campus.populations.active_directory_tables import (
    OF_LOGINS,
    OF_ONE_CONTROLLER,
    OF_PASSWORDS,
    Accounts,
    Objects,
)
from lsats_dagster.demo.campus.populations.mcommunity import CROWD, belonging, without
from lsats_dagster.demo.campus.populations.mcommunity_records import escaped
from lsats_dagster.demo.campus.truth import Alumnus, Appointment, Device, MailGroup, Person, Truth, Unit

# Of a thousand alumni, how many have an account, so that 87 % of those in MCommunity do.
WITH_ACCOUNT = 810


class ActiveDirectory:
    """The streams of Active Directory.

    Accounts and computers show the truth; groups and units are what its administrators made. An object that differs from what
    follows from its subject and number has the fields in which it does.
    """

    def __init__(self, origin: str, truth: Truth, time: CampusTime) -> None:
        self._origin = f"{origin}/active_directory"
        self.truth = truth
        self.time = time
        self.accounts = Accounts(self)
        self.groups, self.units, self.computers = (Objects(self) for _ in range(3))
        self.records = ActiveDirectoryRecords(self)
        self.membership = Links()
        self._management = Links()
        # Where labs, and where groups of workstations, are put.
        self.places: tuple[list[str], list[str]] = ([], [])
        self._numbers: dict[type, int] = {}
        # Those that mirror none.
        self.own_groups: list[str] = []
        self._names: set[str] = set()
        # Computers of the truth that are known, by how their names begin: a rename keeps it.
        self._begins: set[str] = set()
        self._joined = [0, 0]
        self._usn = 40_000_000
        self._added = 0
        # Before the campus begins, no object has dates of its own.
        self._begun = False
        self._days = Days(self, self._origin)
        random = Random(self._origin)
        self.join()
        Start(self, random).make()
        self._begun = True
        self.accounts.read_all()

    def streams(self) -> list[Stream]:
        """Accounts, groups, units, computers."""
        computer = partial(without, (*OF_ONE_CONTROLLER, *OF_LOGINS, *OF_PASSWORDS))
        other = partial(without, OF_ONE_CONTROLLER)
        records, touch, name = self.records, self.touch, "active_directory"
        return [
            Stream(f"{name}/user", self.accounts, records.account, self.accounts.compared, touch,
                   partial(self._newcomer, Service)),
            Stream(f"{name}/group", self.groups, records.group, other, touch, partial(self._newcomer, Group)),
            Stream(f"{name}/organizational_unit", self.units, records.unit, other, touch,
                   partial(self._newcomer, OrganizationalUnit)),
            Stream(f"{name}/computer", self.computers, records.computer, computer, touch, partial(self._newcomer, Computer)),
        ]  # fmt: skip

    def shows(self, subject: Any) -> Iterator[tuple[Table, str]]:
        """The account of a person, those of all who belong to a unit, the computer of a device, the group that mirrors one."""
        match subject:
            case Person() | Alumnus():
                yield self.accounts, guid_of(subject)
                # An account holds copies, which are written anew when the truth changes.
                if guid_of(subject) in self.accounts.present:
                    self.date(self.accounts[guid_of(subject)])
            case Appointment():
                yield from self.shows(self.truth.people[subject.person])
            case Unit():
                for person in belonging(self.truth, subject):
                    yield from self.shows(person)
            case Device():
                for key, entity in self.computers.present.items():
                    if subject_of(entity).device is subject:
                        yield self.computers, key
                        yield from self.related(key)
                        self.date(entity)
            case MailGroup():
                for key, entity in self.groups.present.items():
                    if subject_of(entity).mirrors is subject:
                        yield self.groups, key

    def live(self) -> None:
        """One day."""
        self._days.live()

    # What names what

    def dn_of(self, entity: Payload) -> str:
        """The name of an object, without making its record."""
        if "dn" in entity:
            return str(entity["dn"])
        match subject := subject_of(entity):
            case OrganizationalUnit():
                return f"OU={escaped(subject.name)},{self._dn_above(subject.above)}"
            case Computer():
                return f"CN={escaped(subject.name)},{self._dn_above(subject.unit)}"
            case Group():
                return f"CN={escaped(subject.name)},{subject.place}"
            case Service():
                return f"CN={escaped(subject.name)},{objects.SERVICES}"
        return f"CN={subject.uniqname},{objects.PEOPLE}"

    def _dn_above(self, key: str) -> str:
        if not key:
            return objects.COLLEGE
        # Of a unit that left too: what was in it keeps its name.
        return self.dn_of(self.units.known(key))

    def named(self, keys: Iterable[str]) -> list[str]:
        """The names of the objects that are present. A name of an object of somewhere else stands for itself."""
        found = ((key, self._table_of(key)) for key in keys)
        return [
            self.dn_of(table.present[key]) if table else key
            for key, table in found
            if (key in table.present if table else "=" in key)
        ]

    def members(self, guid: str) -> list[str]:
        """Who belongs to a group."""
        return self.named(self.membership.targets(guid))

    def member_of(self, guid: str) -> list[str]:
        """The groups to which an object belongs."""
        return self.named(self.membership.sources(guid))

    def manager(self, guid: str) -> str | None:
        """Who manages an object."""
        return next(iter(self.named(self._management.targets(guid))), None)

    def managed(self, guid: str) -> list[str]:
        """What somebody manages."""
        return self.named(self._management.sources(guid))

    def related(self, key: str) -> Iterator[tuple[Table, str]]:
        """What shows the name of an object or is shown in it by name, and what is below it with the same of it."""
        for links in (self.membership, self._management):
            for other in (*links.sources(key), *links.targets(key)):
                yield from self.found([other])
        for table, below in self.below(key):
            yield table, below
            yield from self.related(below)

    def found(self, keys: Iterable[str]) -> Iterator[tuple[Table, str]]:
        """The objects of the directory among these."""
        return ((table, key) for key in keys if (table := self._table_of(key)))

    def below(self, key: str) -> list[tuple[Table, str]]:
        """The units and computers in a unit, those that left and may come back too."""
        units, computers = ({**table.present, **table.gone} for table in (self.units, self.computers))
        if key not in units:
            return []
        found: list[tuple[Table, str]] = [(self.units, k) for k, unit in units.items() if subject_of(unit).above == key]
        return found + [(self.computers, k) for k, computer in computers.items() if subject_of(computer).unit == key]

    def set_members(self, guid: str, names: Iterable[str]) -> None:
        """Let a group have these members, known by their names."""
        self.membership.replace(guid, self._keys_of(names))

    def set_managers(self, guid: str, names: Iterable[str]) -> None:
        """Let an object have these managers, one or none, known by their names."""
        self._management.replace(guid, self._keys_of(names))

    def set_manager(self, guid: str, manager: str) -> None:
        """Let an object be managed by the owner of an account."""
        for other in (*self._management.targets(guid), manager):
            self.accounts.changing(other)
        self._management.replace(guid, [manager])

    def _keys_of(self, names: Iterable[str]) -> list[str]:
        """The keys of objects by their names; a name of none stands for itself."""
        tables = (self.accounts, self.groups, self.computers)
        known = {self.dn_of(entity).lower(): key for table in tables for key, entity in table.present.items()}
        return [known.get(name.lower(), name) for name in names]

    def _table_of(self, key: str) -> Table | None:
        tables = (self.accounts, self.groups, self.computers, self.units)
        return next((table for table in tables if key in table.present or key in table.gone), None)

    # When

    def touch(self, entity: Payload) -> None:
        """Let an object have changed at a moment that was not yet."""
        self.time.stamp()
        self.date(entity)

    def date(self, entity: Payload) -> None:
        """Let an object have changed now."""
        self._usn += 1
        entity.update(whenChanged=iso_date(self.time.now()), uSNChanged=self._usn)

    def born(self) -> Payload:
        """The dates of an object that is made now."""
        self._usn += 1
        now = iso_date(self.time.now())
        return {"whenCreated": now, "whenChanged": now, "uSNCreated": self._usn, "uSNChanged": self._usn}

    # Making

    def number(self, kind: type) -> int:
        """The next number of a kind of objects."""
        self._numbers[kind] = self._numbers.get(kind, -1) + 1
        return self._numbers[kind]

    def join(self) -> None:
        """Give accounts to those of the truth who came since the last time."""
        begins, self._joined = self._joined, [len(self.truth.people), len(self.truth.alumni)]
        for person in self.truth.people[begins[0] :]:
            self.enter(person)
        for alumnus in self.truth.alumni[begins[1] :]:
            if mixed(alumnus.number, 99) < WITH_ACCOUNT:
                self.enter(alumnus)

    def enter(self, subject: Account, own: Payload | None = None) -> str:
        """Give an account to somebody or something."""
        self.accounts[guid_of(subject)] = Shown(subject, (self.born() if self._begun else {}) | (own or {}))
        return guid_of(subject)

    def _newcomer(self, kind: type) -> str:
        self._added += 1
        self.time.stamp()
        random = Random(f"{self._origin}/added/{self._added}")
        if kind is Group:
            return self.new_group(random, self.staff())
        if kind is OrganizationalUnit:
            return self.new_lab(random)
        if kind is Computer:
            return self.new_computer(random, None, self.homes())
        return self.new_service(random)

    def new_unit(self, name: str, above: str, *, lab: bool = False) -> str:
        """A unit in another one; with a number where that has one of its name."""
        siblings = [*self.units.present.values(), *self.units.gone.values()]
        taken = {subject_of(unit).name.lower() for unit in siblings if subject_of(unit).above == above}
        number = self.number(OrganizationalUnit)
        unit = OrganizationalUnit(number, f"{name}-{number}" if name.lower() in taken else name, above, lab)
        self.units[guid_of(unit)] = Shown(unit, self.born() if self._begun else {})
        return guid_of(unit)

    def new_lab(self, random: Random) -> str:
        """A unit for machines of somebody, or for a purpose; some lie in another such one."""
        above = random.choice(self.departments(self.places[random.random() < 0.2]))
        labs = [key for key, unit in self.units.present.items() if subject_of(unit).lab]
        if labs and random.random() < 0.12:
            above = random.choice(labs)
        key = self.new_unit(self.lab_name(random, above), above, lab=True)
        if random.random() < 0.09:
            self.set_manager(key, guid_of(random.choice(self.truth.people)))
        return key

    def departments(self, among: Sequence[str] = ()) -> Sequence[str]:
        """The units of departments that are present, of all or of these."""
        known = among or [key for branch in self.places for key in branch]
        return [key for key in known if key in self.units.present] or known

    def lab_name(self, random: Random, above: str) -> str:
        """A name as those who made units liked it (sources.md 17); six of ten have a login name in them."""
        some = [random.choice(self.truth.people) for _ in range(9)]
        investigators = (
            [self.truth.people[random.choice(self.truth.awards).parts[0][0]]] if random.random() < 0.5 else []
        )
        name = next((person for person in (*investigators, *some) if person.appointments), some[0]).uniqname
        short = "".join(
            sign for sign in subject_of(self.units.known(above)).name.split()[-1].lower() if "a" <= sign <= "z"
        )[:4]
        return random.choice(
            (
                *[f"{short}-{name}"] * 4,
                name,
                random.choice((f"{name}-lab", f"{name.title()}-Lab")),
                random.choice(words.UNIT_WORDS),
                f"{short}-{random.choice(words.UNIT_WORDS).lower()}-{random.randint(1, 40)}",
                f"{random.choice(words.FIELDS)} Room {random.randint(1, 40)}",
            )
        )

    def is_new(self, device: Device) -> bool:
        """Whether a device can become a computer of the directory: no other one's name is or becomes like its own."""
        return device.kind == "computer" and device.directory_name[:11] not in self._begins

    def homes(self) -> dict[str, list[str]]:
        """The units where computers are put, by the name of their department; all of them under no name."""
        found: dict[str, list[str]] = {"": []}
        for key, entity in self.units.present.items():
            unit = subject_of(entity)
            if unit.lab or key in self.places[1]:
                department = self.units.present.get(unit.above) if unit.lab else entity
                found[""].append(key)
                if department is not None:
                    found.setdefault(subject_of(department).name, []).append(key)
        return found

    def new_computer(self, random: Random, device: Device | None, homes: dict[str, list[str]]) -> str:
        """A computer of the truth, or one that nobody else knows, in a unit of its department if there is one."""
        number = self.number(Computer)
        if device is not None:
            self._begins.add(device.directory_name[:11])
        near = homes.get(device.unit.name if device else "") or homes[""] or self.places[1]
        computer = Computer(number, random.choice(near), device, f"LOANER-{number:05d}")
        key = guid_of(computer)
        self.computers[key] = Shown(computer, self.born() if self._begun else {})
        if random.random() < 0.394:
            owner = random.randrange(len(self.truth.people)) if device is None or device.owner is None else device.owner
            self.set_manager(key, guid_of(self.truth.people[owner]))
        return key

    def new_service(self, random: Random) -> str:
        """An account of a service."""
        number = self.number(Service)
        return self.enter(Service(number, f"svc-{random.choice(words.SUBJECTS).lower()}-{number}"))

    def staff(self) -> dict[Unit | None, list[Person]]:
        """People by their unit."""
        found: dict[Unit | None, list[Person]] = {}
        for person in self.truth.people:
            found.setdefault(person.unit, []).append(person)
        return found

    def new_group(self, random: Random, staff: dict[Unit | None, list[Person]]) -> str:
        """A group of a department, with people, and other groups in it."""
        number = self.number(Group)
        unit = random.choice(self.truth.units)
        initials = "".join(word[0] for word in unit.name.split())[:4]
        purpose = random.choice(("Staff", "Faculty", "Printers", "Admins", "\u00c9quipe"))
        region = random.choice(words.UNIT_REGIONS)
        place = f"OU={escaped(unit.name)},OU={region},{objects.USERS_AND_GROUPS}"
        people = staff.get(unit, self.truth.people)
        members = [guid_of(p) for p in random.sample(people, min(len(people), random.choice((1, 2, 3, 5, 8, 21))))]
        if number == 0:
            members = [guid_of(person) for person in self.truth.people[: min(CROWD, len(self.truth.people) * 4 // 5)]]
        elif random.random() < 0.3 and number > 1:
            members.append(random.choice(self.own_groups[1:]))
        group = Group(number, self.new_name(f"LSA-{initials}-{purpose}" if number else "LSA-All-Staff", number), place)
        self.own_groups.append(guid_of(group))
        return self._establish(group, members, random.choice(self.truth.people) if random.random() < 0.4 else None)

    def new_name(self, name: str, number: int) -> str:
        """The name, with a number if a group has it."""
        if name.lower() in self._names:
            name = f"{name}-{number}"
        self._names.add(name.lower())
        return name

    def mirror(self, mail_group: MailGroup) -> str:
        """A group that follows one of MCommunity, with the same name and number."""
        group = Group(self.number(Group), mail_group.name, objects.MIRRORS, mail_group)
        return self._establish(group, self.mirrored(mail_group), None)

    def mirrored(self, mail_group: MailGroup) -> list[str]:
        """The members that a mirror of a group has: those with an account."""
        return [key for key in map(guid_of, mail_group.everybody()) if key in self.accounts.present]

    def _establish(self, group: Group, members: list[str], manager: Person | None) -> str:
        key = guid_of(group)
        for table, other in self.found(members):
            table.changing(other)
        self.groups[key] = Shown(group, self.born() if self._begun else {})
        self.membership.replace(key, members)
        if manager is not None:
            self.set_manager(key, guid_of(manager))
        return key
