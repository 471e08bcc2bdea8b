"""How many entities may go: within a day, of how many, by whose word; and what a run says about it."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from lsats_dagster.database import Database
from lsats_dagster.ingestion.removals import removal_limit
from lsats_dagster.ingestion.request import RefusedRequestError
from lsats_dagster.ingestion.stream import SkippedRecordError
from lsats_dagster.runs import Run
from lsats_dagster_tests.ingestion.memory import Things, finding, grow_older, key


def lose(things: Things, count: int, **request: Any) -> Run:
    """The source shows so many things less, and is read."""
    del things.listed[:count]
    return things.ingest(**request)


def approval_of(run: Run) -> UUID:
    """What a refusing run's message says to approve."""
    numbers = finding(run, "removal_guard").numbers
    assert f"approve_removals {run.run_id}" in finding(run, "removal_guard").description
    return UUID(str(numbers["approve_removals"]))


def test_removals_of_a_day_count_together(hub: Database) -> None:
    """A list of a hundred that shrinks by ten in every run stops at the limit."""
    things = Things(hub, 100)
    things.ingest()
    assert lose(things, 10).counts.removed == 10
    run = lose(things, 1)
    assert (run.counts.removed, len(things.present())) == (0, 90)
    guard = finding(run, "removal_guard")
    assert (guard.passed, guard.severe, guard.numbers["within_a_day"]) == (False, True, 10)
    assert "10 went within a day" in guard.description
    assert "removal_guard" in things.state().failed_checks


@pytest.mark.parametrize(("hours", "removed"), [(23, 0), (25, 10)])
def test_a_day_later_they_no_longer_count(hub: Database, hours: int, removed: int) -> None:
    things = Things(hub, 120)
    things.ingest()
    lose(things, 10)
    grow_older(hub, timedelta(hours=hours))
    assert lose(things, 10).counts.removed == removed


def test_what_a_person_approved_does_not_count(hub: Database) -> None:
    things = Things(hub, 100)
    things.ingest()
    refusing = lose(things, 30)
    assert refusing.counts.removed == 0
    assert things.ingest(approve_removals=approval_of(refusing)).counts.removed == 30
    assert lose(things, 10).counts.removed == 10
    assert lose(things, 1).counts.removed == 0


def test_what_was_refused_once_and_went_without_approval_counts(hub: Database) -> None:
    """A list that comes back and then shrinks by ten in every run: each of its things was refused before."""
    things = Things(hub, 100)
    things.ingest()
    whole = list(things.listed)
    assert lose(things, 40).counts.removed == 0
    things.listed = whole
    assert lose(things, 10).counts.removed == 10
    assert lose(things, 10).counts.removed == 0


def test_an_approval_counts_only_for_what_it_names(hub: Database) -> None:
    things = Things(hub, 100)
    things.ingest()
    approval = approval_of(lose(things, 30))
    run = lose(things, 15, approve_removals=approval)
    assert (run.counts.removed, finding(run, "removal_guard").numbers["refused"]) == (30, 15)
    assert finding(run, "removal_guard").passed is False


@pytest.mark.parametrize(("present", "limit"), [(0, 0), (1, 0), (2, 1), (10, 5), (19, 9), (20, 10), (200, 10), (201, 10),
    (1000, 50), (10_000, 500), (10_001, 500), (700_000, 7000)])  # fmt: skip
def test_the_limit(present: int, limit: int) -> None:
    assert removal_limit(present) == limit


def test_of_a_small_stream_never_more_than_half_goes(hub: Database) -> None:
    things = Things(hub, 8)
    things.ingest()
    assert lose(things, 5).counts.removed == 0
    things.listed = [{"ID": number, "Name": f"Thing {number}"} for number in range(8)]
    assert lose(things, 4).counts.removed == 4
    assert lose(things, 1).counts.removed == 0, "four of eight went within this day"


@pytest.mark.parametrize(("new", "said"), [(30, True), (27, True), (26, False)])
def test_as_many_new_keys_as_would_go_are_pointed_at(hub: Database, new: int, said: bool) -> None:
    things = Things(hub, 100)
    things.ingest()
    things.listed += [{"ID": f"new-{number}"} for number in range(new)]
    guard = finding(lose(things, 30), "removal_guard")
    assert (f"As many new keys came ({new}): have the keys changed their form?" in guard.description) == said


def test_an_approved_removal_is_shown_and_is_no_fall(hub: Database) -> None:
    things = Things(hub, 100)
    things.ingest()
    approval = approval_of(lose(things, 30))
    run = things.ingest(approve_removals=approval)
    guard = finding(run, "removal_guard")
    assert guard.passed
    assert f"30 were approved by a person (approve_removals {approval})" in guard.description
    assert (guard.numbers["approved"], guard.numbers["refused"]) == (30, 0)
    volume = finding(run, "volume")
    assert volume.passed
    assert "30 removals were approved and do not count" in volume.description
    assert things.state().failed_checks == {}
    assert finding(things.ingest(), "volume").passed


