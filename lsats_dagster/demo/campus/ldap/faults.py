"""Faults of a directory server that can be switched on while it runs (sources.md 23.2, L13)."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from lsats_dagster.demo.campus.due import Counted, strike
from lsats_dagster.demo.campus.ldap.identities import Identity, comparable_name
from lsats_dagster.demo.campus.ldap.messages import Code

# What is struck -> kind -> option -> default. A page is a search with a cookie: it meets the faults of both.
KINDS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "connect": {"drop": {}, "hang": {}},
    "bind": {"code": {"code": Code.BUSY}, "drop": {}, "hang": {}},
    "search": {
        "code": {"code": Code.BUSY, "entries": 0},
        "drop": {"entries": 0},
        "hang": {},
        "slow": {"seconds": 1.0},
        "empty": {},
        "garbage": {"entries": 0},
        "truncate": {"entries": 0},
        "large": {"megabytes": 4},
    },
    "page": {"cookie": {}},
}


@dataclass
class Fault(Counted):
    """A fault of what is struck, with its options."""

    options: dict[str, float]


class FaultBoard:
    """The faults that are switched on, and the logins that are refused. Any thread may switch them.

    drop: the connection ends after `entries` entries. code: `code` ends the answer, a search after `entries` entries of
    it. hang: no answer. slow: each entry is `seconds` late. empty: success without entries, as a right that was taken away
    looks; the root answers all the same. garbage: after `entries` entries come octets that are no LDAP message, and the end.
    truncate: after `entries` entries the connection ends in the middle of the next one. large: behind the true entries comes one
    whose `description` holds `megabytes` of text. cookie: every cookie of the connection is forgotten.
    """

    def __init__(self) -> None:
        self._faults: dict[str, list[Fault]] = {}
        self._refused: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, struck: str, kind: str, times: int | None = 1, after: int = 0, **options: float) -> None:
        """Switch a fault on; ValueError for one that does not exist."""
        if kind not in KINDS.get(struck, {}):
            raise ValueError(f"there is no fault {kind!r} of {struck!r}")
        defaults = KINDS[struck][kind]
        if unknown := options.keys() - defaults.keys():
            raise ValueError(f"fault {kind!r} has no option {', '.join(sorted(unknown))}")
        with self._lock:
            self._faults.setdefault(struck, []).append(Fault(kind, times, after, {**defaults, **options}))

    def refuse_login(self, name: str, code: int = Code.INSUFFICIENT_ACCESS_RIGHTS) -> None:
        """From now on answer 49 to a login of this name, and `code` to searches of those who are logged in with it."""
        with self._lock:
            self._refused[comparable_name(name)] = code

    def clear(self) -> None:
        """Switch every fault off and take every login again."""
        with self._lock:
            self._faults.clear()
            self._refused.clear()

    def strike(self, struck: str) -> Fault | None:
        """Count one request and say which fault it meets."""
        with self._lock:
            return strike(self._faults.get(struck, []))

    def refused(self, identity: Identity) -> int | None:
        """The code that searches of an identity get whose login is refused by any of its names; None if it is not."""
        with self._lock:
            codes = (self._refused.get(comparable_name(name)) for name in identity.names)
            return next((code for code in codes if code is not None), None)
