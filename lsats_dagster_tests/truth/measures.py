"""How far rows are from the truth: pairs that are wrong or missing, and what left or returned and does not show it."""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import combinations

from lsats_dagster_tests.truth.records import Known, Links, Record, Rows

Pair = tuple[Record, Record]
# What must be none. Pairs of records: of two people, or of one and not joined. Rows: that show as there and are not, and the
# other way round; that left or returned today and do not show it.
FAULTS = ("wrong", "missing", "lingering", "hidden", "unseen")
SHOWN_OF_EACH = 5


def pairs(clusters: Iterable[Collection[Record]]) -> set[Pair]:
    """Every two records of one cluster."""
    return {pair for cluster in clusters for pair in combinations(sorted(cluster), 2)}


def true_pairs(known: Known, links: Links, tables: Collection[str]) -> set[Pair]:
    """Every two records there now that are of one and the same, and that a valid identifier shows to be."""
    clusters: dict[tuple[Hashable, Hashable], list[Record]] = defaultdict(list)
    for record in known.present:
        if record[0] in tables and record in links:
            clusters[links[record], known.identities[record]].append(record)
    return pairs(clusters.values())


@dataclass
class Watch:
    """One entity in one system, looked at every evening. counts: sums over the days; faults: some of what was wrong, by day."""

    name: str
    tables: tuple[str, ...]
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _there: set[str] = field(default_factory=set)
    _ever: set[str] = field(default_factory=set)

    def look(self, day: int, known: Known, links: Links, rows: Rows) -> None:
        """Compare the rows of this evening with the truth."""
        expected = true_pairs(known, links, self.tables)
        shown = {key for key, row in rows.items() if row.is_present}
        placed = {record for key in shown for record in rows[key].records}
        # A row whose records went on to another one keeps their keys, and is none of theirs.
        own = {key: row.records & known.present - (set() if row.is_present else placed) for key, row in rows.items()}
        found = pairs(own[key] for key in shown)
        there = {key for key, records in own.items() if records}
        left, returned = self._there - there, (there - self._there) & self._ever
        wrong: dict[str, Collection[object]] = {
            "wrong": {(one, other) for one, other in found if known.identities[one] != known.identities[other]},
            "missing": expected - found,
            "lingering": shown - there,
            "hidden": there - shown,
            "unseen": (left & shown) | (returned - shown),
        }
        self.counts.update({"rows": len(there), "expected": len(expected), "found": len(found & expected)})
        self.counts.update({"left": len(left), "returned": len(returned)})
        for name in FAULTS:
            self.note(day, name, wrong[name])
        self._there, self._ever = there, self._ever | rows.keys()

    def note(self, day: int, name: str, found: Collection[object]) -> None:
        """Count what is wrong, and keep some of it."""
        self.counts[name] += len(found)
        examples = ", ".join(str(example) for example in sorted(found, key=str)[:SHOWN_OF_EACH])
        self.faults += [f"day {day}, {self.name}: {len(found)} {name}: {examples}"] if found else []
