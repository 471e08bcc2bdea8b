"""What a directory server was asked, for tests to look at."""

from collections import Counter, deque
from dataclasses import dataclass

from lsats_dagster.demo.campus.ldap.messages import Scope

MOST_KEPT = 10_000


@dataclass(frozen=True)
class Searched:
    """One search, or one further page of it. `filter`: as RFC 4515 writes it."""

    base: str
    scope: Scope
    filter: str
    attributes: tuple[str, ...]
    further_page: bool


class RequestLog:
    """Requests since the start or the last `clear`: how many of each operation, and the newest searches.

    Operations bear the names of `Operation` in lower case; `connect` counts connections, `garbage` what was no request.
    outcomes: operation and result code as text, or `fault` where no whole answer was sent -> requests.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.searches: deque[Searched] = deque(maxlen=MOST_KEPT)

    def clear(self) -> None:
        """Begin anew."""
        self.counts.clear()
        self.outcomes.clear()
        self.searches.clear()
