"""Custom attributes of TDX accounts (sources.md 4.1.5), with their long lists of choices."""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import EPOCH, Payload, tdx_date


@dataclass(frozen=True)
class Person:
    """Somebody who can manage a department: a TDX person guid and an invented name."""

    uid: str
    name: str


@dataclass(frozen=True)
class Definition:
    """One attribute that accounts may carry. Every record with it repeats the whole list of choices."""

    identifier: int
    name: str
    field_type: str
    choices: list[Payload] = field(default_factory=list)

    def filled(self, random: Random, people: list[Person]) -> Payload:
        """The attribute with a value of its kind."""
        value, text = self._value(random, people)
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

    def _value(self, random: Random, people: list[Person]) -> tuple[str, str]:
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


def _choices(first_id: int, names: tuple[str, ...]) -> list[Payload]:
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


def definitions() -> list[Definition]:
    """A fresh set of definitions: a campus day may add to their choices."""
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
