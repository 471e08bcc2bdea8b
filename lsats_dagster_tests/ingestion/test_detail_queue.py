"""The queue of details over days: what was answered, when it will be done, and what denials of a day add up to."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lsats_dagster.database import Database
from lsats_dagster.ingestion.removals import removal_limit
from lsats_dagster.ingestion.stream import SkippedRecordError
from lsats_dagster_tests.ingestion.memory import Thing, Things, finding, grow_older


def test_a_thing_gone_from_the_list_whose_detail_still_answers_is_asked_once(hub: Database) -> None:
    things = Things(hub, 20)
    things.ingest()
    things.enrich()
    gone = str(things.listed.pop()["ID"])
    things.ingest()
    things.asked.clear()
    for _ in range(3):
        things.enrich()
    assert things.asked == [gone]
    assert gone in things.present("thing_detail")


def test_the_expected_finish_is_at_the_pace_of_the_run(hub: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour passes with each call, on a clock that the test moves."""
    things = Things(hub, 30)
    things.ingest()
    passed = 0.0
    clock, answer = time.monotonic, things.fetch

    def fetch(client: Any, key: str) -> Thing | None:
        nonlocal passed
        passed += 3600
        return answer(client, key)

    things.fetch = fetch  # type: ignore[method-assign]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + passed)
    began = datetime.now(UTC)
    run = things.enrich(budget=6)
    ended = datetime.now(UTC)
    finish = datetime.fromisoformat(run.metadata["extract"]["expected_finish"])
    # Minutes for what is rounded, and for the time that the run itself took.
    assert began + timedelta(hours=24, minutes=-2) <= finish <= ended + timedelta(hours=24, minutes=2 + 24)


@pytest.mark.parametrize(("hours", "counted"), [(0, True), (23, True), (25, False)])
def test_denials_of_a_day_count_together(hub: Database, hours: int, counted: bool) -> None:
    things = Things(hub, 60)
    limit = removal_limit(60)

    def deny(places: range) -> Any:
        """The list has these things, and has changed them; their own calls say, again and again, that they are not there."""
        for place in places:
            things.listed[place] |= {"Name": f"Changed {place}"}
            things.denied.add(str(place))
        things.ingest()
        things.enrich()
        return things.enrich()

    things.ingest()
    things.enrich()
    deny(range(limit))
    assert len(things.present("thing_detail")) == 60 - limit
    grow_older(hub, timedelta(hours=hours))
    run = deny(range(limit, limit + 3))
    assert len(things.present("thing_detail")) == 60 - limit - (0 if counted else 3)
    assert finding(run, "removal_guard").passed == (not counted)


def outcomes(things: Things, key: str) -> list[str]:
    """How the calls of a key ended, in order."""
    return [
        row.outcome
        for row in things.rows(
            "select outcome from meta.detail_fetches where external_id = :key order by fetch_seq", key=key
        )
    ]


def test_a_first_denial_is_noted_and_the_second_of_another_run_removes(hub: Database) -> None:
    things = Things(hub, 20)
    things.ingest()
    things.enrich()
    things.denied.add("3")
    first = things.enrich(full=True)
    assert (first.counts.removed, outcomes(things, "3")) == (0, ["found", "denied"])
    assert (first.metadata["extract"]["listed_but_not_there"], first.metadata["extract"]["state"]) == (1, "partial")
    assert "3" in things.present("thing_detail")
    things.asked.clear()
    second = things.enrich()
    assert (things.asked, second.counts.removed, outcomes(things, "3")[-1]) == (["3"], 1, "gone")
    assert "3" not in things.present("thing_detail")


def test_a_denial_that_was_none_is_forgotten(hub: Database) -> None:
    things = Things(hub, 20)
    things.ingest()
    things.denied.add("3")
    things.enrich()
    things.denied.clear()
    things.enrich()
    assert "3" in things.present("thing_detail")
    things.denied.add("3")
    assert things.enrich(full=True).counts.removed == 0
    assert outcomes(things, "3") == ["denied", "found", "denied"]


def test_what_is_gone_and_listed_is_asked_again_after_each_whole_read_of_the_list(hub: Database) -> None:
    things = Things(hub, 20)
    things.ingest()
    things.denied.add("3")
    for _ in range(2):
        things.enrich()
    assert outcomes(things, "3") == ["denied", "gone"]
    things.asked.clear()
    things.enrich()
    things.ingest(limit=5)
    things.enrich()
    assert things.asked == []
    for _ in range(2):
        things.ingest()
        things.enrich()
        things.enrich()
    assert things.asked == ["3", "3"]
    things.denied.clear()
    things.ingest()
    assert things.enrich().counts.created == 1
    things.ingest()
    things.asked.clear()
    things.enrich()
    assert things.asked == []


def test_a_detail_that_is_none_by_rule_is_quarantined(hub: Database) -> None:
    """Its key was asked for: it cannot be passed over, and one such answer ends no run."""
    things = Things(hub, 20)
    things.ingest()

    def rule(record: Any) -> str:
        if record["ID"] == "3":
            raise SkippedRecordError("without a room")
        return str(record["ID"])

    things.detail_declared = {"key": rule}
    run = things.enrich()
    assert (run.counts.created, run.counts.failed) == (19, 1)
    assert things.quarantined() == [("3", "key")]
