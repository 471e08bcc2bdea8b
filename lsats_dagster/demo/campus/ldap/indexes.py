"""Indexes: entries in the order of one attribute, so that a search for an interval does not look at all of them."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from copy import copy
from itertools import chain
from math import inf
from typing import Any

from lsats_dagster.demo.campus.ldap.entries import Entry
from lsats_dagster.demo.campus.ldap.filters import And, Filter, Or, Substrings, Within
from lsats_dagster.demo.campus.ldap.syntaxes import COMPARABLE, Syntax

LAST_CHARACTER = "\U0010ffff"
# New rows from which on sorting is faster than finding the place of each.
MANY = 100


class Index:
    """Entries by the comparable values of an attribute. An entry with several values stands at each of them."""

    def __init__(self, attribute: str, syntax: Syntax) -> None:
        self.attribute = attribute
        self._comparable = COMPARABLE[syntax]
        self._rows: list[tuple[Any, int, Entry]] = []
        self._new: list[tuple[Any, int, Entry]] = []
        self._several = 0

    def add(self, entry: Entry) -> None:
        """Take up an entry."""
        rows = self._rows_of(entry)
        self._several += len(rows) > 1
        self._new += rows

    def remove(self, entry: Entry) -> None:
        """Forget an entry that was added."""
        self._sort()
        rows = self._rows_of(entry)
        self._several -= len(rows) > 1
        for row in rows:
            del self._rows[bisect_left(self._rows, row[:2])]

    def copy(self) -> "Index":
        """Another one of the same entries."""
        self._sort()
        other = copy(self)
        other._rows = self._rows.copy()
        other._new = []
        return other

    def clear(self) -> None:
        """Forget all entries."""
        self._rows, self._new, self._several = [], [], 0

    def between(self, low: Any, high: Any) -> list[Entry]:
        """The entries with a value from `low` to `high`; None leaves an end open."""
        self._sort()
        start = 0 if low is None else bisect_left(self._rows, (low,))
        end = len(self._rows) if high is None else bisect_right(self._rows, (high, inf))
        return [entry for _, _, entry in self._rows[start:end]]

    @property
    def single(self) -> bool:
        """Whether no entry has several values: only then the same value must meet two conditions."""
        return self._several == 0

    def _rows_of(self, entry: Entry) -> list[tuple[Any, int, Entry]]:
        found = entry.attributes.get(self.attribute)
        values = {self._comparable(value) for value in found.values} if found else set()
        return [(value, entry.place, entry) for value in values if value is not None]

    def _sort(self) -> None:
        """Put what is new in its place; much of it at once, because one after another takes long at a start."""
        # No two rows have value and place in common: entries are never compared.
        if len(self._new) < MANY:
            for row in self._new:
                insort(self._rows, row)
        else:
            self._rows = sorted(self._rows + self._new)
        self._new = []


def candidates(query: Filter, indexes: Mapping[str, Index]) -> list[Entry] | None:
    """Entries among which all are that meet a filter, in the order in which they were added; None if that may be any."""
    found = _candidates(query, indexes)
    if found is None:
        return None
    return [entry for _, entry in sorted({entry.place: entry for entry in found}.items())]


def _candidates(query: Filter, indexes: Mapping[str, Index]) -> list[Entry] | None:
    if (interval := _interval(query)) and (index := indexes.get(interval[0])):
        return index.between(*interval[1:])
    if isinstance(query, Or):
        found = [_candidates(part, indexes) for part in query.parts]
        whole = [entries for entries in found if entries is not None]
        return list(chain.from_iterable(whole)) if len(whole) == len(found) else None
    if isinstance(query, And):
        found = [_candidates(part, indexes) for part in _narrowed(query.parts, indexes)]
        return min((entries for entries in found if entries is not None), key=len, default=None)
    return None


def _narrowed(parts: Iterable[Filter], indexes: Mapping[str, Index]) -> list[Filter]:
    """The same conditions, with one interval for all on an attribute of which no entry has several values."""
    parts = list(parts)
    ranges: dict[str, Within] = {}
    for part in parts:
        if isinstance(part, Within) and part.attribute in indexes and indexes[part.attribute].single:
            before = ranges.get(part.attribute, part)
            low = max((end for end in (before.low, part.low) if end is not None), default=None)
            high = min((end for end in (before.high, part.high) if end is not None), default=None)
            ranges[part.attribute] = Within(part.attribute, part.syntax, low, high, part.text)
    return [*ranges.values(), *(part for part in parts if not (isinstance(part, Within) and part.attribute in ranges))]


def _interval(query: Filter) -> tuple[str, Any, Any] | None:
    """Attribute and ends of the interval in which the values are that meet a condition; None if it says none."""
    if isinstance(query, Within):
        return query.attribute, query.low, query.high
    if isinstance(query, Substrings) and query.initial and isinstance(query.initial, str):
        return query.attribute, query.initial, query.initial + LAST_CHARACTER
    return None
