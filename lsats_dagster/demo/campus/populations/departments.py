"""Departments as TDX accounts and as rows of the gateway, both made from one hidden truth, and their days."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from random import Random
from typing import Any

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import (
    EPOCH,
    NO_DATE,
    NO_DATE_ZULU,
    NO_GUID,
    Behaviour,
    CampusTime,
    Payload,
    Stream,
    Table,
    tdx_date,
    touch_nothing,
)
from lsats_dagster.demo.campus.populations.attributes import account_definitions, new_choice, without_choices
from lsats_dagster.demo.campus.sizes import Volume
from lsats_dagster.demo.campus.truth import Truth, Unit

# So many people share the offices of manager and contact.
OFFICERS = 30
# Of any campus: a code with leading zeros, which a number would lose; and a unit that the sources name differently for ever.
ZEROS, DISPUTED = "004100", "168170"


class Departments:
    """The department streams of both systems."""

    def __init__(self, origin: str, volume: Volume, truth: Truth, time: CampusTime, behaviour: Behaviour) -> None:
        self._origin = f"{origin}/departments"
        self._truth = truth
        self._time = time
        self._behaviour = behaviour
        self._definitions = account_definitions()
        self.accounts = Table()
        self.departments = Table()
        self._units = truth.units
        self._closed: list[Unit] = []
        self._last_id = 2000
        self._added = 0
        self._codes: set[str] = set()
        random = Random(self._origin)
        self._names = words.Names(random)
        self._people = truth.people[:OFFICERS]
        self._colleges: list[str] = []
        self._populate(random, volume)

    def streams(self) -> list[Stream]:
        """The three streams that a hub reads."""
        return [
            Stream(
                "tdx/department",
                self.accounts,
                self.list_form,
                _compared_account,
                self._touch,
                partial(self._newcomer, account=True),
            ),
            Stream(
                "tdx/department_detail",
                self.accounts,
                dict,
                _compared_detail,
                self._touch,
                partial(self._newcomer, account=True),
            ),
            Stream(
                "umich_api/department",
                self.departments,
                dict,
                dict,
                touch_nothing,
                partial(self._newcomer, account=False),
            ),
        ]

    def list_form(self, account: Payload) -> Payload:
        """The account as list and search show it."""
        return account | self._behaviour.without(("Attributes",))

    def shows(self, subject: Any) -> Iterator[tuple[Table, str]]:
        """The records of a unit."""
        if isinstance(subject, Unit):
            for table, key in ((self.accounts, subject.account), (self.departments, subject.department)):
                if key is not None:
                    yield table, key

    def account_name(self, key: str) -> str:
        """The name of an account, also of one that was deleted."""
        account = self.accounts.present.get(key) or self.accounts.gone[key]
        return str(account["Name"])

    def unit_of(self, table: Table, key: str) -> Unit | None:
        """Whose record this is of one of the two tables; None where it is no unit's, as colleges are none."""
        if table is self.departments:
            return next((unit for unit in self._units if unit.department == key), None)
        return next((unit for unit in self._units if key in (unit.account, unit.replaced)), None)

    def live(self) -> None:
        """One day. No unit meets more than one event, so that each event can be seen in the day's changes."""
        day = self._time.day
        random = Random(f"{self._origin}/day/{day}")
        settled = [unit for unit in self._units if self._is_settled(unit) and unit.code != DISPUTED]
        parents = [account["ParentID"] for account in self.accounts.present.values()]
        heads = [unit for unit in settled if self._account(unit)["ID"] in parents]
        leaves = [unit for unit in settled if self._account(unit)["ID"] not in parents]
        some = iter(random.sample(leaves, len(leaves)))
        closed_before = list(self._closed)

        for unit in islice(some, 1):
            self._rename(unit)
        for unit in islice(some, 1):
            self._move(unit, random)
        for unit in islice(some, 1):
            person = random.choice([p for p in self._people if p.uid != self._account(unit)["ManagerUID"]])
            self._change(unit, {"ManagerUID": person.uid, "ManagerFullName": person.name})
        for unit in islice(some, 1):
            self._change(unit, {"IsActive": not self._account(unit)["IsActive"]})
        for unit in islice(some, 2):
            self._change_attributes(unit, random)
        for unit in islice(some, 3):
            self._change(unit, {})
        for unit in islice(some, 1):
            self._close(unit)
        if day % 4 == 0 and heads:
            self._rename(random.choice(heads))
        if day % 3 == 0 and closed_before:
            self._reopen(random.choice(closed_before))
        if day % 2 == 0:
            choices = self._definitions[0].choices
            choices.append(new_choice(7500 + day, f"Desk of day {day}", len(choices) + 1))
        self._found(random, account=True, department=True)
        self._found(random, account=True)
        self._found(random, department=True)

    # Making

    def _populate(self, random: Random, volume: Volume) -> None:
        root = self._add_account(random, "Example University", "", parent=None)
        for number, (_, name) in enumerate(words.COLLEGES):
            code = f"COLLEGE-{number:02d}" if number % 4 == 0 else ""
            self._colleges.append(self._add_account(random, name, code, parent=root))
        for _ in range(volume.codeless):
            key = self._add_account(random, self._names.draw(), "", parent=None)
            self.accounts[key].update(Code=random.choice(["", " "]), ParentID=0, ParentName="")
        for _ in range(volume.both):
            self._found(random, account=True, department=True)
        for _ in range(volume.tdx_only):
            self._found(random, account=True)
        for _ in range(volume.gateway_only):
            self._found(random, department=True)
        # Rarities are dealt out, not left to chance, so that every campus has them.
        disputed = next(unit for unit in self._units if unit.code == DISPUTED)
        self.departments[DISPUTED]["DeptDescription"] = disputed.name.upper() + " (HR)"
        picked = random.sample([unit for unit in self._units if unit.account and unit is not disputed], 7)
        for unit in picked[:2]:
            duplicate = self._add_account(random, self._names.draw(), unit.code, parent=root)
            self.accounts[duplicate].update(IsActive=False, Notes=" replaced ")
            unit.replaced = duplicate
        for unit in picked[2:]:
            self._account(unit)["IsActive"] = False
        for account in self.accounts.present.values():
            changed = EPOCH - timedelta(days=random.randint(1, 300), seconds=random.randrange(86_400))
            account["ModifiedDate"] = tdx_date(changed, random.randrange(3))
        for key in random.sample(sorted(self.accounts.present), 4):
            self.accounts[key].update(ModifiedDate=random.choice([NO_DATE, NO_DATE_ZULU]), CreatedDate=NO_DATE)
        rows = random.sample(sorted(self.departments.present), 6)
        rare: list[Payload] = [
            {"DeptGroupVPAreaDescr": " "},
            {"DeptGroupVPArea": ""},
            {"DeptGroupCampusDescr": " "},
            {"DeptGroup": ""},
            {"DeptGroupDescription": None},
        ]
        for row, fields in zip(rows, rare, strict=False):
            self.departments[row].update(fields)
        self.departments[rows[5]]["DeptDescription"] += "  "

    def _found(self, random: Random, *, account: bool = False, department: bool = False) -> Unit:
        """Open a unit in one system or in both; a fifth of the accounts lie beneath another unit."""
        unit = Unit(self._new_code(random), self._names.draw(), random.randrange(len(words.COLLEGES)))
        if account:
            parent = self._colleges[unit.college]
            heads = [u.account for u in self._units if u.college == unit.college and self._is_settled(u)]
            if heads and random.random() < 0.2:
                parent = random.choice(heads) or parent
            unit.account = self._add_account(random, unit.name, unit.code, parent=parent)
        if department:
            unit.department = unit.code
            self.departments[unit.code] = {
                "DeptId": unit.code,
                "DeptDescription": _gateway_name(random, unit.name),
                **_college_fields(unit.college),
            }
        self._units.append(unit)
        return unit

    def _newcomer(self, *, account: bool) -> str:
        self._added += 1
        unit = self._found(Random(f"{self._origin}/added/{self._added}"), account=account, department=not account)
        return unit.account if account and unit.account else unit.code

    def _new_code(self, random: Random) -> str:
        # Every code is six digits of text.
        code = next((fixed for fixed in (ZEROS, DISPUTED) if fixed not in self._codes), ZEROS)
        while code in self._codes:
            code = f"{random.randrange(100_000, 1_000_000, 10):06d}"
        self._codes.add(code)
        return code

    def _add_account(self, random: Random, name: str, code: str, *, parent: str | None) -> str:
        self._last_id += random.randint(1, 9)
        above = self.accounts.present.get(parent or "")
        person = random.choice(self._people) if random.random() < 0.7 else None
        address = f"{random.randint(1, 99)} {random.choice(words.STREETS)}" if random.random() < 0.6 else ""
        created = EPOCH + timedelta(days=self._time.day - random.randint(1, 2000), seconds=random.randrange(86_400))
        carried = random.sample(self._definitions, random.randint(2, 5)) if random.random() < 0.8 else []
        self.accounts[str(self._last_id)] = {
            "ID": self._last_id,
            "Name": name,
            "ParentID": above["ID"] if above else None,
            "ParentName": above["Name"] if above else None,
            "IsActive": True,
            "Address1": address,
            "Address2": "Room 7" if address and random.random() < 0.3 else "",
            "Address3": "",
            "Address4": "",
            "City": "Inkwell" if address else "",
            "StateName": "Michigan" if address else "",
            "StateAbbr": "MI" if address else "",
            "PostalCode": "00001" if address else "",
            "Country": "US" if address else "",
            "Phone": f"555555{random.randint(100, 199):04d}" if random.random() < 0.5 else "",
            "Fax": "",
            "Url": f"https://campus.example/{self._last_id}" if random.random() < 0.3 else "",
            "Domain": "",
            "Notes": random.choice(
                ["", "", "", " ", f" moved into {name} ", "Caf\u00e9 \u2192 2nd floor\r\nring twice"]
            ),
            "CreatedDate": tdx_date(created),
            "ModifiedDate": self._time.stamp(),
            "Code": code,
            "IndustryID": 0,
            "IndustryName": "",
            "ManagerUID": person.uid if person else NO_GUID,
            "ManagerFullName": person.name if person else "",
            "Attributes": [definition.drawn(random, self._people) for definition in carried],
        }
        return str(self._last_id)

    # Events

    def _is_settled(self, unit: Unit) -> bool:
        return unit.account in self.accounts.present and unit.department in self.departments.present

    def _account(self, unit: Unit) -> Payload:
        return self.accounts[unit.account or ""]

    def _department(self, unit: Unit) -> Payload:
        return self.departments[unit.department or ""]

    def _touch(self, account: Payload) -> None:
        account["ModifiedDate"] = self._time.stamp()

    def _change(self, unit: Unit, fields: Payload) -> None:
        self._truth.changing(unit)
        self._account(unit).update(fields)
        self._touch(self._account(unit))

    def _rename(self, unit: Unit) -> None:
        self._truth.changing(unit)
        unit.name = self._names.draw()
        self._change(unit, {"Name": unit.name})
        self._department(unit)["DeptDescription"] = unit.name
        # The parent's name comes from a join at the source: it changes while the children's dates stay.
        for key, account in self.accounts.present.items():
            if account["ParentID"] == self._account(unit)["ID"]:
                self.accounts.changing(key)
                account["ParentName"] = unit.name

    def _move(self, unit: Unit, random: Random) -> None:
        colleges = [n for n, key in enumerate(self._colleges) if n != unit.college and key in self.accounts.present]
        if not colleges:
            return
        unit.college = random.choice(colleges)
        above = self.accounts[self._colleges[unit.college]]
        self._change(unit, {"ParentID": above["ID"], "ParentName": above["Name"]})
        self._department(unit).update(_college_fields(unit.college))

    def _change_attributes(self, unit: Unit, random: Random) -> None:
        account = self._account(unit)
        carried = account["Attributes"] if isinstance(account["Attributes"], list) else []
        definition = self._definitions[3]
        shortcode = f"9{self._time.day:05d}"
        changed = definition.filled(shortcode, shortcode)
        others = [a for a in carried if isinstance(a, dict) and a.get("ID") != definition.identifier]
        self._change(unit, {"Attributes": [*others, changed]})

    def _close(self, unit: Unit) -> None:
        self.accounts.remove(unit.account or "")
        self.departments.remove(unit.department or "")
        self._closed.append(unit)

    def _reopen(self, unit: Unit) -> None:
        self._closed.remove(unit)
        for table, key in ((self.accounts, unit.account), (self.departments, unit.department)):
            if key in table.gone:
                table.bring_back(key)


def _compared_account(shown: Payload) -> Payload:
    return {name: value for name, value in shown.items() if name not in ("ModifiedDate", "Attributes")}


def _compared_detail(shown: Payload) -> Payload:
    attributes = shown["Attributes"]
    if isinstance(attributes, list):
        attributes = [without_choices(attribute) for attribute in attributes]
    return {name: value for name, value in shown.items() if name != "ModifiedDate"} | {"Attributes": attributes}


def _college_fields(college: int) -> Payload:
    group, description = words.COLLEGES[college]
    area, area_description = words.AREAS[college % len(words.AREAS)]
    site, site_description = words.SITES[college % len(words.SITES)]
    return {
        "DeptGroup": group,
        "DeptGroupDescription": description,
        "DeptGroupVPArea": area,
        "DeptGroupVPAreaDescr": area_description,
        "DeptGroupCampus": site,
        "DeptGroupCampusDescr": site_description,
    }


def _gateway_name(random: Random, name: str) -> str:
    """The gateway spells three names in ten in its own way."""
    spellings = [name] * 7 + [name.upper(), f"Dept of {name}", name[:18].rstrip()]
    return random.choice(spellings)
