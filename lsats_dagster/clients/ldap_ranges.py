"""Long lists of values, of which a server gives a range at once: `member;range=0-1499` (sources.md 4.5).

Ranges are cut by place. While values come and go, the others move: one may come twice, and one not at all. So a list is read
until two readings of it agree.
"""

import re
from collections.abc import Callable, Iterable

from lsats_dagster.clients.errors import PartialFetchError, PermanentSourceError
from lsats_dagster.clients.http import Ceilings
from lsats_dagster.clients.ldap_connection import Found

READINGS = 6  # of one list, until two agree
MOST_RANGES = 10_000  # of one reading; a list that never ends is not read for ever
_RANGED = re.compile(r"(?P<name>[^;]+);range=(?P<first>[0-9]{1,9})-(?P<last>[0-9]{1,9}|\*)", re.IGNORECASE)
NO_SUCH_OBJECT = 32
# What servers say of a range that begins behind the last value.
_BEHIND_THE_END = frozenset({1, 16})
SIGNALS = frozenset({NO_SUCH_OBJECT, *_BEHIND_THE_END})

# Asks for one attribute of one entry; codes of SIGNALS are answers.
Ask = Callable[[str], Found]


def ranged(names: Iterable[str]) -> set[str]:
    """The attributes of which an entry has a range only, as the server spells them."""
    return {match["name"] for name in names if (match := _RANGED.fullmatch(name))}


def all_values(name: str, ask: Ask, ceilings: Ceilings) -> list[bytes]:
    """All values of an attribute; PartialFetchError where its entry is gone, or where they never stay for two readings.

    PermanentSourceError where they are together larger than a record may be.
    """
    former: list[bytes] | None = None
    for _ in range(READINGS):
        values = _reading(name, ask, ceilings)
        if values is not None and values == former:
            return values
        former = values
    raise PartialFetchError(f"the values of {name} changed each time that they were read")


def _reading(name: str, ask: Ask, ceilings: Ceilings) -> list[bytes] | None:
    """The values, range by range; None where one is not what was asked for, as some went meanwhile."""
    values: list[bytes] = []
    size = 0
    for _ in range(MOST_RANGES):
        found = ask(f"{name};range={len(values)}-*")
        if found.code == NO_SUCH_OBJECT or (found.is_whole and not found.entries):
            raise PartialFetchError(f"an entry moved, or went, while its {name} was read")
        received = [
            (int(match["first"]), match["last"], given)
            for _, attributes in found.entries
            for option, given in attributes.items()
            if (match := _RANGED.fullmatch(option)) and match["name"].lower() == name.lower() and given
        ]
        if not received or received[0][0] != len(values):
            return None
        _, last, given = received[0]
        values += given
        size += sum(map(len, given))
        if size > ceilings.record_bytes:
            raise PermanentSourceError(ceilings.excess(f"the list of {name}", "record"))
        if last == "*":
            return values
    raise PartialFetchError(f"no end of {name} after {MOST_RANGES} ranges")
