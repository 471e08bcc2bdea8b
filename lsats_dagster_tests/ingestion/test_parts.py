"""A source that is read in parts: a read that dies keeps the finished ones, and the next goes on behind them."""

import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from lsats_dagster.database import Database
from lsats_dagster.ingestion.stream import Extract, HashRule, Part, UnprovenReadError
from lsats_dagster.runs import DIED
from lsats_dagster_tests.ingestion.memory import PartedThings, Thing, grow_older, send_to_paused_run

TENS = ["00", "10", "20", "30", "40"]
SIZES = dict.fromkeys(TENS, 10)


def die(things: PartedThings, parts: int = 2, error: type[BaseException] = ConnectionError, **request: Any) -> None:
    """One read that ends behind so many parts."""
    read = things.read

    def dying(client: Any, extract: Extract) -> Iterator[list[Any]]:
        pages = read(client, extract)
        for _ in range(parts):
            yield next(pages)
        raise error

    things.read = dying  # type: ignore[method-assign]
    with pytest.raises(error):
        things.ingest(**request)
    things.read = read  # type: ignore[method-assign]
    things.read_parts.clear()


def stored_parts(things: PartedThings) -> list[tuple[str, bool, int]]:
    """(part, whether it is of the plan, how many keys are kept)."""
    return [
        tuple(row) for row in things.rows("select part, planned, cardinality(keys) from meta.read_parts order by part")
    ]


@pytest.mark.parametrize("batch_size", [3, 10, 1000])
def test_a_read_goes_on_behind_the_parts_of_one_that_died(hub: Database, batch_size: int) -> None:
    things = PartedThings(hub, 50, batch_size=batch_size)
    things.ingest()
    die(things)
    assert stored_parts(things)[:2] == [("00", False, 10), ("00", True, 0)]
    # One leaves a part that was finished, one a part that was not: only the second is known to be gone.
    things.listed = [thing for thing in things.listed if thing["ID"] not in (5, 45)]
    run = things.ingest()
    assert things.befores[-1].finished == {"00", "10"}
    assert things.read_parts == TENS[2:]
    assert run.counts.removed == 1
    assert set(map(str, range(50))) - things.present() == {"45"}
    assert things.ingest().counts.removed == 1
    assert set(map(str, range(50))) - things.present() == {"5", "45"}


def test_the_parts_of_a_complete_read_are_the_plan_of_the_next(hub: Database) -> None:
    things = PartedThings(hub, 50)
    die(things)
    things.ingest()
    assert stored_parts(things) == [(name, True, 0) for name in TENS], "keys are emptied when the read is complete"
    del things.listed[45:]
    things.ingest()
    assert things.befores[0].parts == things.befores[1].parts == {}
    assert (things.befores[2].parts, things.befores[2].finished) == (SIZES, frozenset())
    things.ingest()
    assert things.befores[3].parts == SIZES | {"40": 5}


def test_two_reads_that_die_add_up(hub: Database) -> None:
    things = PartedThings(hub, 50)
    die(things)
    die(things, parts=1)
    run = things.ingest()
    assert things.read_parts == TENS[3:]
    assert (run.metadata["extract"]["state"], len(things.present())) == ("complete", 50)


def test_a_killed_read_leaves_its_finished_parts(hub: Database) -> None:
    """A process that is killed with two parts written: the next read leaves these two out."""
    send_to_paused_run(hub, "parts", signal.SIGKILL)
    things = PartedThings(hub, 49, batch_size=5)
    run = things.ingest()
    written = set(things.befores[-1].finished)
    # The last batch may have been under way.
    assert written in ({"00"}, {"00", "10"})
    assert things.read_parts == [name for name in TENS if name not in written]
    assert things.rows("select error_message from meta.ingestion_runs order by run_seq")[0].error_message == DIED
    assert (run.metadata["extract"]["state"], len(things.present())) == ("complete", 49)


@pytest.mark.parametrize(("hours", "counted"), [(23, True), (25, False)])
def test_parts_count_for_a_day(hub: Database, hours: int, counted: bool) -> None:
    things = PartedThings(hub, 50)
    die(things)
    grow_older(hub, timedelta(hours=hours))
    things.ingest()
    assert things.read_parts == TENS[2 if counted else 0 :]


