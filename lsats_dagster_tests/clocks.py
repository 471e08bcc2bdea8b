"""A clock for clients of the campus: whoever waits moves the campus ahead, and nobody sleeps."""

import threading

from lsats_dagster.demo.campus import Campus


class SharedClock:
    """A client's clock that stands still until somebody sleeps: then it moves, and the campus with it. Nobody waits."""

    def __init__(self, campus: Campus) -> None:
        self._campus = campus
        self._lock = threading.Lock()
        self._time = 1_000_000.0

    def now(self) -> float:
        return self._time

    def sleep_until(self, when: float) -> None:
        with self._lock:
            if when > self._time:
                self._campus.advance(when - self._time)
                self._time = when
