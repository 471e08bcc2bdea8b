"""Custom attributes of TDX records (sources.md 4.1.5, 10), with their long lists of choices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from random import Random

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import EPOCH, Payload, tdx_date
from lsats_dagster.demo.campus.truth import Person


@dataclass(frozen=True)
class Definition:
    """One attribute that records may carry. Every record with it repeats the whole list of choices."""

    identifier: int
    name: str
    field_type: str
    choices: list[Payload] = field(default_factory=list)

    def drawn(self, random: Random, people: Sequence[Person]) -> Payload:
        """The attribute with some value of its kind."""
        return self.filled(*self._value(random, people))

    def chosen(self, *places: int) -> Payload:
        """The attribute with the choices at these places of its list."""
        chosen = [self.choices[place % len(self.choices)] for place in places]
        return self.filled(",".join(str(c["ID"]) for c in chosen), ", ".join(c["Name"] for c in chosen))

    def filled(self, value: str, text: str) -> Payload:
        """The attribute with this value."""
        return {
            "ID": self.identifier,
            "Name": self.name,
            "Order": self.identifier % 100,
            "Description": None,
            "SectionID": 0,
            "SectionName": None,
            "FieldType": self.field_type,
            "DataType": "String",
            "Choices": self.choices,
            "IsRequired": False,
            "IsUpdatable": True,
            "Value": value,
            "ValueText": text,
            "ChoicesText": text if self.choices else "",
            "AssociatedItemIDs": [],
        }

    def _value(self, random: Random, people: Sequence[Person]) -> tuple[str, str]:
        if self.choices:
            several = 1 if self.field_type == "dropdown" else random.randint(1, 4)
            chosen = random.sample(self.choices, several)
            return ",".join(str(c["ID"]) for c in chosen), ", ".join(c["Name"] for c in chosen)
        if self.field_type == "personpicker":
            person = random.choice(people)
            return person.uid, person.name
        if self.field_type == "datefield":
            day = tdx_date(EPOCH - timedelta(days=random.randint(1, 900)))
            return day, day
        shortcode = f"{random.randint(0, 99_999):06d}"
        return shortcode, shortcode


def _choices(first_id: int, names: Iterable[str]) -> list[Payload]:
    return [new_choice(first_id + order, name, order) for order, name in enumerate(names, start=1)]


def new_choice(identifier: int, name: str, order: int) -> Payload:
    """One entry of a list of choices."""
    made = tdx_date(EPOCH - timedelta(days=1500))
    return {
        "ID": identifier,
        "Name": name,
        "IsActive": True,
        "DateCreated": made,
        "DateModified": made,
        "Order": order,
    }


def account_definitions() -> list[Definition]:
    """Those of accounts. A fresh set of definitions: a campus day may add to their choices."""
    return [
        Definition(9001, "Support Region", "dropdown", _choices(7000, words.REGIONS)),
        Definition(9002, "Services Used", "multiselect", _choices(7100, words.SERVICES)),
        Definition(9003, "Opening Hours", "checkboxlist", _choices(7200, words.HOURS)),
        Definition(9004, "Department Shortcode", "textbox"),
        Definition(9005, "Technical Contact", "personpicker"),
        Definition(9006, "Review Date", "datefield"),
    ]


def without_choices(attribute: object) -> object:
    """The attribute as a hub should compare it: the list of choices says nothing about the account."""
    if not isinstance(attribute, dict):
        return attribute
    return {name: value for name, value in attribute.items() if name != "Choices"}


def user_definitions() -> list[Definition]:
    """Those of users."""
    return [
        Definition(9101, "Institutional Role", "dropdown", _choices(7600, ("Builder", "Keeper", "Reader", "Walker"))),
        Definition(9102, "On Call Phone", "textbox"),
        Definition(9103, "Deputy", "personpicker"),
    ]


@dataclass(frozen=True)
class AssetDefinitions:
    """Those of assets, by what they hold."""

    cards: Definition = field(default_factory=lambda: Definition(3380, "MAC Address(es)", "textbox"))
    addresses: Definition = field(default_factory=lambda: Definition(3381, "Reserved IP Address(es)", "textbox"))
    system: Definition = field(
        default_factory=lambda: Definition(3390, "Operating System", "dropdown", _choices(250, words.SYSTEMS))
    )
    function: Definition = field(
        default_factory=lambda: Definition(3391, "Function", "dropdown", _choices(3300, words.FUNCTIONS))
    )
    support: Definition = field(
        default_factory=lambda: Definition(3392, "Support Group(s)", "multiselect", _choices(2300, words.REGIONS))
    )
    financial_owner: Definition = field(
        default_factory=lambda: Definition(10896, "Financial Owner/Responsible", "personpicker")
    )
    inventoried: Definition = field(default_factory=lambda: Definition(3394, "Last Inventoried Date", "datefield"))
    shortcode: Definition = field(default_factory=lambda: Definition(3513, "Purchase Shortcode", "textbox"))
    memory: Definition = field(default_factory=lambda: Definition(3396, "Memory", "textbox"))
    storage: Definition = field(default_factory=lambda: Definition(3397, "Storage", "textbox"))
    processor: Definition = field(default_factory=lambda: Definition(3398, "Processor(s)", "textbox"))

    def all(self) -> list[Definition]:
        """Every one."""
        return [getattr(self, each.name) for each in fields(self)]