def test_parts_that_are_too_old_are_no_part_of_the_plan(hub: Database) -> None:
    things = PartedThings(hub, 50)
    die(things)
    grow_older(hub, timedelta(hours=25))
    del things.listed[:10]
    things.ingest()
    assert [part for part, _, _ in stored_parts(things)] == TENS[1:]


@pytest.mark.parametrize("declared", [{"left_out": ("Name",)}, {"kept": ("ID",)}, {"hash_rule": HashRule(version=2)}])
def test_parts_that_were_stored_in_another_way_do_not_count(hub: Database, declared: dict[str, Any]) -> None:
    things = PartedThings(hub, 50)
    die(things)
    things.declared = declared
    things.ingest()
    assert things.read_parts == TENS
    assert things.ingest().counts.skipped == 50


def test_a_part_with_a_quarantined_record_is_not_finished(hub: Database) -> None:
    things = PartedThings(hub, 50)
    things.listed[3]["Name"] = {"a\x00": 1, "a": 2}
    die(things)
    assert things.quarantined() == [("3", "convert")]
    things.ingest()
    assert things.read_parts == ["00", "20", "30", "40"]


@pytest.mark.parametrize("request_", [{"limit": 30}, {"dry_run": True}])
def test_parts_of_a_read_of_a_part_do_not_count(hub: Database, request_: dict[str, Any]) -> None:
    things = PartedThings(hub, 50)
    die(things, **request_)
    things.ingest(**request_)
    things.read_parts.clear()
    assert stored_parts(things) == []
    things.ingest()
    assert things.read_parts == TENS


def test_parts_of_a_window_do_not_count(hub: Database) -> None:
    """Of a part that brought what changed the rest was not read."""
    things = PartedThings(hub, 50, whole_every=timedelta(days=7))
    read = things.read

    def remembering(client: Any, extract: Extract) -> Iterator[list[Any]]:
        extract.remember(cursor=1)
        yield from read(client, extract)

    things.read = remembering  # type: ignore[method-assign]
    things.ingest()
    die(things)
    assert things.befores[-1].changes_only
    things.ingest(full=True)
    assert things.read_parts == TENS


def test_a_limited_read_that_came_to_the_end_leaves_the_plan_as_it_is(hub: Database) -> None:
    things = PartedThings(hub, 50)
    things.ingest()
    things.ingest(limit=500)
    things.ingest()
    assert things.befores[-1].parts == SIZES


def test_a_second_reading_goes_on_behind_the_parts_of_the_first(hub: Database) -> None:
    things = PartedThings(hub, 50)
    read, readings = things.read, 0

    def unsteady(client: Any, extract: Extract) -> Iterator[list[Any]]:
        nonlocal readings
        readings += 1
        pages = read(client, extract)
        if readings == 1:
            yield next(pages)
            raise UnprovenReadError("rows moved")
        yield from pages

    things.read = unsteady  # type: ignore[method-assign]
    run = things.ingest()
    assert things.read_parts == TENS
    assert (run.metadata["extract"]["attempt"], run.counts.created) == (2, 50)


@pytest.mark.parametrize("batch_size", [1, 10, 1000])
def test_a_part_whose_record_waits_for_the_end_is_not_finished(hub: Database, batch_size: int) -> None:
    """Two parts have a record of the same key, and the read dies: the next one must see both."""
    things = PartedThings(hub, 50, batch_size=batch_size)
    twin: Thing = {"ID": 3, "Name": "Another"}

    def read(_client: Any, extract: Extract) -> Iterator[list[Any]]:
        things.befores.append(extract.before)
        for name in TENS:
            if name not in extract.before.finished:
                records = [thing for thing in things.listed if thing["ID"] // 10 == int(name) // 10]
                yield Part(name, [*records, twin] if name == "10" else records)
        extract.complete("every part was read")

    things.read = read  # type: ignore[method-assign]
    die(things, parts=3)
    finished = {part for part, _, _ in stored_parts(things)}
    assert "10" not in finished
    assert "20" in finished
    things.ingest()
    things.ingest()
    assert things.quarantined() == [("3", "duplicate")]
    assert len(things.present()) == 50
