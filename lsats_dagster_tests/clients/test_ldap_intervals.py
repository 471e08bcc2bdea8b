"""Intervals: whatever was planned and finished, every number is read once."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsats_dagster.clients.ldap_intervals import HIGHEST, Interval, gaps, halves, intervals


def names(*found: Interval) -> list[str]:
    return [f"{lo}-{hi}" for lo, hi in found]


@pytest.mark.parametrize(
    ("finished", "plan", "wanted"),
    [
        ([], [], [(0, HIGHEST)]),
        ([], [(0, 99), (100, HIGHEST)], [(0, 99), (100, HIGHEST)]),
        ([(0, 99)], [(0, 99), (100, HIGHEST)], [(100, HIGHEST)]),
        ([(0, 49)], [(0, 99), (100, HIGHEST)], [(50, 99), (100, HIGHEST)]),
        ([(20, 30)], [], [(0, 19), (31, HIGHEST)]),
        ([(0, 99)], [(200, 299)], [(100, 199), (200, 299), (300, HIGHEST)]),
        ([(0, HIGHEST)], [(0, 99)], []),
        ([(0, 99), (0, 9)], [], [(100, HIGHEST)]),
    ],
)
def test_what_is_left_follows_the_plan(finished: list[Interval], plan: list[Interval], wanted: list[Interval]) -> None:
    assert gaps(names(*finished), names(*plan)) == wanted


def test_names_that_are_none_of_intervals_say_nothing() -> None:
    strange = ["outside", "9-0", "0-99999999999", f"0-{HIGHEST + 1}", "-1-5", "a-b", "0-9x", "", "٠-٩"]
    assert intervals([*strange, "0-9"]) == [(0, 9)]
    assert gaps(strange, strange) == [(0, HIGHEST)]


interval = st.tuples(st.integers(0, HIGHEST), st.integers(0, HIGHEST)).map(lambda ends: (min(ends), max(ends)))
near = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda ends: (min(ends), max(ends)))


@given(st.lists(interval | near, max_size=6), st.lists(interval | near, max_size=6))
def test_gaps_and_what_is_finished_hold_every_number_and_no_gap_holds_a_finished_one(
    finished: list[Interval], plan: list[Interval]
) -> None:
    left = gaps(names(*finished), names(*plan))
    assert left == sorted(left)
    assert all(before[1] < after[0] for before, after in pairwise(left))
    assert not any(lo <= done_hi and done_lo <= hi for lo, hi in left for done_lo, done_hi in finished)
    # Every number is in one: each interval begins where those before it end.
    reached = -1
    for lo, hi in sorted([*left, *finished]):
        assert lo <= reached + 1
        reached = max(reached, hi)
    assert reached == HIGHEST


@pytest.mark.parametrize(
    ("whole", "numbers", "wanted"),
    [
        ((0, 100), [3, 5, 9], ((0, 5), (6, 100))),
        ((0, 100), [], ((0, 50), (51, 100))),
        ((0, 100), [100, 100], ((0, 99), (100, 100))),
        ((7, 8), [7], ((7, 7), (8, 8))),
        ((5, 9), [1, 2], ((5, 5), (6, 9))),
        ((7, 7), [7], None),
    ],
)
def test_halves_are_smaller_and_together_the_whole(
    whole: Interval, numbers: list[int], wanted: tuple[Interval, Interval] | None
) -> None:
    assert halves(whole, numbers) == wanted
