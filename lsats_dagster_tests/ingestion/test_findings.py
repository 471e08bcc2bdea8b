"""What a read finds of itself is true: each check turns red beyond its limit and not before, and the hub remembers it."""

from collections.abc import Iterator
from typing import Any

import pytest

from lsats_dagster.clients.errors import TransientSourceError
from lsats_dagster.database import Database
from lsats_dagster.ingestion.stream import Extract, UnansweredCallError, UnprovenReadError
from lsats_dagster_tests.ingestion.memory import Thing, Things, finding


@pytest.mark.parametrize(
    ("good", "bad", "passed"), [(100, 0, True), (100, 10, True), (100, 11, False), (4000, 20, True), (4000, 21, False)]
)
def test_too_many_quarantined_records_are_found(hub: Database, good: int, bad: int, passed: bool) -> None:
    things = Things(hub, good)
    things.listed += [{"Name": f"Without key {number}"} for number in range(bad)]
    run = things.ingest()
    assert run.counts.failed == bad
    assert finding(run, "integrity").passed == passed
    assert ("integrity" in things.state().failed_checks) == (not passed)


@pytest.mark.parametrize(("bad", "passed"), [(10, True), (11, False)])
def test_too_many_calls_without_an_answer_are_found(hub: Database, bad: int, passed: bool) -> None:
    things = Things(hub, 60)
    things.ingest()
    # One by one among others: several in a row would end the run.
    failing = [str(number * 3) for number in range(bad)]
    answer = things.fetch

    def fetch(client: Any, key: str) -> Thing | None:
        if key in failing:
            raise UnansweredCallError(TransientSourceError("HTTP 500"))
        return answer(client, key)

    things.fetch = fetch  # type: ignore[method-assign]
    run = things.enrich()
    assert run.metadata["extract"]["unanswered"] == bad
    assert finding(run, "integrity").passed == passed
    assert ("integrity" in things.state("example/thing_detail").failed_checks) == (not passed)


@pytest.mark.parametrize(("gone", "passed"), [(0, True), (6, True), (7, False)])
def test_a_fall_by_more_than_a_tenth_is_found(hub: Database, gone: int, passed: bool) -> None:
    things = Things(hub, 60)
    assert finding(things.ingest(), "volume").passed
    del things.listed[:gone]
    run = things.ingest()
    assert (run.row_count, run.counts.removed) == (60 - gone, gone)
    assert finding(run, "volume").passed == passed
    assert ("volume" in things.state().failed_checks) == (not passed)


def test_what_the_first_reading_brought_without_a_key_does_not_count_for_the_second(hub: Database) -> None:
    things = Things(hub, 20)
    things.ingest()
    gone = things.listed.pop()
    read, readings = things.read, 0

    def unsteady(client: Any, extract: Extract) -> Iterator[list[Any]]:
        nonlocal readings
        readings += 1
        if readings == 1:
            yield [{"Name": "Without key"}]
            raise UnprovenReadError("rows moved")
        yield from read(client, extract)

    things.read = unsteady  # type: ignore[method-assign]
    run = things.ingest()
    assert readings == 2
    assert finding(run, "removal_guard").passed
    assert (run.counts.removed, str(gone["ID"]) in things.present()) == (1, False)
