"""How values of directory attributes compare: each syntax brings a value into a form that is equal and ordered as it says."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

# No zeros in front (RFC 4517 3.3.16). Digits beyond these make no number that a directory holds, and cost time.
NUMBER = re.compile(rb"0|-?[1-9][0-9]{0,39}")
TIME = re.compile(
    rb"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?P<hour>\d\d)(?:(?P<minute>\d\d)(?P<second>\d\d)?)?"
    rb"(?:[.,](?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d{2}(?:\d{2})?)"
)
# `\` and two hexadecimal digits, or `\` and the character itself (RFC 4514 2.4).
ESCAPED = re.compile(rb"\\([0-9a-fA-F]{2}|[ \"#+,;<=>\\])")
# From one comma or plus to the next that no `\` stands before.
PART = re.compile(r"((?:[^\\,+]|\\.)*)([,+]|\Z)", re.DOTALL)
# A name of nothing but letters, digits and single blanks between them: as most are.
_WORDS = r"[a-zA-Z][a-zA-Z0-9-]*=[a-zA-Z0-9._-]+(?: [a-zA-Z0-9._-]+)*"
ORDINARY = re.compile(f"{_WORDS}(?:,{_WORDS})*")
TYPE = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*|[0-9]+(\.[0-9]+)*")


class Syntax(Enum):
    """What the values of an attribute are, by the object identifier of the syntax (RFC 4517 3.3)."""

    BOOLEAN = "1.3.6.1.4.1.1466.115.121.1.7"
    DN = "1.3.6.1.4.1.1466.115.121.1.12"
    TEXT = "1.3.6.1.4.1.1466.115.121.1.15"
    TIME = "1.3.6.1.4.1.1466.115.121.1.24"
    INTEGER = "1.3.6.1.4.1.1466.115.121.1.27"
    OCTETS = "1.3.6.1.4.1.1466.115.121.1.40"


# Syntaxes with an order, and those whose values have beginnings and ends.
ORDERED = frozenset({Syntax.TEXT, Syntax.TIME, Syntax.INTEGER, Syntax.OCTETS})
IN_PIECES = frozenset({Syntax.TEXT, Syntax.OCTETS})


def folded(value: bytes) -> str:
    """Text without regard to case, each run of blanks as one (RFC 4518 2.2 and 2.6.1).

    What is no UTF-8 stays apart from everything that is.
    """
    return re.sub(r"\s+", " ", value.decode(errors="surrogateescape").casefold())


def comparable_dn(text: str) -> str:
    """A distinguished name (RFC 4514) in the form that equal names share: lower case, without blanks around its parts.

    A comma stands in it only between a name and the one above. ValueError for what is no name.
    """
    if ORDINARY.fullmatch(text):
        return text.lower()
    if not text.strip():
        return ""
    names: list[list[str]] = [[]]
    at = 0
    while True:
        part = PART.match(text, at)
        if part is None:
            raise ValueError("a name ends with a character that is escaped")
        kind, equals, value = part[1].partition("=")
        kind = kind.strip().lower()
        if not equals or not TYPE.fullmatch(kind):
            raise ValueError("a name consists of types and values")
        names[-1].append(f"{kind}={_comparable_value(value)}")
        if not part[2]:
            return ",".join("+".join(sorted(name)) for name in names)
        if part[2] == ",":
            names.append([])
        at = part.end()


def _comparable_value(value: str) -> str:
    """The value in a name: what is special in names stands as two hexadecimal digits, however it came."""
    plain = ESCAPED.sub(_unescaped, value.encode(errors="surrogateescape"))
    # Blanks at the ends do not count, not even those that were escaped.
    return re.sub(r'[\\,+"<>;=#]', lambda match: f"\\{ord(match[0]):02x}", folded(plain).strip())


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode()) if len(match[1]) == 2 else match[1]


def parent_of(dn: str) -> str:
    """The comparable name above a comparable name, empty above the topmost."""
    return dn.partition(",")[2]


def is_below(dn: str, base: str) -> bool:
    """Whether a comparable name is another one or lies anywhere below it."""
    return dn == base or dn.endswith(f",{base}")


def _text(value: bytes) -> str:
    return folded(value).strip()


def _number(value: bytes) -> int | None:
    return int(value) if NUMBER.fullmatch(value) else None


def _boolean(value: bytes) -> bytes | None:
    return value if value in (b"TRUE", b"FALSE") else None


def _dn(value: bytes) -> str | None:
    try:
        return comparable_dn(value.decode(errors="surrogateescape"))
    except ValueError:
        return None


def _moment(value: bytes) -> datetime | None:
    """Generalized time (RFC 4517 3.3.13): minutes, seconds and their fraction may be missing."""
    found = TIME.fullmatch(value)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(digits or 0) for digits in found.groups()[:6])
    unit = 1 if found["second"] else 60 if found["minute"] else 3600
    fraction = timedelta(seconds=unit * int(found["fraction"] or 0) / 10 ** len(found["fraction"] or ""))
    try:
        whole = datetime(year, month, day, hour, minute, second, tzinfo=_zone(found["zone"]))
        return (whole + fraction).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(text: bytes) -> timezone:
    if text == b"Z":
        return UTC
    minutes = 60 * int(text[1:3]) + int(text[3:] or 0)
    return timezone(timedelta(minutes=-minutes if text.startswith(b"-") else minutes))


# The comparable form of a value; None if it is none of the syntax.
COMPARABLE: Mapping[Syntax, Callable[[bytes], Any]] = {
    Syntax.BOOLEAN: _boolean,
    Syntax.DN: _dn,
    Syntax.TEXT: _text,
    Syntax.TIME: _moment,
    Syntax.INTEGER: _number,
    Syntax.OCTETS: bytes,
}
