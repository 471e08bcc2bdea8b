"""The call window in Postgres: what it shares between runs, and that two runs together never earn a 429."""

import threading
from email.utils import formatdate

import pytest

from lsats_dagster.clients.tdx import StaticToken, TdxClient
from lsats_dagster.database import Database
from lsats_dagster.ingestion.call_window import PostgresCallWindow
from lsats_dagster_tests.clients.aids import Reply, Request, VirtualClock, serving
from lsats_dagster_tests.clients.test_window import START, FixedWindow


def test_two_runs_count_in_one_window(hub: Database) -> None:
    clock = VirtualClock(START)
    one, other = PostgresCallWindow(hub, clock), PostgresCallWindow(hub, clock)
    assert [one.wait("m", limit=2), other.wait("m", limit=2), one.wait("m", limit=2)] == [0, 0, 60]
    assert other.wait("m", limit=2) == 0
    assert other.wait("other method", limit=1) == 0


def test_an_answer_to_one_run_holds_back_the_other(hub: Database) -> None:
    clock = VirtualClock(START)
    one, other = PostgresCallWindow(hub, clock), PostgresCallWindow(hub, clock)
    one.wait("m")
    one.observed("m", limit=60, remaining=0, resets_in=20)
    assert other.wait("m") == 20


def test_calls_that_are_under_way_when_a_window_ends_count_in_the_next(hub: Database) -> None:
    clock = VirtualClock(START)
    window = PostgresCallWindow(hub, clock, callers=3)
    assert [window.wait("m", limit=5) for _ in range(5)] == [0] * 5
    # Two of them reach the source after its window has ended, so that it grants three more in the next.
    assert [window.wait("m", limit=5) for _ in range(4)] == [60, 0, 0, 60]
    # The same where an answer tells that the source has begun anew.
    window.observed("m", limit=5, remaining=4, resets_in=100)
    assert [window.wait("m", limit=5) for _ in range(3)] == [0, 0, 100]


def test_an_older_answer_does_not_give_calls_back(hub: Database) -> None:
    window = PostgresCallWindow(hub, VirtualClock(START))
    for _ in range(3):
        window.wait("m", limit=3)
    window.observed("m", limit=3, remaining=2, resets_in=61)
    assert window.wait("m", limit=3) == 61


def test_an_end_that_a_clock_ahead_has_written_is_not_waited_for(hub: Database) -> None:
    ahead, right = VirtualClock(START + 86_400), VirtualClock(START)
    PostgresCallWindow(hub, ahead).wait("m", limit=1)
    window = PostgresCallWindow(hub, right)
    assert [window.wait("m", limit=1), window.wait("m", limit=1)] == [0, 60]


def test_a_ceiling_that_is_set_anew_holds_from_the_next_window(hub: Database) -> None:
    clock = VirtualClock(START)
    window = PostgresCallWindow(hub, clock)
    for _ in range(3):
        window.wait("gateway", limit=3, ceiling=True)
    assert [window.wait("gateway", limit=1, ceiling=True) for _ in range(2)] == [60, 60]
    # What answers have told is not forgotten for what is only assumed.
    window.wait("m", limit=60)
    window.observed("m", limit=1, remaining=0, resets_in=60)
    assert [window.wait("m", limit=60) for _ in range(2)] == [60, 60]


def test_a_slow_caller_is_not_held_back(hub: Database) -> None:
    clock = VirtualClock(START + 0.3)
    window, source = PostgresCallWindow(hub, clock), FixedWindow(60, 60)
    for _ in range(150):
        window.wait("m")
        date = int(clock.now())
        granted, remaining, end = source.arrives(clock.now())
        assert granted
        clock.sleep_until(clock.now() + 1.1)
        window.observed("m", limit=60, remaining=remaining, resets_in=int(end) - date + 1)
    assert clock.now() - START < 150 * 1.1 + 10


@pytest.mark.parametrize("fraction", [0.0, 0.37, 0.99])
def test_two_runs_use_the_whole_limit_and_never_earn_a_429(hub: Database, fraction: float) -> None:
    """60 calls per 60 s, as TeamDynamix grants them, on a clock of the test's own."""
    clock = VirtualClock(START + fraction)
    source = FixedWindow(60, 60)

    def script(request: Request) -> Reply:
        granted, remaining, end = source.arrives(clock.now())
        headers = {
            "X-RateLimit-Limit": "60",
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": formatdate(end, usegmt=True),
        }
        return Reply(200 if granted else 429, b'{"ID": 1}', headers)

    read: list[object] = []
    with serving(script, now=clock.now) as source_server, clock.participants(2) as leave:

        def work() -> None:
            database = Database(hub.url.render_as_string(hide_password=False))
            window = PostgresCallWindow(database, clock)
            client = TdxClient(
                base_url=source_server.url, credentials=StaticToken("a.b.c"), app_id=48, window=window, clock=clock
            )
            try:
                read.extend(client.account(str(number)) for number in range(150))
            finally:
                client.close()
                database.dispose()
                leave()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert read == [{"ID": 1}] * 300
    assert source.refused == 0
    assert clock.now() - START - fraction <= 4 * (60 + 2)
