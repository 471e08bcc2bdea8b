"""Exports that people make by hand and drop into a folder: awards and the inventory of KeyConfigure.

A stream of exports shows the newest file that was dropped, not the truth of the moment: what changes after the drop is seen
with the next one. What the side door changes in a stream is dropped at once, as a file of the stream as it is then.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import EPOCH, CampusTime, Payload, Stream, Table, touch_nothing
from lsats_dagster.demo.campus.truth import Award, Device, Person, Truth, Unit

AWARDS, COMPUTERS = "lab_awards", "keyconfigure_computers"
ROLES = ("UM Principal Investigator", "UM Co-Investigator", "UM Key Personnel")
# Rows of awards for each person, and computers in the inventory for each computer (sources.md 21).
AWARDS_PER_PERSON = 0.01
LEAST_AWARDS = 12
INVENTORIED = 0.36
REFERENCE = "Direct Sponsor Award Reference Number\n(Current Budget Period)"
# Columns that are other at every export; the rest says which machine it is.
USAGE = (
    "Free", "% Used", "% Free", "Last Addr", "Last User", "Login", "Last Session", "Last Startup", "Base Audit", "Last Audit",
)  # fmt: skip
# An inventory is made every second day, a list of awards once a week.
DAYS = {COMPUTERS: 2, AWARDS: 7}

Cell = str | int | float | datetime | None
Row = dict[str, Cell]


class Exports:
    """The streams of exports, and the rows that an export of each kind would have now."""

    def __init__(self, origin: str, truth: Truth, time: CampusTime) -> None:
        self._origin = f"{origin}/exports"
        self._truth = truth
        self._time = time
        self.tables = {AWARDS: Table(), COMPUTERS: Table()}
        # The rows of the newest export of each kind, and of the one before it, as they stand in the file.
        self.newest: dict[str, list[Row]] = {AWARDS: [], COMPUTERS: []}
        self.former: dict[str, list[Row]] = {AWARDS: [], COMPUTERS: []}
        self._dropped = 0
        random = Random(self._origin)
        for _ in range(max(LEAST_AWARDS, round(len(truth.people) * AWARDS_PER_PERSON / 2))):
            self._grant(random)
        computers = [device for device in truth.devices if device.kind == "computer" and device.cards]
        self._inventory = random.sample(computers, max(3, round(len(computers) * INVENTORIED)))
        self._spoil(random)
        for kind in DAYS:
            self.make(kind)

    def streams(self) -> list[Stream]:
        """Awards; computers as they are; computers as they are used."""
        awards, computers = self.tables[AWARDS], self.tables[COMPUTERS]
        return [
            Stream("lab_awards/lab_award", awards, dict, dict, touch_nothing, self._new_award),
            Stream("key_client/computer", computers, dict, _machine, touch_nothing, self._new_computer),
            Stream("key_client/computer_usage", computers, dict, _usage, touch_nothing, self._new_computer),
        ]

    def kind_of(self, table: Table) -> str | None:
        """The kind of export that shows this table."""
        return next((kind for kind, shown in self.tables.items() if shown is table), None)

    def columns(self, kind: str) -> list[str]:
        """The header of an export."""
        return list(self.newest[kind][0])

    def row_of(self, kind: str, texts: Payload) -> Row:
        """A record as it stands in an export."""
        columns = {_heading(column): column for column in self.columns(kind)}
        return {columns.get(name, name): cell for name, cell in texts.items()}

    def shown(self, kind: str) -> list[Row]:
        """The rows of an export of the stream as it is now, and of the newest one what is no record; in a new order each time."""
        table = self.tables[kind]
        rows = [self.row_of(kind, table[key] | other) for key, other in table.ordered()]
        kept = _by_key(kind, self.newest[kind])
        for row in self.newest[kind]:
            texts = _texts(row)
            key = _key(kind, texts)
            if not key or (key in table.present and texts != kept[key]):
                rows.append(row)
        self._dropped += 1
        Random(f"{self._origin}/dropped/{self._dropped}").shuffle(rows)
        return rows

    def shows(self, subject: Any) -> Iterator[tuple[Table, str]]:
        """Nothing: an export is of its day."""
        return iter(())

    def live(self) -> None:
        """One day: people change what exports are made from, and make those that are due."""
        day = self._time.day
        random = Random(f"{self._origin}/day/{day}")
        if day % DAYS[AWARDS] == 0:
            self._truth.awards.remove(random.choice(self._truth.awards[1:]))
            self._grant(random)
            self._truth.awards[0].dollars += 1000
        for kind, every in DAYS.items():
            if day % every == 0:
                self.make(kind)

    def make(self, kind: str) -> None:
        """Make an export of the truth as it is now: the newest one from here on."""
        rows = list(self._award_rows() if kind == AWARDS else self._computer_rows())
        self.former[kind], self.newest[kind] = self.newest[kind], rows
        table, kept = self.tables[kind], _by_key(kind, rows)
        for key in table.present.keys() - kept.keys():
            table.remove(key)
        for key, row in kept.items():
            if key in table.gone:
                table.bring_back(key)
            if table.present.get(key) != row:
                table[key] = row

    # Making

    def _grant(self, random: Random) -> Award:
        truth = self._truth
        number = (truth.awards[-1].number if truth.awards else 29_000) + random.randint(1, 9)
        award = Award(
            number,
            f"{random.choice(words.SUBJECTS)} of {random.choice(words.FIELDS)}",
            random.randrange(len(words.SPONSORS)),
            random.randrange(20_000, 3_000_000),
            random.randrange(200, 1500),
            random.randint(1, 5),
        )
        staff = [person for person in truth.people if person.appointments]
        for place, person in enumerate(random.sample(staff, random.randint(1, 3))):
            award.parts.append((person.number, ROLES[min(place, 2)], person.appointments[0].unit))
        truth.awards.append(award)
        return award

    def _spoil(self, random: Random) -> None:
        """One person with two roles, one in two departments, one without uniqname, one without department."""
        several = self._truth.awards[:4]
        for award, name in zip(several, ("two roles", "two departments"), strict=False):
            person, role, unit = award.parts[0]
            other = random.choice([u for u in self._truth.units if u is not unit and u.department])
            award.parts.append((person, ROLES[2], unit) if name == "two roles" else (person, role, other))

    def _new_award(self) -> str:
        award = self._grant(Random(f"{self._origin}/added/{len(self._truth.awards)}"))
        del award.parts[1:]
        person, role, unit = award.parts[0]
        return self._added(AWARDS, _award_row(award, self._truth.people[person], role, unit))

    def _new_computer(self) -> str:
        known = {card for device in self._inventory for card in device.cards}
        device = next(
            d for d in self._truth.devices if d.kind == "computer" and len(d.cards) == 1 and d.cards[0] not in known
        )
        self._inventory.append(device)
        return self._added(COMPUTERS, self._computer_row(device, device.cards[0], self._time.day, 0))

    def _added(self, kind: str, row: Row) -> str:
        texts = _texts(row)
        key = _key(kind, texts)
        self.tables[kind][key] = texts
        return key

    # Rows

    def _award_rows(self) -> Iterator[Row]:
        for place, award in enumerate(self._truth.awards):
            for person, role, unit in award.parts:
                yield _award_row(award, self._truth.people[person], role, unit)
            if place < 2:
                # Nobody is named, or no department: such a row says nothing of a person on an award.
                person, role, unit = award.parts[0]
                row = _award_row(award, self._truth.people[person], "Unnamed", unit)
                yield row | {("Person Uniqname", "Person Appt Department Id")[place]: ""}

    def _computer_rows(self) -> Iterator[Row]:
        day = self._time.day
        for place, device in enumerate(self._inventory):
            for number, card in enumerate(device.cards):
                row = self._computer_row(device, card, day, number)
                if place == 1 and number == 0:
                    # The same card, as it was in an earlier session.
                    yield row | {"Name": f"OLD-{device.name}", "Last Session": EPOCH - timedelta(days=400)}
                yield row
            if place == 0:
                yield self._computer_row(device, "", day, 9)

    def _computer_row(self, device: Device, card: str, day: int, number: int) -> Row:
        owner = None if device.owner is None else self._truth.people[device.owner]
        seen = EPOCH + timedelta(days=day - device.number % 3, hours=device.number % 9, minutes=number)
        system = words.SYSTEMS[device.system % len(words.SYSTEMS)]
        disk, free = 256.0 * (1 + device.number % 4), 20.5 + (device.number + day) % 200
        login = None if owner is None else f"EXAMPLE\\{owner.uniqname}" if device.number % 4 == 0 else owner.uniqname
        return {
            "idnt": 4000 + device.number,
            "agid": 12,
            "Name": device.directory_name if device.number % 2 else device.name,
            "MAC": card.upper(),
            "CPU": ("Example Core e7-12700", "Example M2")[device.number % 2],
            "Mhz": 2100 + device.number % 7 * 100,
            "#": 4 * (1 + device.number % 4),
            "Sockets": 1,
            "RAM": 8064 * (1 + device.number % 4),
            "Disk": disk - 0.3,
            "Free": free,
            "% Used": round(100 - free / disk * 100, 1),
            "% Free": round(free / disk * 100, 1),
            "OEM SN": device.serial or None,
            "OS Family": system.partition(" ")[0] if device.number % 2 else None,
            "OS": system if device.number % 3 else None,
            "OS vers": "10.0.22631",
            "OS SN": None,
            "OS Install Date": EPOCH - timedelta(days=300 + device.number % 100),
            "Last Addr": f"192.0.2.{(device.number + day) % 250}",
            "Last User": login,
            "Login": "console" if device.number % 2 else None,
            "Last Session": seen,
            "Last Startup": seen - timedelta(hours=8),
            "Base Audit": EPOCH - timedelta(days=500),
            "Last Audit": seen - timedelta(hours=1),
            "Client": "8.0.1.2",
            "Owner": device.unit.name if device.number % 8 < 5 else None,
        }


def as_text(cell: Cell) -> str:
    """A cell as whoever takes every cell for text reads it; nothing and an empty text are the same."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _by_key(kind: str, rows: list[Row]) -> dict[str, Payload]:
    """What a perfect read makes of the rows: texts, by key; of a card that comes twice the latest session."""
    kept: dict[str, Payload] = {}
    for texts in map(_texts, rows):
        key = _key(kind, texts)
        if key and not (key in kept and kind == COMPUTERS and _session(kept[key]) > _session(texts)):
            kept[key] = texts
    return kept


