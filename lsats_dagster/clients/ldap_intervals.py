"""Intervals of whole numbers, by which a directory is read in parts: names, halves, and what is left to read."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median_low

from lsats_dagster.clients.ldap_messages import Entry

Interval = tuple[int, int]

HIGHEST = 2**31 - 1
# As long as any that a server might find; a shorter limit would make an entry that is in no interval hide all others.
_NUMBER = re.compile(rb"-?[0-9]{1,1000}")
_NAME = re.compile(r"([0-9]{1,10})-([0-9]{1,10})", re.ASCII)


def gaps(finished: Iterable[str], plan: Iterable[str]) -> list[Interval]:
    """The intervals that are left to read, in order: with the finished ones they hold every number from 0 to HIGHEST.

    They are those of the plan where it has any. Names that are none of intervals say nothing.
    """
    done, planned = intervals(finished), intervals(plan)
    cuts = sorted({0, HIGHEST + 1, *(edge for lo, hi in (*done, *planned) for edge in (lo, hi + 1))})
    ends: dict[int, int] = {}
    for lo, hi in done:
        ends[lo] = max(hi, ends.get(lo, hi))
    left, until = [], -1
    for lo, behind in pairwise(cuts):
        until = max(until, ends.get(lo, -1))
        if lo > until:
            left.append((lo, behind - 1))
    return left


def halves(interval: Interval, numbers: Sequence[int]) -> tuple[Interval, Interval] | None:
    """An interval in two, at the median of some numbers that are in it; None where it is one number."""
    lo, hi = interval
    if lo == hi:
        return None
    middle = median_low(numbers) if numbers else (lo + hi) // 2
    middle = min(max(middle, lo), hi - 1)
    return (lo, middle), (middle + 1, hi)


def intervals(names: Iterable[str]) -> list[Interval]:
    """The intervals among these names of parts, `lo-hi`."""
    matches = filter(None, map(_NAME.fullmatch, names))
    found = [(int(match[1]), int(match[2])) for match in matches]
    return [(lo, hi) for lo, hi in found if lo <= hi <= HIGHEST]


def numbers_of(entry: Entry, by: str) -> list[int]:
    """The numbers that an entry has of an attribute, one as a rule."""
    given = [value for name, values in entry[1].items() if name.lower() == by.lower() for value in values]
    return [int(value) for value in given if _NUMBER.fullmatch(value)]
