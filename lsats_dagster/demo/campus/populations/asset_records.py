"""How TDX writes what it shows of assets, and the lists that its values come from."""

from datetime import timedelta
from zlib import crc32

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import EPOCH, NO_DATE, NO_GUID, Payload, mixed, subject_of, tdx_date
from lsats_dagster.demo.campus.populations.attributes import AssetDefinitions
from lsats_dagster.demo.campus.populations.departments import Departments
from lsats_dagster.demo.campus.truth import Device, Truth

APP_ID, APP_NAME = 48, "Example Assets/CIs"
FIRST_ID = 150_001
# The last one is new to whoever keeps a list of statuses.
STATUSES = {
    38: "Active", 39: "In Storage", 40: "On Loan", 41: "Disposed", 46: "In Repair", 59: "Ordered", 141: "Missing",
    201: "Spare", 202: "To Be Recycled", 305: "In Quarantine Shelf",
}  # fmt: skip
FORMS = {
    "computer": (2448, "Computer Form"),
    "monitor": (2450, "Monitor Form"),
    "printer": (2451, "Printer Form"),
    "license": (2452, "Software License Form"),
    "virtual": (2449, "Virtual Machine Form"),
}
MANUFACTURERS = tuple(dict.fromkeys(maker for maker, _, _ in words.MODELS))
SUPPLIERS = ("None", "Shop of Examples", "Borrowed Goods")


# Of a thousand machines, how many have the attribute (sources.md 10).
FILLED = {
    "addresses": 110, "system": 890, "function": 961, "support": 999, "financial_owner": 951, "inventoried": 971,
    "shortcode": 971, "memory": 688, "storage": 666, "processor": 658,
}  # fmt: skip


