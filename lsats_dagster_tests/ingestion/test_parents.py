"""Streams that are asked by keys: those of a parent, those that a read lacks, and those that are only known to be there."""

from collections.abc import Iterator
from typing import Any

import pytest

from lsats_dagster.database import Database
from lsats_dagster.ingestion.removals import removal_limit
from lsats_dagster.ingestion.request import RefusedRequestError
from lsats_dagster.ingestion.stream import Extract, Present
from lsats_dagster_tests.ingestion.memory import Thing, Things, finding


def child_of(parent: Things) -> tuple[Things, dict[str, list[str]]]:
    """A stream with one record for each key of the parent, and the keys that its reader was told."""
    child = Things(parent.hub, 0, parent=parent.stream, entity_type="child", table="children")
    told: dict[str, list[str]] = {}

    def read(_client: Any, extract: Extract) -> Iterator[list[Thing]]:
        told["parent"], told["own"] = extract.before.parent_keys(), extract.before.own_keys()
        yield [{"ID": key} for key in told["parent"]]
        extract.complete("every key was asked for")

    child.read = read  # type: ignore[method-assign]
    return child, told


def test_a_child_waits_for_a_whole_read_of_its_parent(hub: Database) -> None:
    parent = Things(hub, 20)
    child, told = child_of(parent)
    parent.ingest(limit=5)
    with pytest.raises(RefusedRequestError, match=r"bronze/\w+ is asked by the keys of bronze/\w+, which"):
        child.ingest()
    assert (told, child.last_run("child").status) == ({}, "failed")
    parent.ingest()
    assert child.ingest().counts.created == 20


def test_a_child_is_told_the_keys_of_removed_records_too(hub: Database) -> None:
    parent = Things(hub, 20)
    child, told = child_of(parent)
    parent.ingest()
    child.ingest()
    assert told["own"] == []
    parent.listed.pop()
    assert parent.ingest().counts.removed == 1
    child.ingest()
    assert told["parent"] == told["own"] == sorted(map(str, range(20)))


class Confirming(Things):
    """Things whose source can be asked for single ones. hidden: what it has and does not list."""

    def __init__(self, hub: Database, count: int, **declared: Any) -> None:
        super().__init__(hub, count, confirm=self.confirm, **declared)
        self.hidden: dict[str, Thing] = {}
        self.confirmed: list[str] = []
        self.ill = False

    def hide(self, *places: int) -> None:
        for place in places:
            self.hidden[str(place)] = self.listed[place]
        self.listed = [thing for thing in self.listed if str(thing["ID"]) not in self.hidden]

    def confirm(self, _client: Any, keys: list[str]) -> Iterator[list[Thing]]:
        self.confirmed += keys
        yield [self.hidden[key] for key in keys if key in self.hidden]
        if self.ill:
            raise ConnectionError


def test_what_a_read_lacks_is_asked_for_singly(hub: Database) -> None:
    things = Confirming(hub, 40)
    things.ingest()
    things.hide(3, 7)
    things.hidden["7"] = things.hidden["7"] | {"Name": "Changed"}
    things.listed.pop()
    run = things.ingest()
    assert sorted(things.confirmed) == ["3", "39", "7"]
    assert (run.counts.removed, run.counts.updated, run.counts.processed) == (1, 1, 39)
    assert set(map(str, range(40))) - things.present() == {"39"}
    assert finding(run, "removal_guard").passed


@pytest.mark.parametrize("beyond", [0, 1])
def test_more_than_may_go_is_not_asked_for(hub: Database, beyond: int) -> None:
    things = Confirming(hub, 40)
    things.ingest()
    del things.listed[: removal_limit(40) + beyond]
    run = things.ingest()
    assert len(things.confirmed) == (0 if beyond else removal_limit(40))
    assert run.counts.removed == (0 if beyond else removal_limit(40))


def test_a_read_that_is_not_whole_asks_for_nothing(hub: Database) -> None:
    things = Confirming(hub, 40)
    things.ingest()
    things.listed.pop()
    things.ingest(limit=35)
    assert things.confirmed == []


def test_an_error_of_a_single_call_fails_the_run_and_removes_nothing(hub: Database) -> None:
    things = Confirming(hub, 40)
    things.ingest()
    things.hide(3)
    things.hidden["3"] |= {"Name": "Changed"}
    things.listed.pop()
    things.ill = True
    with pytest.raises(ConnectionError):
        things.ingest()
    assert len(things.present()) == 40
    assert things.payload("3")["Name"] == "Changed", "what was read is kept"
    run = things.last_run()
    assert (run.status, run.metadata["extract"]["state"]) == ("failed", "partial")


def test_a_doubled_record_is_not_asked_for(hub: Database) -> None:
    """It came, and waits for the end of the read."""
    things = Confirming(hub, 40)
    things.listed.append({"ID": 3, "Name": "Another"})
    things.ingest()
    things.hide(39)
    things.ingest()
    assert things.confirmed == ["39"]


def test_a_key_that_is_only_known_to_be_there_is_neither_gone_nor_compared(hub: Database) -> None:
    things = Things(hub, 20)
    things.ingest()
    kept = [str(thing["ID"]) for thing in things.listed[10:]]

    def read(_client: Any, extract: Extract) -> Iterator[list[Any]]:
        yield list(things.listed[:5])
        yield Present(kept)
        yield list(things.listed[5:9])
        extract.complete("end of the list in memory")

    things.read = read  # type: ignore[method-assign]
    run = things.ingest()
    assert (run.counts.processed, run.counts.skipped, run.counts.removed) == (9, 9, 1)
    assert set(map(str, range(20))) - things.present() == {"9"}


def test_keys_that_are_known_to_be_there_are_an_answer(hub: Database) -> None:
    """Nothing was due to be read anew: that is no source that answers with nothing."""
    things = Things(hub, 20)
    things.ingest()

    def read(_client: Any, extract: Extract) -> Iterator[list[Any]]:
        yield Present(map(str, range(19)))
        extract.complete("every key was asked for")

    things.read = read  # type: ignore[method-assign]
    assert things.ingest().counts.removed == 1


def test_what_is_quarantined_of_a_key_that_was_not_read_stays(hub: Database) -> None:
    things = Things(hub, 20)
    good = things.listed[3]
    things.ingest()
    things.listed[3] = good | {"Name": {"a\x00": 1, "a": 2}}
    things.ingest()

    def read(_client: Any, extract: Extract) -> Iterator[list[Any]]:
        yield [thing for thing in things.listed if thing["ID"] != 3]
        yield Present(["3"])
        extract.complete("end of the list in memory")

    things.read = read  # type: ignore[method-assign]
    things.ingest()
    assert things.quarantined() == [("3", "convert")]
