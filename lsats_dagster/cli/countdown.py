"""On a terminal, the seconds until a next try that a log line has announced (`extra={"wait": seconds}`)."""

import logging
import math
import threading
import time
from typing import TextIO

ERASE = "\r\x1b[K"


class Countdown(logging.Handler):
    """Counts down in the last line of the terminal until the next line of the log, or the end of the wait."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._newest: object = None
        self.counting: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self._newest = record
        self._write("")
        if wait := getattr(record, "wait", 0.0):
            self.counting = threading.Thread(target=self._count, args=(record, time.monotonic() + wait), daemon=True)
            self.counting.start()

    def _count(self, record: logging.LogRecord, until: float) -> None:
        left = until - time.monotonic()
        while left > 0:
            # The line itself says the whole wait, and is written meanwhile.
            time.sleep(min(1.0, left))
            left = until - time.monotonic()
            self.acquire()
            try:
                if self._newest is not record:
                    return
                self._write(f"   next try in {math.ceil(left)} s, Ctrl-C ends" if left > 0 else "")
            finally:
                self.release()

    def _write(self, text: str) -> None:
        self._stream.write(f"{ERASE}{text}")
        self._stream.flush()
