"""What Active Directory holds when the campus begins, in the proportions of sources.md 21, and the dirt in it."""

import math
from random import Random
from typing import TYPE_CHECKING

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import Payload, Shown, subject_of
from lsats_dagster.demo.campus.populations import active_directory_objects as objects
from lsats_dagster.demo.campus.populations.active_directory_days import SWITCHED_OFF, disable
from lsats_dagster.demo.campus.populations.active_directory_objects import Group, Service, guid_of
from lsats_dagster.demo.campus.populations.mcommunity_records import escaped, gid_number
from lsats_dagster.demo.campus.truth import DIRT, Alumnus, MailGroup

if TYPE_CHECKING:
    from lsats_dagster.demo.campus.populations.active_directory import ActiveDirectory

# Groups and units for each person of the truth, computers for each of its computers, groups that mirror one of MCommunity among
# all.
GROUPS, UNITS, COMPUTERS, MIRRORS = 0.085, 0.01168, 0.38, 0.175
LEAST_GROUPS, LEAST_UNITS = 30, 28


class Start:
    """The first day of one directory."""

    def __init__(self, directory: "ActiveDirectory", random: Random) -> None:
        self._directory = directory
        self._random = random

    def make(self) -> None:
        """Fill the directory, which has its accounts of people, and spoil some of it."""
        self._populate()
        self._spoil()

    def _populate(self) -> None:
        directory, random = self._directory, self._random
        people = len(directory.truth.people)
        for _ in range(max(2, math.ceil(DIRT["account without uniqname"] * len(directory.accounts.present)))):
            directory.truth.dirt["account without uniqname"].append(directory.new_service(random))
        self._plan(max(LEAST_UNITS, round(UNITS * people)))
        known = [device for device in directory.truth.devices if device.kind == "computer"]
        homes, staff = directory.homes(), directory.staff()
        for device in random.sample(known, len(known)):
            if len(directory.computers.present) < COMPUTERS * len(known) and directory.is_new(device):
                directory.new_computer(random, device, homes)
        for _ in range(max(2, math.ceil(DIRT["computer without asset"] * len(directory.computers.present)))):
            directory.truth.dirt["computer without asset"].append(directory.new_computer(random, None, homes))
        count = max(LEAST_GROUPS, round(GROUPS * people))
        for _ in range(count - round(MIRRORS * count)):
            directory.new_group(random, staff)
        for mail_group in directory.truth.groups[: round(MIRRORS * count)]:
            directory.mirror(mail_group)
        for key in directory.computers.present:
            if random.random() < 0.487:
                directory.membership.add(random.choice(directory.own_groups[1:]), key)

    def _plan(self, count: int) -> None:
        """The units of labs and of workstations: regions, in them departments, in them whatever people wanted."""
        directory, random = self._directory, self._random
        labs, stations = directory.new_unit(objects.LABS, ""), directory.new_unit(objects.WORKSTATIONS, "")
        branches = (directory.new_unit("Current", labs), stations)
        names = [unit.name for unit in random.sample(directory.truth.units, max(3, round(0.076 * count)))]
        for branch, departments in zip(branches, directory.places, strict=True):
            regions = [directory.new_unit(name, branch) for name in words.UNIT_REGIONS[: 2 + count // 80]]
            departments += [directory.new_unit(name, random.choice(regions)) for name in names]
        while len(directory.units.present) < count:
            directory.new_lab(random)

    def _spoil(self) -> None:
        directory, random = self._directory, self._random
        deal = directory.truth.dealing(random, directory.own_groups[1:], str)
        ring = deal("group in a cycle")
        for key, inner in zip(ring, [*ring[1:], ring[0]], strict=True):
            directory.membership.add(key, inner)
        for key in deal("empty group"):
            directory.membership.replace(key, [])
        for key in deal("group with a comma in its name"):
            group, person = subject_of(directory.groups[key]), random.choice(directory.truth.people)
            group.name = directory.new_name(f"{person.last}, {person.first}", group.number)
        for person in directory.truth.people:
            if not person.active:
                disable(directory.accounts[guid_of(person)])
        alumni = [
            key for key, account in directory.accounts.present.items() if isinstance(subject_of(account), Alumnus)
        ]
        for key in directory.truth.deal(random, "disabled account", alumni, str):
            disable(directory.accounts[key])
        for key in directory.truth.deal(random, "disabled computer", list(directory.computers.present), str):
            directory.computers[key].update(userAccountControl=SWITCHED_OFF)
        for person in random.sample(
            directory.truth.people, math.ceil(DIRT["account of a conflict"] * len(directory.truth.people))
        ):
            name = f"{person.uniqname}\nCNF:{guid_of(person)}"
            own: Payload = {
                "dn": f"CN={escaped(name)},{objects.PEOPLE}",
                "uid": [person.uniqname],
                "userAccountControl": 512,
            }
            number = directory.number(Service)
            own |= {"sAMAccountName": f"$DUPLICATE-{number:x}", "displayName": f"{person.last}, {person.first}"}
            own |= {"userPrincipalName": None, "description": None}
            directory.truth.dirt["account of a conflict"].append(directory.enter(Service(number, name), own))
        self._copy()

    def _copy(self) -> None:
        """Groups that somebody made by hand for those of a group of MCommunity: only one of its names tells."""
        directory, random = self._directory, self._random
        mirrored = {subject_of(group).mirrors for group in directory.groups.present.values()}
        pool = [group for group in directory.truth.groups if group.aliases and group not in mirrored]
        deal = directory.truth.dealing(random, pool, lambda group: str(gid_number(group)))
        places = sorted({subject_of(directory.groups[key]).place for key in directory.own_groups})
        for group in deal("mail group with a group made after it"):
            directory.own_groups.append(self._copy_of(group, group.name, random.choice(places)))
        for group in deal("mail group with a group named by its other name"):
            directory.own_groups.append(self._copy_of(group, group.aliases[0], random.choice(places)))
        for group in deal("mail group whose name two groups have"):
            # No day moves these: in one place there is no room for both.
            for place in random.sample(places, 2):
                self._copy_of(group, group.name, place)

    def _copy_of(self, mail_group: MailGroup, name: str, place: str) -> str:
        directory = self._directory
        group = Group(directory.number(Group), name, place, copies=mail_group)
        # Nobody gets the name later on.
        directory.new_name(name, group.number)
        directory.groups[guid_of(group)] = Shown(group, {"sAMAccountName": f"LSA-GROUP-{group.number}"})
        directory.membership.replace(guid_of(group), directory.mirrored(mail_group))
        return guid_of(group)
