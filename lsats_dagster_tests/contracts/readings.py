"""How a text of a payload is to be read, once more in Python (silver_source_tables.md 2.1): what SQL must agree with."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

BLANKS = " \t\n\r\f\v\u00a0"
TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)?", re.ASCII
)
IDENTIFIER = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.IGNORECASE)
LONGEST_FRACTION = 100


def text(value: str | None) -> str | None:
    """Code T."""
    return (value or "").strip(BLANKS) or None


def boolean(value: str | None) -> bool | None:
    """Code B."""
    word = (value or "").strip(" ").lower()
    return True if word in ("true", "t", "yes", "y", "1") else False if word in ("false", "f", "no", "n", "0") else None


def integer(value: str | None) -> int | None:
    """Code I."""
    found = re.fullmatch(r"([+-]?[0-9]{1,10})(?:\.0*)?", (value or "").strip(" "))
    return int(found[1]) if found and -(2**31) <= int(found[1]) < 2**31 else None


def reference(value: str | None) -> int | None:
    """Code I0."""
    return integer(value) or None


def uuid(value: str | None) -> UUID | None:
    """Code U0."""
    found = IDENTIFIER.fullmatch((value or "").strip(" "))
    identifier = UUID(found[1]) if found else None
    return None if identifier is None or identifier.int == 0 else identifier


def tdx_time(value: str | None) -> datetime | None:
    """Code DT. Beyond year 9998 a time is refused, and so is a fraction of absurd length."""
    found = TIME.fullmatch((value or "").strip(" "))
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


def means_nothing(flag: str, value: str | None) -> bool:
    """Whether a text that gave no value says "not set", so that `flag` must not be raised."""
    plain = text(value)
    if plain is None:
        return True
    match flag:
        case "bad_integer":
            return integer(value) == 0
        case "bad_date":
            return plain.startswith("0001-")
        case "bad_uuid":
            return plain.strip("{}") == str(UUID(int=0))
    raise KeyError(flag)
