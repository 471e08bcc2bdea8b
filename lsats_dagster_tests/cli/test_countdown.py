"""The wait before a next try, on a terminal."""

import io
import logging

from lsats_dagster.cli.countdown import ERASE, Countdown
from lsats_dagster_tests.automation.aids import wait_until


def test_an_announced_wait_counts_down_and_the_next_line_ends_it() -> None:
    terminal = io.StringIO()
    counting = Countdown(terminal)

    def say(**more: float) -> None:
        counting.handle(logging.makeLogRecord({"msg": "line", **more}))

    say(wait=1.3)
    assert counting.counting is not None
    counting.counting.join()
    assert terminal.getvalue().endswith(ERASE)
    # As long as there is something to wait for, it is not "0 s".
    assert "in 0 s" not in terminal.getvalue()
    say(wait=20)
    wait_until(lambda: "next try in" in terminal.getvalue(), "a count")
    say()
    shown = len(terminal.getvalue())
    counting.counting.join()
    assert "next try" not in terminal.getvalue()[shown:]