def test_an_approval_of_a_run_that_refused_nothing_is_refused(hub: Database) -> None:
    things = Things(hub, 100)
    approval = things.ingest().run_id
    for wrong in (approval, uuid4()):
        with pytest.raises(RefusedRequestError, match=f"{wrong}, which refused no removal"):
            things.ingest(approve_removals=wrong)
        with pytest.raises(RefusedRequestError, match="refused no removal"):
            things.enrich(approve_removals=wrong)
    assert len(things.befores) == 1, "the source is not asked"


def test_a_dry_run_refuses_and_keeps_nothing(hub: Database) -> None:
    things = Things(hub, 100)
    things.ingest()
    run = lose(things, 30, dry_run=True)
    guard = finding(run, "removal_guard")
    assert (guard.passed, run.counts.removed, "approve_removals" in guard.description) == (False, 0, False)
    assert things.rows("select from meta.refused_removals") == []
    things.listed = [{"ID": number, "Name": f"Thing {number}"} for number in range(100)]
    assert lose(things, 10, dry_run=True).counts.removed == 10
    assert len(things.present()) == 100


@pytest.mark.parametrize(("rows", "passed"), [(150, True), (151, False), (200, False)])
def test_a_rise_by_more_than_half_is_found(hub: Database, rows: int, passed: bool) -> None:
    things = Things(hub, 100)
    assert finding(things.ingest(), "volume").passed, "the first read is no rise"
    things.listed = [{"ID": number} for number in range(rows)]
    volume = finding(things.ingest(), "volume")
    assert (volume.passed, volume.severe) == (passed, False)


@pytest.mark.parametrize(("rows", "passed"), [(24, True), (25, False)])
def test_a_few_rows_more_are_no_rise(hub: Database, rows: int, passed: bool) -> None:
    things = Things(hub, 4)
    things.ingest()
    things.listed = [{"ID": number} for number in range(rows)]
    assert finding(things.ingest(), "volume").passed == passed


def test_details_that_a_budget_fills_do_not_rise(hub: Database) -> None:
    things = Things(hub, 100)
    things.ingest()
    assert finding(things.enrich(limit=5), "volume").passed
    run = things.enrich()
    assert (run.row_count, finding(run, "volume").passed) == (100, True)


# Records without a key.


def unkeyed(count: int) -> list[Any]:
    return [{"Name": f"Without key {number}"} for number in range(count)]


def test_records_without_a_key_that_come_every_day_are_ordinary(hub: Database) -> None:
    things = Things(hub, 40)
    things.listed += unkeyed(3)
    assert finding(things.ingest(), "removal_guard").passed, "nothing is absent that they could be"
    run = lose(things, 2)
    assert (run.counts.removed, finding(run, "removal_guard").passed) == (2, True)
    assert finding(run, "removal_guard").numbers.items() >= {"without_key": 3, "without_key_before": 3}.items()


def test_one_more_without_a_key_than_before_is_doubt_until_a_person_approves(hub: Database) -> None:
    things = Things(hub, 40)
    things.listed += unkeyed(3)
    things.ingest()
    things.listed += [{"Name": "One more without key"}]
    for _ in range(2):
        run = lose(things, 1)
        assert run.counts.removed == 0
        assert "more records came without a key" in finding(run, "removal_guard").description
    assert things.ingest(approve_removals=approval_of(run)).counts.removed == 2
    assert lose(things, 1).counts.removed == 1, "now four are ordinary"


def test_a_first_complete_read_with_something_absent_and_without_keys_is_in_doubt(hub: Database) -> None:
    things = Things(hub, 40)
    things.ingest(limit=40)
    del things.listed[0]
    things.listed += unkeyed(3)
    run = things.ingest()
    assert (run.counts.removed, finding(run, "removal_guard").passed) == (0, False)


def test_a_record_that_is_none_by_rule_is_counted_and_nothing_else(hub: Database) -> None:
    def rule(record: Any) -> str:
        if "ID" not in record:
            raise SkippedRecordError("without a room" if "Room" in record else "without anything")
        return key(record)

    things = Things(hub, 40, batch_size=7, key=rule)
    things.ingest()
    things.listed += [*unkeyed(30), {"Room": None}]
    run = lose(things, 1)
    skipped = {"without anything": 30, "without a room": 1}
    assert run.metadata.get("skipped_by_rule") == things.last_run().metadata.get("skipped_by_rule") == skipped
    assert (run.counts.processed, run.counts.skipped, run.counts.failed, run.counts.removed) == (70, 70, 0, 1)
    assert things.quarantined() == []
    assert all(check.passed for check in run.checks)
    assert run.metadata["extract"]["without_key"] == 0
