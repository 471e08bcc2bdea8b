"""How often a source may be called: the pacing that keeps all callers together below the source's limit.

TeamDynamix counts calls in a fixed window per method and calling address (sources.md 4.1.3). Every client
therefore asks a `CallWindow` before each call and reports what the answer's headers say. The form in this
file is shared by the threads of one process; runs in several processes share another form that keeps the
same rules in the database.
"""

import email.utils
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Protocol


class Clock(Protocol):
    """Time as the clients see it, replaceable so that tests need not wait."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def sleep_until(self, when: float) -> None:
        """Return at `when` (seconds since the epoch), at once if that is past."""
        ...


class SystemClock:
    """The machine's time, immune to steps: it is set once and then follows the monotonic clock.

    A wall clock put back by an hour would otherwise prolong every wait by an hour.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset

    def sleep_until(self, when: float) -> None:
        while (left := when - self.now()) > 0:
            time.sleep(left)


SYSTEM_CLOCK = SystemClock()


def none() -> int:
    return 0


class CallWindow(Protocol):
    """The allowance of every method, shared by all who call it."""

    def wait(
        self,
        method: str,
        *,
        limit: int = 60,
        seconds: float = 60.0,
        ceiling: bool = False,
        under_way: Callable[[], int] = none,
    ) -> float:
        """Block until one call of `method` may be sent, count it, and return the seconds waited.

        `limit` calls per `seconds` are assumed until an answer tells better; a `ceiling` holds whatever was known before.
        `under_way`: how many calls of the caller have no answer now. When a window ends, the source may count them in its
        next one, so they are counted there beforehand.
        """
        ...

    def observed(self, method: str, *, limit: int, remaining: int, resets_in: float, under_way: int = 0) -> None:
        """Take over an answer's word: `remaining` of `limit` calls are left for `resets_in` more seconds. `under_way`: how
        many other calls of the caller have no answer.
        """
        ...


@dataclass
class _Window:
    end: float
    seconds: float
    limit: int
    used: int


class LocalCallWindow:
    """The window of one process, safe for threads.

    A method's window starts with its first call. While it is open and not used up, a call is counted and
    goes; otherwise it waits for the end, and the first call after the end opens the next window. Nothing
    sleeps while holding the lock.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}

    def wait(
        self,
        method: str,
        *,
        limit: int = 60,
        seconds: float = 60.0,
        ceiling: bool = False,
        under_way: Callable[[], int] = none,
    ) -> float:
        began = self._clock.now()
        while True:
            with self._lock:
                now = self._clock.now()
                window = self._windows.get(method)
                if window is None or now >= window.end:
                    known = window.limit if window is not None and not ceiling else limit
                    self._windows[method] = _Window(now + seconds, seconds, known, 1 + under_way())
                    return now - began
                if window.used < window.limit:
                    window.used += 1
                    return now - began
                end = window.end
            self._clock.sleep_until(end)

    def observed(self, method: str, *, limit: int, remaining: int, resets_in: float, under_way: int = 0) -> None:
        with self._lock:
            window = self._windows.get(method)
            if window is None:
                return
            end = self._clock.now() + resets_in
            used = limit - remaining
            # Ends are known to a second or two only, so ours is the later one and the source may begin its
            # next window inside ours. The end then jumps by a whole window, and the calls counted for the old
            # one no longer count: without this a slow caller would stand still for half of its time.
            begun_anew = end - window.end > window.seconds / 2
            window.used = used + under_way if begun_anew else max(window.used, used)
            window.end = end
            window.limit = limit


LONGEST_WAIT = 120.0  # seconds believed of a reset or Retry-After header; the windows met so far last 60 s
SHORTEST_THROTTLE = 5.0  # seconds of pause after a 429; TeamDynamix asks for them whatever its headers say


@dataclass(frozen=True)
class Allowance:
    """The key of a call in the `CallWindow` and what is assumed of its limit until an answer tells better.

    A `ceiling` is our own: what answers grant does not move it, only a 429 closes its window.
    """

    method: str
    limit: int = 60
    seconds: float = 60.0
    ceiling: bool = False


def limit_headers(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """(limit, remaining) of the X-RateLimit headers; None without readable ones."""
    texts = [headers.get(f"X-RateLimit-{name}", "").strip() for name in ("Limit", "Remaining")]
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in texts):
        return None
    return int(texts[0]), int(texts[1])


def seconds_until(text: str, date: float) -> float | None:
    """Seconds from `date`, the answer's own, to the time that a header names; None if it is unreadable.

    At most LONGEST_WAIT. Such dates have whole seconds only, so one is added. Plain numbers are seconds to
    wait, or since the epoch when they are that large.
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 15:
        when = float(text) + (date if float(text) < 1e8 else 0.0)
    else:
        parsed = http_date(text)
        if parsed is None:
            return None
        when = parsed
    return min(max(when + 1 - date, 0.0), LONGEST_WAIT)


def throttle_seconds(headers: Mapping[str, str], date: float) -> float | None:
    """How long a 429 asks to wait, at least SHORTEST_THROTTLE; None if it does not say."""
    for name in ("X-RateLimit-Reset", "Retry-After"):
        asked = seconds_until(headers.get(name, ""), date)
        if asked is not None:
            return max(asked, SHORTEST_THROTTLE)
    return None


def http_date(text: str) -> float | None:
    """Seconds since the epoch of an RFC 1123 date, None if it is none."""
    try:
        when = email.utils.parsedate_to_datetime(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
