"""What days bring to Active Directory. No object meets more than one event a day, but what follows from the truth."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from lsats_dagster.demo.campus.entities import Payload, Table, iso_date, settled, subject_of
from lsats_dagster.demo.campus.populations.active_directory_objects import DISABLED, Group, OrganizationalUnit, guid_of
from lsats_dagster.demo.campus.populations.active_directory_records import LAPS, LEGACY_LAPS, ticks
from lsats_dagster.demo.campus.truth import Alumnus

if TYPE_CHECKING:
    from lsats_dagster.demo.campus.populations.active_directory import ActiveDirectory

# Candidates that a day draws of a stream, of whom it takes those whom nothing else concerns.
DRAWN = 120
# Of accounts, what is deleted is first disabled and moved, and deleted once a week.
WEEK = 7
ENABLED, CLOSED = 512, 514
WORKING, SWITCHED_OFF = 4096, 4098


class Days:
    """The days of one directory."""

    def __init__(self, directory: "ActiveDirectory", origin: str) -> None:
        self._directory = directory
        self._origin = origin
        # Keys of what left, by kind, that may come back; accounts of alumni that were closed and may be opened again.
        self._removed: dict[str, list[str]] = {"accounts": [], "groups": [], "units": [], "computers": []}
        self._closed: list[str] = []

    def live(self) -> None:
        """One day."""
        day = self._directory.time.day
        random = Random(f"{self._origin}/day/{day}")
        removed_before = {kind: list(keys) for kind, keys in self._removed.items()}
        self._directory.join()
        self._follow_people()
        self._follow_mirrored()
        self._live_accounts(day, random)
        self._live_groups(day, random)
        self._live_units(day, random)
        self._live_computers(day, random)
        for kind, keys in removed_before.items():
            if day % (2 * WEEK if kind == "accounts" else 3) == 0:
                self._bring_back(kind, keys, random)

    def _follow_people(self) -> None:
        """Close the accounts of those who left, and open those of whoever is there again."""
        for person in self._directory.truth.people:
            account = self._directory.accounts.present.get(guid_of(person))
            closed = account is not None and account.get("userAccountControl") == CLOSED
            if account is not None and person.active and closed:
                self._open(account)
            elif account is not None and not person.active and not closed:
                self._close(account)

    def _follow_mirrored(self) -> None:
        """Let the mirrors of groups of MCommunity have the names and members that these have."""
        for key, entity in self._directory.groups.present.items():
            group: Group = subject_of(entity)
            if group.mirrors is None:
                continue
            members, known = self._directory.mirrored(group.mirrors), self._directory.membership.targets(key)
            if group.name != group.mirrors.name:
                self._directory.groups.moving(key)
                group.name = group.mirrors.name
                self._directory.date(entity)
            if set(members) != set(known):
                self._regroup(key, members)

    def _live_accounts(self, day: int, random: Random) -> None:
        directory, accounts = self._directory, self._directory.accounts
        some = self._some(accounts, random, accounts.present)
        crowd = max(1, len(accounts.present) // 1000)
        # Nobody deletes accounts of people who are there.
        left = (key for key in some if isinstance(subject_of(accounts[key]), Alumnus))
        opened = list(islice(settled(accounts, self._closed), 1 if day % 3 == 2 else 0))
        for key in islice(left, crowd):
            self._close(accounts[key])
            self._closed.append(key)
        for key in opened:
            self._open(accounts[key])
            self._closed.remove(key)
        if day % WEEK == 0:
            self._remove("accounts", islice(left, crowd))
        for key in islice(some, crowd):
            self._change(accounts, key, {"extensionAttribute6": f"day {day}"})
        now = directory.time.now()
        for key in islice(some, crowd):
            moment = iso_date(now - timedelta(hours=2))
            self._change(accounts, key, {"lastLogonTimestamp": moment, "pwdLastSet": moment})
        # A login is known to one controller, and does not change the date of the object.
        for key in islice(some, 5 * crowd):
            self._log_in(accounts, key, directory.records.account(accounts[key]))

    def _live_groups(self, day: int, random: Random) -> None:
        directory, groups = self._directory, self._directory.groups
        own = directory.own_groups
        some = self._some(groups, random, own[1:])
        crowd = max(1, len(own) // 500)
        people = [person for person in directory.truth.people if guid_of(person) in directory.accounts.present]
        for key in islice(some, crowd):
            fresh = [guid_of(person) for person in random.sample(people, min(3, len(people)))]
            known = directory.membership.targets(key)
            self._regroup(key, [*known, *(member for member in fresh if member not in known)][: len(known) + 1])
        for key in islice((key for key in some if directory.membership.targets(key)), crowd):
            self._regroup(key, directory.membership.targets(key)[1:])
        for key in islice(some, 1):
            groups.moving(key)
            group: Group = subject_of(groups[key])
            group.name = directory.new_name(f"{group.name.partition(' of ')[0]} of {day}", group.number)
            directory.date(groups[key])
        for key in islice(some, 1):
            groups.moving(key)
            subject_of(groups[key]).place = subject_of(groups[random.choice(self._present(groups, own))]).place
            directory.date(groups[key])
        for key in islice(some, 1):
            groups.changing(key)
            directory.set_manager(key, guid_of(random.choice(people)))
            directory.date(groups[key])
        for key in islice(some, 1):
            self._change(groups, key, {"info": f"Looked at on day {day}."})
        self._remove("groups", islice(some, 1))
        staff = directory.staff()
        for _ in range(2):
            directory.new_group(random, staff)
        # Not on every day that brings groups does MCommunity bring one that is mirrored.
        mirrored = {subject_of(group).mirrors for group in (*groups.present.values(), *groups.gone.values())}
        fresh_groups = [group for group in directory.truth.groups if group not in mirrored]
        for mail_group in fresh_groups[-1:] if day % 2 == 0 else ():
            directory.mirror(mail_group)

    def _live_units(self, day: int, random: Random) -> None:
        directory, units = self._directory, self._directory.units
        labs = [key for key, unit in units.present.items() if subject_of(unit).lab]
        some = self._some(units, random, labs)
        for key in islice(some, 1):
            units.moving(key)
            unit: OrganizationalUnit = subject_of(units[key])
            unit.name = f"{directory.lab_name(random, unit.above)}-{day}"
            directory.date(units[key])
        for key in islice(some, 1):
            units.moving(key)
            unit = subject_of(units[key])
            homes = [other for other in directory.departments() if other != unit.above]
            siblings = {subject_of(other).name.lower() for other in units.present.values()} - {unit.name.lower()}
            unit.above = random.choice(homes)
            if unit.name.lower() in siblings:
                unit.name = f"{unit.name}-{unit.number}"
            directory.date(units[key])
        for key in islice(some, 1):
            units.changing(key)
            directory.set_manager(key, guid_of(random.choice(directory.truth.people)))
            directory.date(units[key])
        for key in islice(some, 1):
            self._change(units, key, {"gPOptions": day % 2, "description": [f"Cleaned on day {day}"]})
        for key in islice((key for key in some if self._has_no_units(key)), 1):
            # Whoever removes a unit has moved away what was in it.
            for table, computer in directory.below(key):
                table.moving(computer)
                subject_of(table.known(computer)).unit = subject_of(units[key]).above
                directory.date(table.known(computer))
            self._remove("units", [key])
        for _ in range(2):
            directory.new_lab(random)

    def _live_computers(self, day: int, random: Random) -> None:
        directory, computers = self._directory, self._directory.computers
        now, homes = directory.time.now(), directory.homes()
        some = self._some(computers, random, computers.present)
        crowd = max(1, len(computers.present) // 500)
        for key in islice(some, crowd):
            computers.moving(key)
            computer = subject_of(computers[key])
            computer.unit = random.choice([home for home in homes[""] if home != computer.unit])
            directory.date(computers[key])
        for key in islice(some, crowd):
            known = computers[key].get("userAccountControl", WORKING)
            self._change(computers, key, {"userAccountControl": SWITCHED_OFF if known == WORKING else WORKING})
        for key in islice(some, 1):
            computers.changing(key)
            directory.set_manager(key, guid_of(random.choice(directory.truth.people)))
            directory.date(computers[key])
        for key in islice(some, crowd):
            self._change(computers, key, {"lastLogonTimestamp": iso_date(now - timedelta(hours=3))})
        # A machine changes its password by itself, every month (sources.md 21).
        for key in islice(some, max(1, round(0.03 * len(computers.present)))):
            kept = [name for name in (LEGACY_LAPS, LAPS) if name in directory.records.computer(computers[key])]
            expires = dict.fromkeys(kept, ticks(now.replace(microsecond=0) + timedelta(days=30)))
            self._change(computers, key, {"pwdLastSet": iso_date(now)} | expires)
        for key in islice(some, 2 * crowd):
            self._log_in(computers, key, directory.records.computer(computers[key]))
        self._remove("computers", islice(some, 1))
        pool = [device for device in directory.truth.devices if directory.is_new(device)]
        for _ in range(max(2, crowd)):
            device = random.choice(pool) if pool else None
            directory.new_computer(random, device, homes)
            pool = [other for other in pool if directory.is_new(other)]

    def _has_no_units(self, key: str) -> bool:
        return all(table is self._directory.computers for table, _ in self._directory.below(key))

    # Events

    def _some(self, table: Table, random: Random, keys: Iterable[str]) -> Iterator[str]:
        known = [key for key in keys if key in table.present]
        return settled(table, random.sample(known, min(DRAWN + len(known) // 20, len(known))))

    def _present(self, table: Table, keys: Iterable[str]) -> list[str]:
        return [key for key in keys if key in table.present]

    def _change(self, table: Table, key: str, fields: Payload) -> None:
        table.changing(key)
        table[key].update(fields)
        self._directory.date(table[key])

    def _log_in(self, table: Table, key: str, known: Payload) -> None:
        table.changing(key)
        table[key].update(lastLogon=iso_date(self._directory.time.now()), logonCount=known["logonCount"] + 1)

    def _regroup(self, key: str, members: list[str]) -> None:
        """Let a group have other members: its own date moves, that of nobody who comes or goes."""
        directory = self._directory
        directory.groups.changing(key)
        for table, member in directory.found({*members} ^ {*directory.membership.targets(key)}):
            table.changing(member)
        directory.membership.replace(key, members)
        directory.date(directory.groups[key])

    def _close(self, account: Payload) -> None:
        self._directory.accounts.moving(guid_of(subject_of(account)))
        disable(account)
        self._directory.date(account)

    def _open(self, account: Payload) -> None:
        self._directory.accounts.moving(guid_of(subject_of(account)))
        account.pop("dn", None)
        account["userAccountControl"] = ENABLED
        self._directory.date(account)

    def _remove(self, kind: str, keys: Iterable[str]) -> None:
        table: Table = getattr(self._directory, kind)
        for key in keys:
            table.remove(key)
            self._removed[kind].append(key)

    def _bring_back(self, kind: str, keys: list[str], random: Random) -> None:
        """Let one of what left return; it is written anew."""
        table: Table = getattr(self._directory, kind)
        gone = [key for key in keys if key in table.gone]
        for key in random.sample(gone, min(1, len(gone))):
            self._removed[kind].remove(key)
            table.bring_back(key)
            self._directory.date(table[key])


def disable(account: Payload) -> None:
    """Close an account: it keeps what it is, elsewhere."""
    account.update(userAccountControl=CLOSED, dn=f"CN={subject_of(account).uniqname},{DISABLED}")
