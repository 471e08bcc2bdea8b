"""Bad records as raw texts, made from a good record of any stream, and what must become of each.

They are JSON: of records that come as JSON the text itself, of a directory the raw values of an entry by attribute.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    content_field,
    key_field,
    keys,
)

# No reason, message or log line may quote a record; only meta.quarantine.payload may.
QUOTED = "quoted-record-content"


@dataclass(frozen=True)
class Good:
    """A good record of a stream, from which bad ones are made: its payload, and the names of its key and one text."""

    payload: dict[str, Any]
    key: str
    key_field: str
    content_field: str

    def text(self, **fields: Any) -> str:
        return json.dumps({**self.payload, self.content_field: QUOTED} | fields)

    def keyed(self, value: Any) -> str:
        return self.text(**{self.key_field: value})

    def entry(self, **values: Any) -> str:
        """The record as an entry of a directory, with these values of some attributes; None leaves one out."""
        entry = {name: raw_values(value) for name, value in self.payload.items() if name != "dn"}
        entry |= {self.content_field: [QUOTED]} | values
        return json.dumps({name: value for name, value in entry.items() if value is not None})

    def entry_keyed(self, *values: Any) -> str:
        return self.entry(**{self.key_field: list(values)})


@dataclass(frozen=True)
class Poison:
    """A bad record: its text, the stage at which it is quarantined, and whether its key can be known."""

    label: str
    raw: Callable[[Good], str]
    stage: str
    has_key: bool = False

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True)
class Odd:
    """A record that looks bad and is good: the added field as sent, and as it must be stored."""

    label: str
    sent: str
    stored: Any

    def __str__(self) -> str:
        return self.label

    def raw(self, good: Good) -> str:
        return good.text()[:-1] + f', "Odd": {self.sent}}}'


def raw_values(value: Any) -> list[str]:
    """What a directory sends of a value that its client decodes to this one, or to another that is as good."""
    values = value if isinstance(value, list) else [value]
    return ["0" if one is None else str(one).upper() if isinstance(one, bool) else str(one) for one in values]


def without_key(good: Good) -> str:
    return json.dumps({name: value for name, value in good.payload.items() if name != good.key_field} | {"x": QUOTED})


def nested(good: Good, depth: int) -> str:
    return good.text()[:-1] + ', "Deep": ' + "[" * depth + "]" * depth + "}"


POISON = (
    Poison("null", lambda good: "null", "read"),
    Poison("bare string", lambda good: json.dumps(QUOTED), "read"),
    Poison("list", lambda good: f"[{good.text()}]", "read"),
    Poison("no key", without_key, "key"),
    Poison("key null", lambda good: good.keyed(None), "key"),
    Poison("key blank", lambda good: good.keyed(" \t"), "key"),
    Poison("key true", lambda good: good.keyed(True), "key"),
    Poison("key too long", lambda good: good.keyed("9" * 300), "key"),
    Poison("key enormous", lambda good: good.keyed("9" * 5000), "key"),
    Poison("key enormous number", lambda good: good.keyed(0).replace(": 0", ": " + "8" * 5000, 1), "key"),
    Poison("key structure", lambda good: good.keyed({"a": [QUOTED]}), "key"),
    Poison("key with NUL", lambda good: good.keyed("1\x00"), "key"),
    Poison("key with surrogate", lambda good: good.keyed("1\ud800"), "key"),
    Poison("surrogate", lambda good: good.text(Odd=f"{QUOTED}\ud800"), "convert", has_key=True),
    Poison("surrogate in a name", lambda good: good.text(**{"Odd\udfff": 1}), "convert", has_key=True),
    Poison("nested too deep", lambda good: nested(good, 300), "convert", has_key=True),
    Poison("nested deeper than can be read", lambda good: nested(good, 2000), "read"),
    Poison("control character", lambda good: good.text(Odd="\t").replace("\\t", "\t"), "read"),
    Poison("a name twice", lambda good: good.text()[:-1] + ', "Odd": 5, "Odd": 6}', "read"),
    Poison("names equal without NUL", lambda good: good.text(**{"we\x00ird": 1, "weird": 2}), "convert", has_key=True),
)
# By transport: the rows of a file hold texts and nothing else, and of a directory's entries any attribute may have any values.
POISON_OF = {
    "https": POISON,
    "ldap": (
        Poison("key twice", lambda good: good.entry_keyed("8", "9"), "read"),
        Poison("key too long", lambda good: good.entry_keyed("9" * 30), "key"),
        Poison("key nothing", lambda good: good.entry_keyed("0"), "key"),
    ),
    "file": (
        Poison("short row", lambda good: json.dumps([QUOTED]), "read"),
        Poison("long row", lambda good: json.dumps([*good.payload.values(), "x", "y", QUOTED]), "read"),
        Poison("key too long", lambda good: good.keyed("9" * 300), "key"),
    ),
}
ODD = (
    Odd("NUL in a text", '"a\\u0000b"', "ab"),
    Odd("NUL in a name", '{"a\\u0000b": 1}', {"ab": 1}),
    Odd("NUL spelled out", '"a\\\\u0000b"', "a\\u0000b"),
    Odd("NaN", "NaN", "NaN"),
    Odd("infinity", "-Infinity", "-Infinity"),
    Odd("2^53", str(-(2**53)), -(2**53)),
    Odd("an exponent beyond all", "1e9999999999999999999", "1e9999999999999999999"),
    Odd("a fraction beyond all", "0.0e-9999999999999999999", "0.0e-9999999999999999999"),
    Odd("beyond 2^53", str(2**53 + 1), str(2**53 + 1)),
    Odd("beyond 2^64", str(2**64 + 1), str(2**64 + 1)),
    Odd("paired surrogates", '"\\ud83d\\ude00"', "\U0001f600"),
    Odd("nested well", "[" * 100 + "]" * 100, json.loads("[" * 100 + "]" * 100)),
)


def good_record(hub: Hub, stream: StreamDeclaration) -> Good:
    """For a list stream a record that the source no longer gives, for a detail stream one that it has."""
    campus = hub.campus
    if isinstance(stream, DetailStream):
        key = keys(campus, stream)[5]
        payload = campus.truth(stream.name)[key]
    else:
        key = campus.add(stream.name)
        payload = campus.truth(stream.name)[key]
        campus.delete(stream.name, key)
    return Good(payload, key, key_field(stream, payload), content_field(stream, payload))


def put_on_the_wire(hub: Hub, stream: StreamDeclaration, good: Good, raw: str | None) -> None:
    """Let the source give the raw text: after the records of a list, or as the detail of the good record. None ends it."""
    if isinstance(stream, DetailStream):
        hub.campus.poison_detail(stream.name, good.key, raw)
    else:
        hub.campus.poison(stream.name, [] if raw is None else [raw])
