"""The queue of details over days: what was answered, when it will be done, and what denials of a day add up to."""

import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.removals import removal_limit
from lsats_dagster.ingestion.stream import HashRule, SkippedRecordError
from lsats_dagster.migrations import upgrade
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster_tests.conftest import new_database
from lsats_dagster_tests.ingestion.memory import Thing, Things, finding, grow_older
from lsats_dagster_tests.ingestion.test_live_payloads import sql_before


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


@pytest.mark.parametrize(
    ("asked", "calls", "left_hours"),
    [
        ({"limit": 6, "minutes": 10_000}, 6, 24),
        # No call begins after five hours; such a run begins every ten, so that half of the time is used.
        ({"minutes": 300, "every_minutes": 600}, 5, 50),
    ],
    ids=["calls", "minutes"],
)
def test_a_budget_is_kept_and_the_expected_finish_is_at_this_pace(
    hub: Database, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], calls: int, left_hours: float
) -> None:
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
    run = things.enrich(**asked)
    ended = datetime.now(UTC)
    assert (len(things.asked), run.metadata["extract"]["unasked"]) == (calls, 30 - calls)
    finish, left = datetime.fromisoformat(run.metadata["extract"]["expected_finish"]), timedelta(hours=left_hours)
    # Minutes for what is rounded, and for the time that the run itself took.
    assert began + left - timedelta(minutes=2) <= finish <= ended + left + timedelta(minutes=2 + left_hours)


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


def outcome(things: Things, key: str) -> str:
    """How the last call of a key ended: there is one row of each key."""
    (row,) = things.rows("select outcome from meta.detail_fetches where external_id = :key", key=key)
    return str(row.outcome)


def test_a_first_denial_is_noted_and_the_second_of_another_run_removes(hub: Database) -> None:
    things = Things(hub, 20)
    things.ingest()
    things.enrich()
    things.denied.add("3")
    first = things.enrich(full=True)
    assert (first.counts.removed, outcome(things, "3")) == (0, "denied")
    assert (first.metadata["extract"]["listed_but_not_there"], first.metadata["extract"]["state"]) == (1, "partial")
    assert "3" in things.present("thing_detail")
    things.asked.clear()
    second = things.enrich()
    assert (things.asked, second.counts.removed, outcome(things, "3")) == (["3"], 1, "gone")
    assert "3" not in things.present("thing_detail")


def test_a_denial_that_was_none_is_forgotten(hub: Database) -> None:
    things = Things(hub, 20)
    things.ingest()
    said = []
    for denied in (True, False, True):
        things.denied = {"3"} if denied else set()
        assert things.enrich(full=denied).counts.removed == 0
        said.append(outcome(things, "3"))
    assert said == ["denied", "found", "denied"]
    assert "3" in things.present("thing_detail")


@pytest.mark.parametrize("mark", [None, "Changed"])
def test_a_changed_thing_is_asked_once(hub: Database, mark: str | None) -> None:
    """Changed in its content, or by the source's own mark of modification alone."""
    declared = {"version_field": mark, "hash_rule": HashRule(volatile=frozenset({mark}))} if mark else {}
    things = Things(hub, 5, **declared)
    for day in range(3):
        things.listed[3] |= {mark or "Name": f"Day {day}"}
        things.ingest()
        things.asked.clear()
        for _ in range(2):
            things.enrich()
        assert things.asked == (["0", "1", "2", "3", "4"] if day == 0 else ["3"])


def test_a_thing_grows_old_from_its_last_call(hub: Database) -> None:
    things = Things(hub, 2)
    things.ingest()
    things.enrich()
    grow_older(hub, timedelta(days=31))
    for _ in range(2):
        things.enrich()
    assert things.asked == ["0", "1"] * 2


def test_an_upgrade_keeps_the_newest_call_of_each_key(server: EmbeddedPostgres, tmp_path: Path) -> None:
    """Before it there was a row of each call. A key whose last call failed is due; one whose last call was answered is not."""
    database = Database(new_database(server, template="template1"), role=None)
    former = sql_before("0015_newest_detail_fetches.sql", tmp_path)
    upgrade(database, former, (), ())
    with database.transaction() as connection:
        for failed in ("0", "1", "2"), ("2",), ("3",):
            connection.exec_driver_sql(
                "insert into meta.detail_fetches (source_system, entity_type, external_id, list_seq, outcome, run_id) "
                "select 'example', 'thing_detail', key::text, 1000, "
                "case when key::text = any(%s) then 'failed' else 'found' end, gen_random_uuid() "
                "from generate_series(0, 3) key",
                (list(failed),),
            )
    shutil.copytree(SQL_ROOT / "migrations", former / "migrations", dirs_exist_ok=True)
    upgrade(database, former, (), ())
    hub = Database(database.url.render_as_string(hide_password=False))
    things = Things(hub, 4)
    things.ingest()
    for _ in range(2):
        things.enrich()
    assert things.asked == ["3"]
    hub.dispose()
    database.dispose()


def test_what_is_gone_and_listed_is_asked_again_after_each_whole_read_of_the_list(hub: Database) -> None:
    things = Things(hub, 20)
    things.ingest()
    things.denied.add("3")
    said = []
    for _ in range(2):
        things.enrich()
        said.append(outcome(things, "3"))
    assert said == ["denied", "gone"]
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
