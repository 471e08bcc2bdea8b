"""People and groups of MCommunity, the university's LDAP directory (sources.md 13, 14), and what their days bring."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from random import Random
from typing import Any

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import (
    CampusTime,
    Payload,
    Shown,
    Stream,
    Table,
    settled,
    subject_of,
    touch_nothing,
)
from lsats_dagster.demo.campus.populations.mcommunity_records import McommunityRecords, gid_number, uid_number
from lsats_dagster.demo.campus.truth import Alumnus, Appointment, MailGroup, Person, Somebody, Truth, Unit

# Groups for each person of the directory: 33,961 for 703,859 (sources.md 21).
PER_PERSON = 0.048
LEAST_GROUPS = 30
# The first one holds so many of the people, in a tiny campus fewer.
CROWD = 4000
# Candidates that a day draws, of whom it takes those whom nothing else concerns.
DRAWN = 60


class Mcommunity:
    """The streams of MCommunity. Each shows somebody or a group of the truth."""

    def __init__(self, origin: str, alumni: int, truth: Truth, time: CampusTime) -> None:
        self._origin = f"{origin}/mcommunity"
        self._truth = truth
        self._time = time
        self.people = Table(self._related)
        self.groups = Table(self._related)
        self.records = McommunityRecords(self.entity_of)
        self._removed: dict[str, list[str]] = {"people": [], "groups": []}
        self._names: set[str] = set()
        self._joined = 0
        self._added = 0
        self._join()
        for _ in range(alumni):
            self._enter(truth.new_alumnus())
        random = Random(self._origin)
        for _ in range(max(LEAST_GROUPS, round(PER_PERSON * len(self.people.present)))):
            self._found(random)
        self._spoil(random)

    def streams(self) -> list[Stream]:
        """People, and groups."""
        person, group = self.records.person, self.records.group
        compared = partial(without, ("uidNumber", "gidNumber"))
        return [
            Stream("mcommunity_ldap/user", self.people, person, partial(without, ("uidNumber",)), touch_nothing,
                   self._new_person),
            Stream("mcommunity_ldap/group", self.groups, group, compared, touch_nothing, self._new_group),
        ]  # fmt: skip

    def entity_of(self, subject: Somebody | MailGroup) -> Payload | None:
        """The entity of a person or a group, None where the directory does not have it."""
        if isinstance(subject, MailGroup):
            return self.groups.present.get(str(gid_number(subject)))
        return self.people.present.get(str(uid_number(subject)))

    def shows(self, subject: Any) -> Iterator[tuple[Table, str]]:
        """The entries of a person, those of all who belong to a unit, a group and what shows its name."""
        match subject:
            case Person() | Alumnus():
                yield self.people, str(uid_number(subject))
            case Appointment():
                yield from self.shows(self._truth.people[subject.person])
            case Unit():
                for person in belonging(self._truth, subject):
                    yield from self.shows(person)
            case MailGroup():
                yield self.groups, str(gid_number(subject))
                yield from self._related(str(gid_number(subject)))

    def _related(self, key: str) -> Iterator[tuple[Table, str]]:
        """The groups that show somebody or a group, also as members of members."""
        table = self.people if key in self.people.present or key in self.people.gone else self.groups
        ahead: set[Any] = {subject_of(table.known(key))}
        found: dict[MailGroup, None] = {}
        while ahead:
            showing = [
                group
                for group in self._truth.groups
                if group not in found
                and any(ahead.intersection(members) for members in (group.people, group.groups, group.owners))
            ]
            found.update(dict.fromkeys(showing))
            ahead = set(showing)
        yield from ((self.groups, str(gid_number(group))) for group in found)

    def live(self) -> None:
        """One day. Nobody and no group meets more than one event."""
        day = self._time.day
        random = Random(f"{self._origin}/day/{day}")
        removed_before = {kind: list(keys) for kind, keys in self._removed.items()}
        self._join()
        self._enter(self._truth.new_alumnus())
        alumni = random.sample(self._truth.alumni, min(DRAWN, len(self._truth.alumni)))
        some = settled(self.people, [str(uid_number(alumnus)) for alumnus in alumni])
        crowd = max(1, len(self._truth.alumni) // 2000)
        for key in islice(some, crowd):
            alumnus = subject_of(self.people[key])
            self._truth.changing(alumnus)
            alumnus.last = random.choice(words.LAST_BEGIN) + random.choice(words.LAST_END)
        for key in islice(some, crowd):
            self.people.put(key, {"loginShell": f"/bin/sh{day}"})
        for key in islice(some, 1):
            self.people.remove(key)
            self._removed["people"].append(key)
        self._live_groups(day, random)
        if day % 3 == 0:
            for kind, table in (("people", self.people), ("groups", self.groups)):
                gone = [key for key in removed_before[kind] if key in table.gone]
                for back in random.sample(gone, min(1, len(gone))):
                    self._removed[kind].remove(back)
                    table.bring_back(back)

    def _live_groups(self, day: int, random: Random) -> None:
        # The first one, which is everybody's, only grows.
        known = list(self.groups.present)[1:]
        some = settled(self.groups, random.sample(known, min(DRAWN, len(known))))
        staff = [person for person in self._truth.people if person.active and self.entity_of(person) is not None]

        def change(event: Callable[[MailGroup], object], among: Callable[[MailGroup], object] = bool) -> None:
            for key in islice((key for key in some if among(subject_of(self.groups[key]))), 1):
                self._change(subject_of(self.groups[key]), event)

        change(lambda group: group.people.append(random.choice([p for p in staff if p not in group.people])))
        change(lambda group: group.people.pop(), lambda group: group.people)
        change(lambda group: group.owners.append(random.choice([p for p in staff if p not in group.owners])))
        change(lambda group: group.outside.append(f"visitor{day}@elsewhere.example"))
        change(lambda group: self._rename(group, f"{group.name.partition(' of ')[0]} of {day}"))
        others = self._truth.groups[1:]
        if day % 2 == 0:
            change(
                lambda group: group.groups.append(random.choice([g for g in others if g not in (group, *group.groups)]))
            )
        for key in islice(some, 1):
            self.groups.put(key, {"joinable": not self.groups[key].get("joinable", False), "Membersonly": day % 2 == 0})
        for key in islice(some, 1):
            self.groups.remove(key)
            self._removed["groups"].append(key)
        for _ in range(2):
            self._found(random)

    # Making

    def _join(self) -> None:
        """Let those of the truth appear who came since the last time."""
        for person in self._truth.people[self._joined :]:
            self._enter(person)
        self._joined = len(self._truth.people)

    def _enter(self, somebody: Somebody) -> str:
        key = str(uid_number(somebody))
        self.people[key] = Shown(somebody)
        return key

    def _new_person(self) -> str:
        return self._enter(self._truth.new_alumnus())

    def _new_group(self) -> str:
        self._added += 1
        return self._found(Random(f"{self._origin}/added/{self._added}"))

    def _found(self, random: Random) -> str:
        """Let a group come: of a lab, of a unit, or for a purpose."""
        truth = self._truth
        number = len(truth.groups)
        owner = truth.people[random.randrange(len(truth.people))]
        unit = owner.unit
        assert unit is not None
        initials = "".join(word[0] for word in unit.name.split())[:4].lower()
        name, aliases, people, groups = random.choice(
            (
                (f"{initials}-{owner.uniqname}-lab", [f"{owner.uniqname} lab"], truth.people, []),
                (f"{unit.name} Staff", [f"{initials}-staff-{number}"], truth.people, []),
                (f"{random.choice(words.FIELDS)} {random.choice(words.CIRCLES)}", [], truth.alumni, truth.groups[1:]),
            )
        )
        members: list[Somebody] = [owner] if number % 3 else []
        members += random.sample(people, min(len(people), random.choice((1, 2, 3, 5, 8, 13))))
        if number == 0:
            name, members = "All Staff", list(truth.people[: min(CROWD, len(truth.people) * 4 // 5)])
        group = MailGroup(
            number,
            name=self._new_name(name, number),
            aliases=aliases,
            people=list(dict.fromkeys(members)),
            groups=random.sample(groups, min(len(groups), random.choice((0, 1, 2)))),
            owners=[owner],
            outside=[f"guest{number}@elsewhere.example"] if random.random() < 0.15 else [],
        )
        if number and random.random() < 0.2:
            group.owners.append(random.choice(truth.groups))
        truth.groups.append(group)
        self.groups[str(gid_number(group))] = Shown(group)
        return str(gid_number(group))

    def _new_name(self, name: str, number: int) -> str:
        if name.lower() in self._names:
            name = f"{name} {number}"
        self._names.add(name.lower())
        return name

    def _spoil(self, random: Random) -> None:
        deal = self._truth.dealing(random, self._truth.groups[1:], lambda group: str(gid_number(group)))
        ring = deal("mail group in a cycle")
        # The last one, where it is alone, is its own member.
        for begin in range(0, len(ring), 3):
            part = ring[begin : begin + 3]
            for group, inner in zip(part, [*part[1:], part[0]], strict=True):
                group.groups = [inner]
        for group in deal("empty mail group"):
            group.people, group.groups = [], []
        for group in deal("mail group without owner"):
            group.owners = []
        for group in deal("expired mail group"):
            self.groups[str(gid_number(group))]["umichExpiryTimestamp"] = "2025-02-12T23:02:52Z"

    # Events

    def _change(self, group: MailGroup, event: Callable[[MailGroup], object]) -> None:
        self._truth.changing(group)
        event(group)
        # What it holds now may be others.
        self._truth.changing(group)

    def _rename(self, group: MailGroup, name: str) -> None:
        group.name = self._new_name(name, group.number)


def belonging(truth: Truth, unit: Unit) -> Iterator[Person]:
    """Those whose entries name a unit."""
    return (p for p in truth.people if p.unit is unit or any(a.unit is unit for a in p.appointments))


def without(names: tuple[str, ...], shown: Payload) -> Payload:
    """What a hub compares: all but the key and what is volatile. Several values have no order."""
    return {
        name: sorted(value) if isinstance(value, list) else value for name, value in shown.items() if name not in names
    }
