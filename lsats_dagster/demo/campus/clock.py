"""The clock of the campus: the machine's, and ahead of it by what the side door asked for."""

import math
import time


class Clock:
    """What the campus takes for the time: Date headers, rate windows and tokens follow it."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Be later by `seconds` from now on; ValueError for what is no span of time."""
        if not 0 <= seconds < math.inf:
            raise ValueError("a clock is moved ahead by a number of seconds")
        self._ahead += seconds