def _session(texts: Payload) -> tuple[str, list[tuple[str, Any]]]:
    """By what the latest of several rows is chosen; their order says nothing."""
    return texts["Last Session"], sorted(texts.items())


def _texts(row: Row) -> Payload:
    return {_heading(name): as_text(cell) for name, cell in row.items()}


def _heading(column: str) -> str:
    """A header as it is stored: without line feeds."""
    return " ".join(column.split())


def _key(kind: str, texts: Payload) -> str:
    """The key of a row; nothing where it is no record."""
    return _award_key(texts) if kind == AWARDS else str(texts["MAC"]).lower()


def _award_key(row: Payload) -> str:
    """Award, uniqname, department and role; nothing where one of the first three lacks (sources.md 19)."""
    parts = [row[name] for name in ("Award Id", "Person Uniqname", "Person Appt Department Id")]
    return "-".join([*parts, row["Person Role"]]) if all(parts) else ""


def _award_row(award: Award, person: Person, role: str, unit: Unit) -> Row:
    sponsor, category, subcategory = words.SPONSORS[award.sponsor]
    began = EPOCH - timedelta(days=award.began)
    ends = began + timedelta(days=365 * award.years)
    indirect = award.dollars * 35 // 100
    college = words.COLLEGES[unit.college][1]
    return {
        "Award Id": f"AWD{award.number:06d}",
        "Project/Grant": f"F{award.number + 20_000:06d}",
        "Award Title": award.title,
        "Person Role": role,
        "Person Last Name": person.last,
        "Person First Name": person.first,
        "Person Uniqname": person.uniqname,
        "Person Appt Department Id": unit.code,
        "Person Appt Department": unit.name,
        "Person Appt School/College": college,
        "Award Admin Department": unit.name,
        "Award Admin School/College": college,
        "Award Project Start Date": _day(began),
        "Award Project End Date": _day(ends) if award.number % 9 else "",
        "Pre NCE Project End Date": _day(ends - timedelta(days=365)) if award.number % 4 == 0 else "",
        "Award Direct Dollars": _money(award.dollars - indirect),
        "Award Indirect Dollars": _money(indirect),
        "Award Total Dollars": _money(award.dollars) if award.number % 11 else _money(-award.dollars),
        "Facilities & Admin Rate (%)": "56",
        "Direct Sponsor Name": sponsor,
        REFERENCE: f"EX-{award.number}",
        "Direct Sponsor Category": category,
        "Direct Sponsor Subcategory": subcategory,
        "Prime Sponsor Name": "",
        "Prime Sponsor Award Reference Number": "",
        "Prime Sponsor Category": "",
        "Prime Sponsor Subcategory": "",
        "Award Publish Date": _day(began + timedelta(days=20)),
        "Award Class": "Grant" if award.number % 3 else "Contract",
    }


def _day(moment: datetime) -> str:
    return f"{moment.month}/{moment.day}/{moment.year}"


def _money(dollars: int) -> str:
    return f"${dollars:,}" if dollars >= 0 else f"(${-dollars:,})"


def _machine(row: Payload) -> Payload:
    return {name: value for name, value in row.items() if name not in USAGE}


def _usage(row: Payload) -> Payload:
    return {name: row[name] for name in USAGE}
