"""How a value of a payload is to be read, once more in Python (silver_source_tables.md 2.1): what SQL must agree with.

A value is what `payload` gives for a field, or ABSENT.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from html.entities import name2codepoint
from typing import Any
from uuid import UUID

from lsats_dagster.ingestion.stream import BLANKS
from lsats_dagster_tests.contracts.shapes import ABSENT

TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)?", re.ASCII
)
IDENTIFIER = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.IGNORECASE)
UNIQNAME = re.compile(r"[a-z][a-z0-9.-]{0,49}", re.ASCII)
DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
MONEY = re.compile(r"[+-]?(?:[0-9]{1,13}(?:\.[0-9]*)?|\.[0-9]+)|\((?:[0-9]{1,13}(?:\.[0-9]*)?|\.[0-9]+)\)", re.ASCII)
AMERICAN_DAY = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}|[0-9]{2})(?:[ T].*)?", re.ASCII | re.DOTALL)
ISO_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[ T].*)?", re.ASCII | re.DOTALL)
NO_DIRECTORY_TIME = re.compile(r"0+(?:\.0+)?|1601-?01-?01.*|9999-?12-?31.*", re.ASCII | re.DOTALL)
# The last day of the year 9999 in 100 ns since 1601: from then on a FILETIME says never.
LAST_DAY_IN_TICKS = 2650466880000000000
# Of two digits of a year the last that is of this century.
PIVOT = 68
LONGEST_FRACTION = 100
LONGEST_CODE = 200
ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z0-9]+);")
# Named entities that are decoded: those of letters and punctuation.
NAMED = {"apos": 39} | {
    name: point
    for name, point in name2codepoint.items()
    if (unicodedata.category(chr(point))[0] == "L" and point < 0x180 and name not in ("ordf", "ordm", "micro"))
    or name in (
        "amp", "lt", "gt", "quot", "nbsp", "shy", "middot", "ndash", "mdash", "lsquo", "rsquo", "sbquo", "ldquo", "rdquo",
        "bdquo", "hellip", "bull",
    )
}  # fmt: skip


class Number(str):
    """A number, digit by digit as its document has it."""


def payload(document: str) -> dict[str, Any]:
    """A JSON object as Python has it, but for its numbers."""
    found: dict[str, Any] = json.loads(document, parse_int=Number, parse_float=Number)
    return found


def as_json(value: Any) -> str:
    """A value as Postgres writes it."""
    match value:
        case Number():
            return value
        case list():
            return f"[{', '.join(map(as_json, value))}]"
        case dict():
            return f"{{{', '.join(f'{json.dumps(name)}: {as_json(item)}' for name, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def plain(value: Any) -> str:
    """A value as one text; "" when there is none. A number has no zeros behind its last digit."""
    if value is None or value is ABSENT:
        return ""
    if isinstance(value, Number):
        number = Decimal(value)
        digits = f"{number if number else 0:f}"
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    return value if isinstance(value, str) else as_json(value)


def text(value: Any) -> str | None:
    """Code T: of a list the first member that is not blank; an object is no text."""
    if isinstance(value, list):
        return next(filter(None, (plain(member).strip(BLANKS) for member in value)), None)
    return None if isinstance(value, Mapping) else plain(value).strip(BLANKS) or None


def code(value: Any) -> str | None:
    """Code T of what is looked up: at most 200 signs, all of them ASCII."""
    found = text(value)
    return found if found is not None and re.fullmatch(f"[ -~]{{1,{LONGEST_CODE}}}", found) else None


def tdx_text(value: Any) -> str | None:
    """Code Tn: the word None says that there is nothing."""
    found = text(value)
    return None if found == "None" else found


def email(value: Any) -> str | None:
    """Code T in lower case."""
    found = text(value)
    return None if found is None else found.lower()


def uniqname(value: Any) -> str | None:
    """Code LU."""
    found = (text(value) or "").lower()
    return found if UNIQNAME.fullmatch(found) else None


def department_code(value: Any) -> str | None:
    """Six digits, of which a sheet may have lost zeros, and won decimals (2.5)."""
    found = code(value)
    match = re.fullmatch(r"([0-9]+)(?:\.0+)?", found or "")
    return match[1].zfill(6) if match else found


def boolean(value: Any) -> bool | None:
    """Code B."""
    word = plain(value).strip(BLANKS).lower()
    known = {"true": True, "t": True, "yes": True, "y": True, "1": True, "1.0": True}
    known |= {"false": False, "f": False, "no": False, "n": False, "0": False, "0.0": False}
    return known.get(word)


def privacy(value: Any) -> bool | None:
    """Code B, where what cannot be read means private."""
    if text(plain(value)) is None:
        return None
    found = boolean(value)
    return True if found is None else found


def is_active(value: Any) -> bool | None:
    """Code B, where a record that does not say is active (4.2)."""
    return True if value is ABSENT else boolean(value)


def integer(value: Any) -> int | None:
    """Code I."""
    found = re.fullmatch(r"([+-]?[0-9]{1,10})(?:\.0*)?", plain(value).strip(BLANKS))
    return int(found[1]) if found and -(2**31) <= int(found[1]) < 2**31 else None


def reference(value: Any) -> int | None:
    """Code I0."""
    return integer(value) or None


def decimal(value: Any) -> Decimal | None:
    """Code N."""
    said = plain(value).strip(BLANKS)
    return Decimal(said) if DECIMAL.fullmatch(said) else None


def price(value: Any) -> Decimal | None:
    """Code N0."""
    return decimal(value) or None


def percent(value: Any) -> Decimal | None:
    """Code N, with a percent sign or without."""
    return decimal(plain(value).replace("%", ""))


def money(value: Any) -> Decimal | None:
    """Code $: cents, half a cent away from zero."""
    said = re.sub(r"[$,\s]", "", plain(value))
    if not MONEY.fullmatch(said):
        return None
    number = Decimal(said.strip("()")) * (-1 if said.startswith("(") else 1)
    return number.quantize(Decimal("0.01"), ROUND_HALF_UP)


def day(value: Any) -> date | None:
    """Code DX."""
    said = plain(value).strip(BLANKS)
    if found := AMERICAN_DAY.fullmatch(said):
        month, number, year = (int(found[part]) for part in (1, 2, 3))
        year += (2000 if year <= PIVOT else 1900) if len(found[3]) == 2 else 0
    elif found := ISO_DAY.fullmatch(said):
        year, month, number = (int(found[part]) for part in (1, 2, 3))
    else:
        return None
    try:
        return date(year, month, number) if 2 <= year <= 9998 else None
    except ValueError:
        return None


def uuid(value: Any) -> UUID | None:
    """Code U0."""
    found = IDENTIFIER.fullmatch(plain(value).strip(BLANKS))
    identifier = UUID(found[1]) if found else None
    return None if identifier is None or identifier.int == 0 else identifier


def tdx_time(value: Any) -> datetime | None:
    """Code DT. Beyond year 9998 a time is refused, and so is a fraction of absurd length."""
    found = TIME.fullmatch(plain(value).strip(BLANKS))
    if found is None or not 2 <= int(found[1]) <= 9998 or len(found[7] or "") > LONGEST_FRACTION:
        return None
    year, month, day, hour, minute = (int(found[part]) for part in range(1, 6))
    offset = timedelta(hours=int(found[10] or 0), minutes=int(found[11] or 0)) * (-1 if found[9] == "-" else 1)
    if abs(offset) >= timedelta(hours=16) or int(found[11] or 0) > 59:
        return None
    try:
        moment = datetime(year, month, day, hour, minute, int(found[6] or 0), tzinfo=UTC) - offset
    except ValueError:
        return None
    return moment + timedelta(microseconds=round(float("0." + (found[7] or "0")) * 1_000_000))


def unescaped(value: str | None) -> str | None:
    """HTML entities decoded once, as far as they stand for a character."""

    def decoded(match: re.Match[str]) -> str:
        name = match[1]
        point = (
            int(name[2:], 16) if name[:2] in ("#x", "#X") else int(name[1:]) if name[0] == "#" else NAMED.get(name, 0)
        )
        return chr(point) if 0 < point < 0xD800 or 0xDFFF < point < 0x110000 else match[0]

    return None if value is None else ENTITY.sub(decoded, value)


def comparable(value: str | None) -> str | None:
    """A name as it is compared with another."""
    if value is None:
        return None
    decoded = (unescaped(value) or "").strip(BLANKS) if "&" in value else value
    return unicodedata.normalize("NFC", decoded).lower()


def means_nothing(flag: str, value: Any) -> bool:
    """Whether a value that could not be read says "not set", so that `flag` must not be raised."""
    said = text(plain(value))
    if said is None:
        return True
    match flag:
        case "bad_code" | "invalid_uniqname":
            return text(value) is None
        case "bad_day" | "unparsed_amount":
            return False
        case "bad_decimal":
            return decimal(value) == 0
        case "bad_integer":
            return integer(value) == 0
        case "bad_directory_date":
            if re.fullmatch("[0-9]{19}", said):
                return int(said) >= LAST_DAY_IN_TICKS
            return bool(NO_DIRECTORY_TIME.fullmatch(said))
        case "bad_date":
            return said.startswith("0001-")
        case "bad_uuid":
            return said.strip("{}") == str(UUID(int=0))
    raise KeyError(flag)