class AssetRecords:
    """Makes the records of assets from their devices."""

    def __init__(self, truth: Truth, departments: Departments) -> None:
        self._truth = truth
        self._departments = departments
        self.definitions = AssetDefinitions()

    def whole(self, asset: Payload) -> Payload:
        device: Device = subject_of(asset)
        found = self.plain(asset)
        found["Attributes"] = self._attributes(device)
        found["Attachments"] = [_attachment(device)] if mixed(device.number, 7) < 383 else []
        return found | asset

    def plain(self, asset: Payload) -> Payload:
        device: Device = subject_of(asset)
        number = device.number
        identifier = FIRST_ID + number
        form, form_name = FORMS[device.kind]
        maker, model, _ = words.MODELS[device.model]
        status = status_of(asset)
        supplier = mixed(number, 1) % len(SUPPLIERS)
        owner = None if device.owner is None else self._truth.people[device.owner]
        account = int(device.unit.account or 0)
        parent = number - 1 if device.kind == "monitor" and mixed(number, 2) < 80 else None
        above = None if parent is None else self._truth.devices[parent]
        officer = self._truth.people[mixed(number, 3) % 10]
        bought = EPOCH - timedelta(days=mixed(number, 4) * 2 + 30)
        return {
            "ID": identifier,
            "AppID": APP_ID,
            "AppName": APP_NAME,
            "FormID": form,
            "FormName": form_name,
            "ProductModelID": 0 if model == "None" else 5500 + device.model,
            "ProductModelName": model,
            "ManufacturerID": 0 if maker == "None" else 300 + MANUFACTURERS.index(maker),
            "ManufacturerName": maker,
            "SupplierID": 0 if supplier == 0 else 700 + supplier,
            "SupplierName": SUPPLIERS[supplier],
            "StatusID": status,
            "StatusName": STATUSES[status],
            "LocationID": 8800 + device.building if device.room else 0,
            "LocationName": words.BUILDINGS[device.building] if device.room else "None",
            "LocationRoomID": 51_000 + number % 900 if device.room else 0,
            "LocationRoomName": device.room or "None",
            "Tag": f"EX-{identifier}",
            "SerialNumber": device.serial,
            "Name": device.name,
            "PurchaseCost": 0 if device.kind == "license" else 199.5 + mixed(number, 5) * 12,
            "AcquisitionDate": tdx_date(bought),
            "ExpectedReplacementDate": tdx_date(bought + timedelta(days=1825)) if mixed(number, 6) < 700 else NO_DATE,
            "RequestingCustomerID": NO_GUID,
            "RequestingCustomerName": "None",
            "OwningCustomerID": owner.uid if owner else NO_GUID,
            "OwningCustomerName": owner.name if owner else "None",
            "RequestingDepartmentID": 0,
            "RequestingDepartmentName": "None",
            "OwningDepartmentID": account,
            "OwningDepartmentName": self._departments.account_name(str(account)) if account else "None",
            "ParentID": 0 if above is None else FIRST_ID + above.number,
            "ParentSerialNumber": None if above is None else above.serial,
            "ParentName": None if above is None else above.name,
            "ParentTag": None if above is None else f"EX-{FIRST_ID + above.number}",
            "MaintenanceScheduleID": 0,
            "MaintenanceScheduleName": "None",
            "ExternalSourceID": 0,
            "ExternalSourceName": "None",
            "ConfigurationItemID": 220_000 + number,
            "CreatedDate": tdx_date(bought + timedelta(days=3)),
            "CreatedUid": officer.uid,
            "CreatedFullName": officer.name,
            "ModifiedUid": officer.uid,
            "ModifiedFullName": officer.name,
            "ExternalID": f"host{number}.campus.example" if mixed(number, 8) < 7 else None,
            "Uri": f"api/{APP_ID}/assets/{identifier}",
        }

    def _attributes(self, device: Device) -> list[Payload]:
        def has(name: str) -> bool:
            return mixed(number, crc32(name.encode())) < FILLED[name]

        number, owner = device.number, device.owner
        known = self.definitions
        found = [known.support.chosen(number, *([number + 3] if number % 3 == 0 else []))] if has("support") else []
        if device.cards:
            text = _spelled(device.cards, number)
            found.append(known.cards.filled(text, text))
        if has("addresses"):
            found.append(known.addresses.filled(f"192.0.2.{number % 250}", f"192.0.2.{number % 250}"))
        if has("system") and device.kind in ("computer", "virtual"):
            found.append(known.system.chosen(device.system))
        if has("function"):
            found.append(known.function.chosen(number))
        if has("financial_owner") and owner is not None:
            found.append(known.financial_owner.filled(self._truth.people[owner].uid, self._truth.people[owner].name))
        if has("inventoried"):
            seen = EPOCH - timedelta(days=mixed(number, 9))
            day = f"{seen.month}/{seen.day}/{seen.year}" if number % 50 == 0 else tdx_date(seen)
            found.append(known.inventoried.filled(day, day))
        if has("shortcode"):
            found.append(known.shortcode.filled(device.shortcode, device.shortcode))
        for definition, text, name in (
            (known.memory, ("16 GB", "16GB", "32 GB DDR4")[number % 3], "memory"),
            (known.storage, ("512 GB SSD", "1TB", "256 GB + 2 TB")[number % 3], "storage"),
            (known.processor, ("Example Core e7-12700", "Example M2")[number % 2], "processor"),
        ):
            if has(name) and device.kind == "computer":
                found.append(definition.filled(text, text))
        return found


def key_of(device: Device) -> str:
    return str(FIRST_ID + device.number)


def status_of(asset: Payload) -> int:
    """The status of an asset, without making its record."""
    return int(asset.get("StatusID", min(STATUSES)))


def _spelled(cards: list[str], number: int) -> str:
    """MAC addresses as people type them into TDX."""
    written = [card.upper() if number % 2 else card for card in cards]
    if number % 3 == 1:
        written = [card.replace(":", "-") for card in written]
    elif number % 5 == 2:
        written = [card.replace(":", "") for card in written]
    return (", ", ";", ",")[number % 3].join(written)


def _attachment(device: Device) -> Payload:
    return {
        "ID": f"a77ac4ed-0000-4000-8000-{device.number:012d}",
        "AttachmentType": 27,
        "ItemID": FIRST_ID + device.number,
        "CreatedUid": NO_GUID,
        "CreatedFullName": "",
        "CreatedDate": tdx_date(EPOCH - timedelta(days=20)),
        "Name": "receipt.pdf",
        "Size": 10_240 + device.number,
        "IsPrivate": False,
        "Uri": f"api/attachments/{device.number}",
        "ContentUri": f"api/attachments/{device.number}/content",
    }
