"""When a fault that is switched on strikes: counted alike over HTTP and LDAP."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar


@dataclass
class Counted:
    """One fault: it lets `after` requests pass, then strikes `times` requests (None: all that follow)."""

    kind: str
    times: int | None
    after: int


F = TypeVar("F", bound=Counted)


def strike(faults: Iterable[F]) -> F | None:
    """Count one request and say which of these faults it meets.

    Every fault counts the requests that it lets pass from the moment it was switched on; of those due, the oldest strikes.
    """
    due: F | None = None
    for fault in faults:
        if fault.after > 0:
            fault.after -= 1
        elif due is None and fault.times != 0:
            due = fault
    if due is not None and due.times is not None:
        due.times -= 1
    return due
