"""People as users of TDX and as appointments of the gateway, and what their days bring."""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import (
    Behaviour,
    CampusTime,
    Payload,
    Shown,
    Stream,
    Table,
    subject_of,
    touch_nothing,
)
from lsats_dagster.demo.campus.populations.attributes import user_definitions, without_choices
from lsats_dagster.demo.campus.populations.departments import OFFICERS, Departments
from lsats_dagster.demo.campus.populations.people_records import PeopleRecords, org_application
from lsats_dagster.demo.campus.truth import Appointment, Person, Truth, Unit

EMPLOYED = 0.59
TECHNICIANS = 0.025
# Known to the payroll, not to TDX.
PAYROLL_ONLY = 0.04
# Rows of the payroll per employed person: 94,302 for some 61,000 (sources.md 12).
SECOND_APPOINTMENT = 0.4
COLLECTIONS = ("Applications", "Attributes", "GroupIDs", "OrgApplications", "Permissions")
# What a search leaves out or shows as nothing (sources.md 7).
PLACES: Payload = {"LocationID": 0, "LocationName": None, "LocationRoomID": 0, "LocationRoomName": None}


class People:
    """The streams of people, in TDX and on the payroll."""

    def __init__(
        self, origin: str, truth: Truth, departments: Departments, time: CampusTime, behaviour: Behaviour
    ) -> None:
        self._origin = f"{origin}/people"
        self._truth = truth
        self._departments = departments
        self._time = time
        self._behaviour = behaviour
        self._definitions = user_definitions()
        self.records = PeopleRecords(truth, departments)
        self.users = Table()
        self.appointments = Table()
        self._ended: list[Appointment] = []
        self._deleted: list[str] = []
        self._added = 0
        random = Random(self._origin)
        self._accounts_open = [unit for unit in truth.units if self._has_open_account(unit)]
        paying = self._paying_units()
        for person in truth.people:
            person.technician = random.random() < TECHNICIANS or person.number < 2
            on_payroll = random.random() < EMPLOYED
            in_tdx = not on_payroll or person.number < OFFICERS or random.random() >= PAYROLL_ONLY
            self._settle(person, random, paying if on_payroll else (), in_tdx=in_tdx)
        self._spoil_users(random)
        self._spoil_appointments(random)

    def streams(self) -> list[Stream]:
        """Users as lists show them, users one by one, appointments."""
        user, appointment = self._newcomer, self._new_appointment
        return [
            Stream("tdx/user", self.users, self.list_form, _compared_user, touch_nothing, user),
            Stream("tdx/user_detail", self.users, self.records.user, _compared_detail, touch_nothing, user),
            Stream("umich_api/user", self.appointments, self.records.appointment, dict, touch_nothing, appointment),
        ]

    def shows(self, subject: Any) -> Iterator[tuple[Table, str]]:
        """The records of a person; those of all who belong to a unit."""
        match subject:
            case Person():
                yield self.users, subject.uid
                for appointment in subject.appointments:
                    yield self.appointments, self._key(appointment)
            case Appointment():
                yield self.appointments, self._key(subject)
            case Unit():
                for person in self._truth.people:
                    if person.unit is subject:
                        yield self.users, person.uid
                    for appointment in person.appointments:
                        if appointment.unit is subject:
                            yield self.appointments, self._key(appointment)

    def is_active(self, user: Payload) -> bool:
        """Whether TDX takes the user for active."""
        return bool(user.get("IsActive", subject_of(user).active))

    def list_form(self, user: Payload) -> Payload:
        """The user as searches show it: no collections, no place."""
        return self.records.user(user) | PLACES | self._behaviour.without(COLLECTIONS)

    def live(self) -> None:
        """One day. Nobody meets more than one event."""
        day = self._time.day
        random = Random(f"{self._origin}/day/{day}")
        settled = [person for person in self._truth.people if self._is_settled(person)]
        some = iter(random.sample(settled, len(settled)))
        crowd, paying = max(1, len(settled) // 1000), self._paying_units()
        ended_before, deleted_before = list(self._ended), list(self._deleted)
        for person in islice(some, crowd):
            self._truth.changing(person)
            person.unit = random.choice([unit for unit in self._accounts_open if unit is not person.unit])
        for person in islice(some, crowd):
            self._truth.changing(person)
            person.last = random.choice(words.LAST_BEGIN) + random.choice(words.LAST_END)
        for person in islice(some, crowd):
            self._change_user(person, {"WorkPhone": f"555/555-{day % 100 + 200:04d}"})
        for person in islice(some, 1):
            self._change_user(person, {"GroupIDs": [400 + day, 518], "MobilePhone": f"555/555-{day % 100 + 300:04d}"})
        for person in islice((p for p in some if p.appointments), max(2, crowd)):
            self._truth.changing(person.appointments[0])
            person.appointments[0].local_title = f"{words.LOCAL_TITLES[day % len(words.LOCAL_TITLES)]} {day}"
        for person in islice((p for p in some if p.appointments), 1):
            self._end(person.appointments[-1])
        for person in islice((p for p in some if p.appointments), 1):
            self._appoint(person, random, paying)
        for person in islice(some, 1):
            self._leave(person)
        for person in islice(some, 1):
            self._delete(person)
        if day % 3 == 0:
            self._rehire(random.choice(ended_before))
            self._deleted.remove(back := random.choice(deleted_before))
            self.users.bring_back(back)
        for _ in range(max(2, crowd)):
            self._settle(self._truth.new_person(random), random, paying, in_tdx=True)

    # Making

    def _settle(self, person: Person, random: Random, paying: Sequence[Unit], *, in_tdx: bool) -> None:
        """Give somebody a place, an account in TDX and an appointment in one of the units that pay."""
        person.unit = random.choice(self._accounts_open)
        if in_tdx:
            user = Shown(person)
            if person.technician:
                user.update(self._collections(person, random))
            self.users[person.uid] = user
        if paying:
            self._appoint(person, random, paying)
            if random.random() < SECOND_APPOINTMENT:
                self._appoint(person, random, paying)

    def _paying_units(self) -> list[Unit]:
        """The units that the payroll knows."""
        return [unit for unit in self._truth.units if unit.department in self._departments.departments.present]

    def _appoint(self, person: Person, random: Random, paying: Sequence[Unit]) -> Appointment:
        """Begin another appointment of a person: the first in the unit, others elsewhere."""
        self._truth.changing(person)
        unit = person.unit if not person.appointments and person.unit in paying else random.choice(paying)
        assert unit is not None
        title, jobcode = random.choice(words.TITLES)
        drawn = random.randrange(min(len(self._truth.people), 1 + person.number // 10 * 2 + 20))
        appointment = Appointment(
            person.number,
            person.records,
            unit,
            title,
            jobcode,
            random.choice(words.LOCAL_TITLES) if random.random() < 0.5 else "",
            self._employed(drawn, person),
        )
        person.appointments.append(appointment)
        person.records += 1
        self.appointments[self._key(appointment)] = Shown(appointment)
        return appointment

    def _employed(self, drawn: int, person: Person) -> int | None:
        """The first from `drawn` down to 0, other than the person, who is on the payroll; None where nobody is."""
        below = (number for number in range(drawn, -1, -1) if number != person.number)
        return next((number for number in below if self._truth.people[number].appointments), None)

    def _newcomer(self) -> str:
        self._added += 1
        random = Random(f"{self._origin}/added/{self._added}")
        person = self._truth.new_person(random)
        self._settle(person, random, (), in_tdx=True)
        return person.uid

    def _new_appointment(self) -> str:
        self._added += 1
        random = Random(f"{self._origin}/added/{self._added}")
        return self._key(self._appoint(random.choice(self._truth.people), random, self._paying_units()))

    def _collections(self, person: Person, random: Random) -> Payload:
        carried = random.sample(self._definitions, random.randint(1, len(self._definitions)))
        return {
            "Applications": ["MyWork", "TDNext"],
            "Attributes": [definition.drawn(random, self._truth.people[:OFFICERS]) for definition in carried],
            "GroupIDs": sorted(random.sample(range(400, 480), random.randint(1, 4))),
            "OrgApplications": [org_application(person.number)],
            "Permissions": ["Analysis", "TDAssets"],
        }

    def _spoil_users(self, random: Random) -> None:
        pool = [p for p in self._truth.people if p.uid in self.users.present and not p.technician]
        deal = self._truth.dealing(random, pool, lambda person: person.uid)
        closed = [key for key, account in self._departments.accounts.present.items() if account["IsActive"] is False]
        for person in deal("user without account"):
            self.users[person.uid].update(DefaultAccountID=0, DefaultAccountName="None")
        for person in deal("user of a closed account"):
            self.users[person.uid].update(DefaultAccountID=int(random.choice(closed)))
        for person in deal("user without employee id"):
            self.users[person.uid].update(ExternalID=random.choice(("", None)))
        for person in deal("user with a mail address as uniqname"):
            self.users[person.uid].update(AlternateID=f" {person.uniqname}@campus.example")
        for person in deal("user with the uniqname of another"):
            self.users[person.uid].update(AlternateID=random.choice(pool).uniqname.upper())
        for person in deal("user whose name is spelled otherwise"):
            first = person.first[:3]
            self.users[person.uid].update(FirstName=first, FullName=f"{first} {person.last}", Nickname=first.upper())
        for person in deal("inactive user"):
            person.active = False

    def _spoil_appointments(self, random: Random) -> None:
        rows = list(self.appointments.present)
        for key in self._truth.deal(random, "appointment without uniqname", rows, str):
            self.appointments[key].update(UniqName=random.choice((None, "", " ")))
        for key in self._truth.deal(random, "appointment without supervisor", rows, str):
            self.appointments[key].update(SupervisorId=random.choice((None, "")))
        for key in self._truth.deal(random, "record number as text", rows, str):
            self.appointments[key].update(EmplRcd=key.partition(":")[2])

    # Events

    def _has_open_account(self, unit: Unit) -> bool:
        account = self._departments.accounts.present.get(unit.account or "")
        return account is not None and account["IsActive"] is True

    def _is_settled(self, person: Person) -> bool:
        user = self.users.present.get(person.uid)
        return person.number >= OFFICERS and user is not None and not user and person.active

    def _change_user(self, person: Person, fields: Payload) -> None:
        self.users.changing(person.uid)
        self.users[person.uid].update(fields)

    def _end(self, appointment: Appointment) -> None:
        """Let an appointment leave the payroll."""
        person = self._truth.people[appointment.person]
        self._truth.changing(person)
        self.appointments.remove(self._key(appointment))
        person.appointments.remove(appointment)
        self._ended.append(appointment)

    def _leave(self, person: Person) -> None:
        """Let somebody leave: the payroll at once, TDX keeps who they were."""
        self._truth.changing(person)
        for appointment in list(person.appointments):
            self._end(appointment)
        person.active = False

    def _delete(self, person: Person) -> None:
        self.users.remove(person.uid)
        self._deleted.append(person.uid)

    def _rehire(self, appointment: Appointment) -> None:
        """Let an appointment go on as it was, and with it the person."""
        self._ended.remove(appointment)
        person = self._truth.people[appointment.person]
        self._truth.changing(person)
        person.active = True
        person.appointments.append(appointment)
        self.appointments.bring_back(self._key(appointment))

    def _key(self, appointment: Appointment) -> str:
        return f"{self._truth.people[appointment.person].umid}:{appointment.number}"


def _compared_user(shown: Payload) -> Payload:
    return {name: value for name, value in shown.items() if name not in COLLECTIONS and name not in PLACES}


def _compared_detail(shown: Payload) -> Payload:
    return shown | {"Attributes": [without_choices(attribute) for attribute in shown["Attributes"]]}
