"""The wait before a next try, on a terminal."""

import io
import logging

from lsats_dagster.cli.countdown import ERASE, Countdown


def test_an_announced_wait_counts_down_and_the_next_line_ends_it() -> None:
    terminal = io.StringIO()
    counting = Countdown(terminal)

    def say(**more: float) -> None:
        counting.handle(logging.makeLogRecord({"msg": "line", **more}))

    say(wait=0.01)
    assert counting.counting is not None
    counting.counting.join()
    assert "next try in 0 s" in terminal.getvalue()
    assert terminal.getvalue().endswith(ERASE)
    say(wait=1.2)
    say()
    shown = len(terminal.getvalue())
    counting.counting.join()
    assert "next try" not in terminal.getvalue()[shown:]
