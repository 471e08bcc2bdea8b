"""Records that share a key: what stands depends on what came, never on the order or on the borders of batches."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from lsats_dagster.database import Database
from lsats_dagster.ingestion import doubles
from lsats_dagster.ingestion.content import prepare
from lsats_dagster.ingestion.stream import Extract, UnprovenReadError
from lsats_dagster_tests import depth
from lsats_dagster_tests.ingestion.memory import Thing, Things

NAMES = ["One", "Two", "Three"]
TWINS: list[Thing] = [{"ID": 3, "Name": name} for name in NAMES]


def lowest(things: Things, records: list[Thing]) -> Thing:
    """The record whose hash is the lowest."""
    return min(records, key=lambda record: prepare(things.stream, record).entity_hash)


def among_others(records: list[Thing]) -> list[Thing]:
    """The records with another one before, between and behind them."""
    listed: list[Thing] = [{"ID": 100}]
    for place, record in enumerate(records):
        listed += [record, {"ID": 101 + place}]
    return listed


def balanced(things: Things) -> bool:
    run = things.last_run()
    parts = (run.records_created, run.records_updated, run.records_skipped, run.records_failed)
    return bool(run.records_processed == sum(parts))


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
@pytest.mark.parametrize("again", [1, 2])
def test_equal_records_of_one_key_are_one(hub: Database, batch_size: int, again: int) -> None:
    things = Things(hub, 10, batch_size=batch_size)
    things.listed += things.listed[:2] * again
    run = things.ingest()
    assert (run.counts.created, run.counts.skipped, run.counts.failed) == (10, 2 * again, 0)
    assert things.quarantined() == []


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
@pytest.mark.parametrize("order", list(permutations(range(3)))[:: 1 if depth.PROOF else 2], ids=str)
def test_the_lowest_hash_stands_and_a_read_in_other_order_writes_nothing(
    hub: Database, batch_size: int, order: tuple[int, ...]
) -> None:
    things = Things(hub, 0, batch_size=batch_size)
    stands = lowest(things, TWINS)
    things.listed = among_others([TWINS[place] for place in order])
    first = things.ingest()
    assert things.payload("3") == stands
    assert things.quarantined() == [("3", "duplicate")] * 2
    assert (first.counts.processed, balanced(things), len(things.present())) == (7, True, 5)
    log = things.log()
    for others in permutations(TWINS):
        things.listed = among_others(list(others))
        run = things.ingest()
        assert (run.counts.skipped, run.counts.failed) == (5, 2)
    assert things.log() == log
    assert things.quarantined() == [("3", "duplicate")] * 2
    assert things.quarantined(resolved=True) == []


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_the_order_does_not_matter_where_a_record_stood_before(hub: Database, batch_size: int) -> None:
    things = Things(hub, 0, batch_size=batch_size)
    things.listed = [{"ID": 3, "Name": "Former"}]
    things.ingest()
    things.listed = among_others(TWINS)
    things.ingest()
    assert things.payload("3") == lowest(things, TWINS)
    assert sorted(things.quarantined()) == [("3", "duplicate")] * 2
    assert balanced(things)


@pytest.mark.parametrize("left", NAMES)
@pytest.mark.parametrize("batch_size", [1, 1000])
def test_a_double_that_is_cured_is_written_and_leaves_quarantine(hub: Database, left: str, batch_size: int) -> None:
    things = Things(hub, 0, batch_size=batch_size)
    things.listed = among_others(TWINS)
    things.ingest()
    things.listed = [{"ID": 3, "Name": left}, {"ID": 4}]
    things.ingest()
    assert things.payload("3")["Name"] == left
    assert (things.quarantined(), things.quarantined(resolved=True)) == ([], [("3", "duplicate")] * 2)
    things.listed[0] = {"ID": 3, "Name": "Changed"}
    assert things.ingest().counts.updated == 1


def test_a_read_that_ends_early_writes_nothing_of_known_doubles(hub: Database) -> None:
    things = Things(hub, 0, batch_size=2)
    things.listed = among_others(TWINS)
    things.ingest()
    log, read = things.log(), things.read
    things.listed = [{"ID": 3, "Name": "Changed"}, *things.listed]
    run = things.ingest(limit=4)
    assert run.metadata["extract"].get("waiting_for_a_whole_read") == 2
    assert (run.counts.processed, things.log()) == (2, log)
    assert balanced(things)

    def dying(client: Any, extract: Extract) -> Iterator[list[Any]]:
        yield next(read(client, extract))
        raise ConnectionError

    things.read = dying  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        things.ingest()
    assert things.log() == log
    assert balanced(things)
    assert things.quarantined() == [("3", "duplicate")] * 2


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_a_dry_run_counts_doubles_as_a_run_does(hub: Database, batch_size: int) -> None:
    things = Things(hub, 0, batch_size=batch_size)
    for records in (TWINS, TWINS[::-1]):
        things.listed = among_others(records)
        dry = things.ingest(dry_run=True)
        assert (things.log(), things.quarantined()) == ([], [])
    assert dry.counts == things.ingest().counts
    dry = things.ingest(dry_run=True)
    assert dry.counts == things.ingest().counts


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
@pytest.mark.parametrize(("waiting", "proven"), [(3, True), (4, False)])
def test_too_many_doubles_mean_that_the_key_is_none(
    hub: Database, monkeypatch: pytest.MonkeyPatch, batch_size: int, waiting: int, proven: bool
) -> None:
    things = Things(hub, 10, batch_size=batch_size)
    things.ingest()
    monkeypatch.setattr(doubles, "MOST_HELD", 3)
    gone = things.listed.pop()
    # In a batch of their own, all but the first of them wait; known doubles, all.
    things.listed += [{"ID": 3, "Name": f"Twin {number}"} for number in range(waiting - (batch_size > 10))]
    if proven:
        assert things.ingest().counts.failed == waiting - (batch_size > 10)
        return
    with pytest.raises(UnprovenReadError, match="is the key right"):
        things.ingest()
    assert str(gone["ID"]) in things.present()
    assert "is the key right" in things.last_run().metadata["extract"]["reason"]
    assert balanced(things)


def test_a_second_reading_without_so_many_doubles_is_a_good_one(hub: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubles, "MOST_HELD", 3)
    things = Things(hub, 10)
    twins: list[Thing] = [{"ID": 3, "Name": f"Twin {number}"} for number in range(5)]
    read, pages = things.read, iter([twins, []])
    things.read = lambda client, extract: iter([next(pages), *read(client, extract)])  # type: ignore[method-assign]
    run = things.ingest()
    assert (run.metadata["extract"]["attempt"], run.counts.created) == (2, 10)
    assert balanced(things)


@pytest.mark.parametrize("order", [1, -1])
def test_a_doubled_key_does_not_stand_for_one_that_is_gone(hub: Database, order: int) -> None:
    """As many keys as before were written, one of them twice."""
    things = Things(hub, 21, batch_size=1)
    things.ingest()
    things.listed = [*[thing for thing in things.listed[:20] if thing["ID"] != 3], *TWINS[:2][::order]]
    run = things.ingest()
    assert run.counts.removed == 1
    assert things.present() == set(map(str, range(20)))


def test_a_dry_run_sees_that_one_came_and_one_went(hub: Database) -> None:
    """As many keys came as are present."""
    things = Things(hub, 21)
    things.ingest()
    things.listed[20] = {"ID": 99}
    counts = things.ingest(dry_run=True).counts
    assert (counts.created, counts.removed) == (1, 1)
