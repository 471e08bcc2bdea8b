"""The call window: what it counts, when it waits, and that it never earns a 429."""

import threading
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsats_dagster.clients.tdx import StaticToken, TdxClient
from lsats_dagster.clients.window import (
    LONGEST_WAIT,
    LocalCallWindow,
    SystemClock,
    limit_headers,
    seconds_until,
    throttle_seconds,
)
from lsats_dagster_tests.clients.aids import Reply, Request, VirtualClock, serving

START = 1_800_000_000.0


class FixedWindow:
    """The limit as TeamDynamix counts it: a window begins with the first call in it (sources.md 4.1.3)."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self.seconds = limit, seconds
        self.end, self.used, self.refused = float("-inf"), 0, 0
        self._lock = threading.Lock()

    def arrives(self, now: float) -> tuple[bool, int, float]:
        """(granted, remaining, end of the window)"""
        with self._lock:
            if now >= self.end:
                self.end, self.used = now + self.seconds, 0
            granted = self.used < self.limit
            self.used += granted
            self.refused += not granted
            return granted, self.limit - self.used, self.end


def test_a_window_starts_with_its_first_call_and_holds_the_next_one_back() -> None:
    clock = VirtualClock(START)
    window = LocalCallWindow(clock)
    assert [window.wait("m", limit=2, seconds=60) for _ in range(3)] == [0, 0, 60]
    assert window.wait("m", limit=2, seconds=60) == 0
    assert window.wait("m", limit=2, seconds=60) == 60
    assert clock.now() == START + 120


def test_methods_do_not_share_their_allowance() -> None:
    window = LocalCallWindow(VirtualClock(START))
    assert [window.wait(method, limit=1) for method in ("a", "b", "a")] == [0, 0, 60]


def test_an_answer_tells_the_end_and_what_others_used() -> None:
    window = LocalCallWindow(VirtualClock(START))
    window.wait("m")
    window.observed("m", limit=60, remaining=1, resets_in=20)
    assert [window.wait("m"), window.wait("m")] == [0, 20]


def test_calls_that_are_under_way_when_a_window_ends_count_in_the_next() -> None:
    clock = VirtualClock(START)
    window = LocalCallWindow(clock, callers=3)
    assert [window.wait("m", limit=5) for _ in range(5)] == [0] * 5
    # Two of them reach the source after its window has ended, so that it grants three more in the next.
    assert [window.wait("m", limit=5) for _ in range(4)] == [60, 0, 0, 60]
    # The same where an answer tells that the source has begun anew.
    window.observed("m", limit=5, remaining=4, resets_in=100)
    assert [window.wait("m", limit=5) for _ in range(3)] == [0, 0, 100]


def test_an_older_answer_does_not_give_calls_back() -> None:
    window = LocalCallWindow(VirtualClock(START))
    for _ in range(3):
        window.wait("m", limit=3)
    window.observed("m", limit=3, remaining=2, resets_in=61)
    assert window.wait("m", limit=3) == 61


def test_a_limit_learned_is_kept_for_later_windows() -> None:
    window = LocalCallWindow(VirtualClock(START))
    window.wait("m")
    window.observed("m", limit=2, remaining=0, resets_in=10)
    assert [window.wait("m") for _ in range(3)] == [10, 0, 60]


@given(
    st.floats(0, 1, exclude_max=True),
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=150),
    st.sampled_from([(1, 5.0), (7, 10.0), (60, 60.0), (60, 1.0)]),
)
@settings(max_examples=60, deadline=None)
def test_one_caller_never_earns_a_429(
    fraction: float, travels: list[tuple[float, float]], limit: tuple[int, float]
) -> None:
    clock = VirtualClock(START + fraction)
    window, source = LocalCallWindow(clock), FixedWindow(*limit)
    for there, back in travels:
        window.wait("m", limit=limit[0], seconds=limit[1])
        clock.sleep_until(clock.now() + there)
        date = int(clock.now())
        granted, remaining, end = source.arrives(clock.now())
        assert granted
        clock.sleep_until(clock.now() + back)
        window.observed("m", limit=limit[0], remaining=remaining, resets_in=int(end) - date + 1)


def test_a_slow_caller_is_not_held_back() -> None:
    clock = VirtualClock(START + 0.3)
    window, source = LocalCallWindow(clock), FixedWindow(60, 60)
    for _ in range(300):
        window.wait("m")
        date = int(clock.now())
        _, remaining, end = source.arrives(clock.now())
        clock.sleep_until(clock.now() + 1.1)
        window.observed("m", limit=60, remaining=remaining, resets_in=int(end) - date + 1)
    assert clock.now() - START < 300 * 1.1 + 10


@pytest.mark.parametrize("fraction", [0.0, 0.37, 0.99])
def test_two_clients_use_the_whole_limit_and_never_earn_a_429(fraction: float) -> None:
    clock = VirtualClock(START + fraction)
    source = FixedWindow(60, 60)

    def script(request: Request) -> Reply:
        granted, remaining, end = source.arrives(clock.now())
        reset = formatdate(end, usegmt=True)
        headers = {
            "X-RateLimit-Limit": "60",
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": reset,
        }
        return Reply(200 if granted else 429, b'{"ID": 1}', headers)

    window = LocalCallWindow(clock)
    read: list[object] = []
    with serving(script, now=clock.now) as server, clock.participants(2) as leave:

        def work() -> None:
            client = TdxClient(
                base_url=server.url, credentials=StaticToken("a.b.c"), app_id=48, window=window, clock=clock
            )
            try:
                read.extend(client.account(str(number)) for number in range(150))
            finally:
                client.close()
                leave()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(server.requests) == 300
    assert read == [{"ID": 1}] * 300
    assert source.refused == 0
    assert clock.now() - START - fraction <= 4 * (60 + 2)  # the fifth window only begins


def test_threads_together_keep_the_limit_of_a_source_that_says_nothing() -> None:
    clock = VirtualClock(START)
    window = LocalCallWindow(clock)
    granted: list[float] = []
    with clock.participants(4) as leave:

        def work() -> None:
            for _ in range(25):
                window.wait("m", limit=20, seconds=60)
                granted.append(clock.now())
            leave()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(granted) == [START + 60 * n for n in range(5) for _ in range(20)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Fri, 15 Jan 2027 08:00:30 GMT", 31.0),
        ("Fri, 15 Jan 2027 08:00:30 -0000", 31.0),
        ("Fri, 15 Jan 2027 07:59:00 GMT", 0.0),
        ("Fri, 15 Jan 2099 08:00:00 GMT", LONGEST_WAIT),
        ("7", 8.0),
        ("1800000010", 11.0),
        ("99999999999999999999", None),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_times_in_headers_relate_to_the_date_of_the_answer(text: str, seconds: float | None) -> None:
    assert seconds_until(text, START) == seconds


def test_a_429_waits_for_the_reset_before_retry_after_and_at_least_5_seconds() -> None:
    assert throttle_seconds({"X-RateLimit-Reset": "1800000010", "Retry-After": "3"}, START) == 11
    assert throttle_seconds({"Retry-After": "3"}, START) == 5
    assert throttle_seconds({"X-RateLimit-Reset": "1700000000"}, START) == 5
    assert throttle_seconds({"Retry-After": "0"}, START) == 5
    assert throttle_seconds({}, START) is None


def test_limit_headers_count_only_when_both_can_be_read() -> None:
    assert limit_headers({"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": " 150"}) == (200, 150)
    assert limit_headers({"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "x"}) is None
    assert limit_headers({"X-RateLimit-Limit": "name=a,200", "X-RateLimit-Remaining": "1"}) is None
    assert limit_headers({"X-RateLimit-Limit": "200"}) is None


def test_the_system_clock_sleeps_to_the_time_asked_for() -> None:
    clock = SystemClock()
    when = clock.now() + 0.05
    clock.sleep_until(when)
    assert clock.now() >= when
    clock.sleep_until(when - 100)
