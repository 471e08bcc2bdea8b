"""Assets of TDX: machines and other things of value, and what their days bring."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from random import Random
from typing import Any

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import EPOCH, Behaviour, CampusTime, Payload, Shown, Stream, Table, tdx_date
from lsats_dagster.demo.campus.populations.asset_records import STATUSES, AssetRecords, key_of
from lsats_dagster.demo.campus.populations.attributes import without_choices
from lsats_dagster.demo.campus.populations.departments import OFFICERS, Departments
from lsats_dagster.demo.campus.truth import JUNK_SERIALS, Device, Person, Truth, Unit

# Assets for each person: 41,208 for 103,136 (sources.md 21).
PER_PERSON = 0.4
VOLATILE = ("ModifiedDate", "ModifiedUid", "ModifiedFullName")
COLLECTIONS = ("Attributes", "Attachments")


class Assets:
    """The streams of assets. Each shows a device of the truth."""

    def __init__(
        self, origin: str, truth: Truth, departments: Departments, time: CampusTime, behaviour: Behaviour
    ) -> None:
        self._origin = f"{origin}/assets"
        self._truth = truth
        self._time = time
        self._behaviour = behaviour
        self.records = AssetRecords(truth, departments)
        self.assets = Table()
        self._deleted: list[str] = []
        self._added = 0
        random = Random(self._origin)
        self._owners = [person for person in truth.people if person.unit is not None]
        for _ in range(round(len(truth.people) * PER_PERSON)):
            self._acquire(random)
        self._spoil(random)

    def streams(self) -> list[Stream]:
        """Assets as searches show them, and one by one."""
        return [
            Stream("tdx/asset", self.assets, self.list_form, _compared_asset, self._touch, self._newcomer),
            Stream("tdx/asset_detail", self.assets, self.records.whole, _compared_detail, self._touch, self._newcomer),
        ]

    def shows(self, subject: Any) -> Iterator[tuple[Table, str]]:
        """The record of a device; those of all that a person owns, or that belong to a unit."""
        match subject:
            case Device():
                yield self.assets, key_of(subject)
                # A screen shows name and serial of the machine above it, which was bought just before.
                for device in self._truth.devices[subject.number + 1 : subject.number + 2]:
                    yield self.assets, key_of(device)
            case Person():
                for number in subject.devices:
                    yield self.assets, key_of(self._truth.devices[number])
            case Unit():
                for device in self._truth.devices:
                    if device.unit is subject:
                        yield self.assets, key_of(device)

    def list_form(self, asset: Payload) -> Payload:
        """The asset as searches show it: without its collections."""
        return self.records.plain(asset) | asset | self._behaviour.without(COLLECTIONS)

    def live(self) -> None:
        """One day. No asset meets more than one event."""
        day = self._time.day
        random = Random(f"{self._origin}/day/{day}")
        settled = [device for device in self._truth.devices if self._is_settled(device)]
        some = iter(random.sample(settled, len(settled)))
        crowd = max(1, len(settled) // 500)
        deleted_before = list(self._deleted)
        for device in islice(some, crowd):
            self._give(device, random.choice([p for p in self._owners if p.number != device.owner]))
        for device in islice(some, crowd):
            self._change(device)
            device.shortcode = f"{day:06d}"
        for device in islice(some, crowd):
            self._change(device, {"StatusID": random.choice(list(STATUSES)[1:])})
        for device in islice(some, 2):
            self._change(device)
        # One in a hundred a month each, at least one in a few days.
        machines = (device for device in some if device.kind == "computer")
        share = -(-len(settled) // 3000)
        for device in islice(machines, share if day % 2 else 0):
            self._change(device)
            device.name = f"{device.name.partition('-')[0]}-{day:03d}-{device.number}"
        for device in islice(machines, share if day % 2 == 0 else 0):
            self._change(device)
            device.system += 1
            device.directory_name = f"{device.directory_name[:11]}-{day:03d}"
        for device in islice(machines, 1 if day % 3 == 0 else 0):
            self._change(device)
            device.serial, device.cards = _serial(random), [_card(random)]
        for device in islice(some, 1):
            self._change(device)
            self.assets.remove(key_of(device))
            self._deleted.append(key_of(device))
        if day % 3 == 0:
            self._deleted.remove(back := random.choice(deleted_before))
            self.assets.bring_back(back)
        for _ in range(max(2, crowd)):
            self._acquire(random)

    # Making

    def _acquire(self, random: Random) -> Device:
        owner = random.choice(self._owners)
        unit = owner.unit
        assert unit is not None
        kind = random.choices(("computer", "monitor", "printer", "license", "virtual"), (50, 20, 10, 8, 12))[0]
        number = len(self._truth.devices)
        code = "".join(word[0] for word in unit.name.split())[:4].upper()
        name = (
            f"{code}-{owner.uniqname.upper()}-{number % 100:02d}" if kind == "computer" else f"{code}-{kind}-{number}"
        )
        physical = kind not in ("license", "virtual")
        device = Device(
            number=number,
            kind=kind,
            name=name,
            directory_name=name[:15],
            serial=_serial(random) if physical else "",
            cards=[_card(random)] if kind in ("computer", "virtual", "printer") else [],
            model=random.choice([place for place, (_, _, of) in enumerate(words.MODELS) if of == kind]),
            system=random.randrange(len(words.SYSTEMS)),
            unit=unit,
            owner=owner.number,
            building=owner.building,
            room=owner.room,
            shortcode=f"{random.randrange(10**6):06d}",
        )
        self._truth.devices.append(device)
        owner.devices.append(number)
        shown = Shown(device, {"ModifiedDate": self._modified(random)})
        if kind == "license":
            shown["Tag"] = None
        if random.random() < 0.15:
            shown["StatusID"] = random.choice(list(STATUSES)[1:])
        self.assets[key_of(device)] = shown
        return device

    def _modified(self, random: Random) -> str:
        if self._time.day:
            return self._time.stamp()
        passed = timedelta(days=random.randint(1, 300), seconds=random.randrange(86_400))
        return tdx_date(EPOCH - passed, random.randrange(3))

    def _newcomer(self) -> str:
        self._added += 1
        return key_of(self._acquire(Random(f"{self._origin}/added/{self._added}")))

    def _spoil(self, random: Random) -> None:
        def deal(name: str, among: Callable[[Device], bool]) -> list[Device]:
            pool = [device for device in self._truth.devices if among(device) and device.number not in dirty]
            dealt = self._truth.deal(random, name, pool, key_of)
            dirty.update(device.number for device in dealt)
            return dealt

        dirty: set[int] = set()
        computers = [device for device in self._truth.devices if device.kind == "computer"]
        for device in deal("asset without serial", lambda d: bool(d.serial)):
            device.serial = ""
        for device in deal("junk serial", lambda d: bool(d.serial)):
            device.serial = random.choice(JUNK_SERIALS)
        for device in deal("shared serial", lambda d: d.kind == "computer"):
            device.serial = random.choice([c for c in computers if c is not device and c.serial]).serial
        for device in deal("asset without MAC", lambda d: True):
            device.cards = []
        dock = _card(random)
        docked = deal("MAC of a dock", lambda d: d.kind == "computer")
        while len(docked) < 3:
            docked += deal("MAC of a dock", lambda d: d.kind == "computer")
        for device in docked:
            device.cards = [*device.cards, dock]
        for device in deal("several cards", lambda d: d.kind == "computer"):
            device.cards = [_card(random) for _ in range(random.randint(2, 4))]
        for device in deal("name unlike that in Active Directory", lambda d: d.kind == "computer"):
            device.directory_name = f"WIN-{_serial(random)}"[:15]
        for device in deal("duplicate name", lambda d: d.kind == "computer"):
            device.name = random.choice([c for c in computers if c is not device]).name
        for device in deal("owner who left", lambda d: True):
            gone = f"{random.getrandbits(128):032x}"
            uid = "-".join((gone[:8], gone[8:12], gone[12:16], gone[16:20], gone[20:]))
            self.assets[key_of(device)].update(OwningCustomerID=uid, OwningCustomerName="Somebody Who Left")
        for device in deal("asset without tag", lambda d: d.kind != "license"):
            self.assets[key_of(device)].update(Tag=random.choice(("", " ", None)))

    # Events

    def _is_settled(self, device: Device) -> bool:
        owner = None if device.owner is None else self._truth.people[device.owner]
        return key_of(device) in self.assets.present and owner is not None and owner.number >= OFFICERS

    def _touch(self, asset: Payload) -> None:
        asset["ModifiedDate"] = self._time.stamp()

    def _change(self, device: Device, fields: Payload | None = None) -> None:
        self._truth.changing(device)
        asset = self.assets[key_of(device)]
        asset.update(fields or {})
        self._touch(asset)

    def _give(self, device: Device, person: Person) -> None:
        self._change(device)
        if device.owner is not None:
            self._truth.people[device.owner].devices.remove(device.number)
        device.owner = person.number
        person.devices.append(device.number)


def _serial(random: Random) -> str:
    return "".join(random.choice("0123456789BCDFGHJKLMNPQRSTVWXYZ") for _ in range(10))


def _card(random: Random) -> str:
    """A MAC address in the one form of the truth: lower case, colons; the second digit says that nobody sold it."""
    digits = f"{random.choice('02468ace')}2{random.getrandbits(40):010x}"
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


def _compared_asset(shown: Payload) -> Payload:
    return {name: value for name, value in shown.items() if name not in VOLATILE and name not in COLLECTIONS}


def _compared_detail(shown: Payload) -> Payload:
    kept = {name: value for name, value in shown.items() if name not in VOLATILE}
    return kept | {"Attributes": [without_choices(attribute) for attribute in shown["Attributes"]]}
