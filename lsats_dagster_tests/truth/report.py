"""The figures of the truth at the end of a run of tests: by size of the campus and entity, the hub beside the peer's rules.

A plugin of pytest, so that they are told whichever process lived the lives.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

PROPERTY = "truth"
# Heading -> what is counted, as `measures` names it.
COLUMNS = {
    "rows": "rows", "pairs": "expected", "found": "found", "wrong": "wrong", "missing": "missing", "lingering": "lingering",
    "hidden": "hidden", "left": "left", "back": "returned", "unseen": "unseen",
}  # fmt: skip
NOTE = """Sums over the evenings. rows: entities that are there; pairs: records that belong together by truth and identifiers;
lingering: rows that show as there and are not; hidden: the other way round; left, back: entities that went or came back that
day; unseen: those of them whose row did not show it."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of all lives, failed ones too."""
    told = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if told:
        terminalreporter.section("truth")
        terminalreporter.write_line("\n".join(lines(told)))


def lines(told: Iterable[Mapping[str, Any]]) -> list[str]:
    """The table of these lives."""
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    lived: dict[str, list[int]] = defaultdict(list)
    for story in told:
        lived[story["size"]].append(story["days"])
        for who, counts in story["counts"].items():
            sums[story["size"], who].update(counts)
    head = " " * 24 + "".join(f"{name:>10}" for name in COLUMNS)
    found = [NOTE]
    for size, days in lived.items():
        found += [f"{size}: {len(days)} seeds, {max(days)} days each", head]
        for (of, who), counts in sums.items():
            if of == size:
                found.append(f"  {who:<22}" + "".join(f"{counts[name]:>10}" for name in COLUMNS.values()))
    return found
