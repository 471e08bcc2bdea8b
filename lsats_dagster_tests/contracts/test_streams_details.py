"""The queue of a detail stream: what is due, in which order, how much a run takes, and where the next goes on."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lsats_dagster.clients.errors import TransientSourceError
from lsats_dagster.ingestion.detail_calls import FAILED_IN_A_ROW, UNREADABLE_IN_A_ROW
from lsats_dagster.ingestion.removals import removal_limit
from lsats_dagster.ingestion.stream import DetailStream, ListStream, UnansweredCallError, UnprovenReadError
from lsats_dagster.runs import Origin, record_failure, status
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    DETAILS,
    assert_mirrors,
    calls,
    change_content,
    changes,
    check,
    data_route,
    expected,
    keys,
    log,
    name,
    prepare,
    quarantine,
    read,
    run_row,
    shown,
)

every_detail = pytest.mark.parametrize("stream", DETAILS, ids=name)


def fetched(hub: Hub, stream: DetailStream[Any]) -> list[str]:
    """The keys that were fetched, in order."""
    rows = hub.rows(
        "select external_id from meta.detail_fetches where source_system || '/' || entity_type = :stream "
        "and outcome <> 'failed' order by fetch_seq",
        stream=stream.name,
    )
    return [row.external_id for row in rows]


def keys_in_order(hub: Hub, stream: ListStream[Any]) -> list[str]:
    """The keys of a list in the order in which they came."""
    rows = hub.rows(
        "select external_id from bronze.current_entities where source_system || '/' || entity_type = :stream order by seq",
        stream=stream.name,
    )
    return [row.external_id for row in rows]


@every_detail
def test_without_a_list_nothing_is_asked(stream: DetailStream[Any], source_hub: Hub) -> None:
    source_hub.campus.reset_calls()
    run = source_hub.run(stream)
    assert source_hub.campus.calls() == {}
    assert (run.counts.processed, run.metadata["extract"]["state"]) == (0, "complete")


@every_detail
def test_a_budget_is_spent_exactly_and_the_next_run_goes_on(stream: DetailStream[Any], source_hub: Hub) -> None:
    prepare(source_hub, stream)
    route = data_route(source_hub, stream)
    wanted = keys(source_hub.campus, stream)
    run = source_hub.run(stream, budget=17)
    assert calls(source_hub.campus, route) == 17 == run.counts.created
    assert (
        run.metadata["extract"].items()
        >= {"state": "partial", "due": len(wanted), "remaining": len(wanted) - 17}.items()
    )
    assert "expected_finish" in run.metadata["extract"]
    source_hub.run(stream, budget=20, limit=3)
    assert calls(source_hub.campus, route) == 20
    run = source_hub.run(stream)
    assert (run.metadata["extract"]["state"], run.metadata["extract"]["remaining"]) == ("complete", 0)
    assert sorted(fetched(source_hub, stream)) == wanted, "each entity once"
    assert_mirrors(source_hub, stream)


@every_detail
def test_no_budget_makes_no_call(stream: DetailStream[Any], source_hub: Hub) -> None:
    prepare(source_hub, stream)
    source_hub.campus.reset_calls()
    run = source_hub.run(stream, limit=0)
    assert source_hub.campus.calls() == {}
    assert run.metadata["extract"]["remaining"] == len(keys(source_hub.campus, stream))


@every_detail
def test_the_most_urgent_comes_first(stream: DetailStream[Any], source_hub: Hub) -> None:
    campus = source_hub.campus
    unfetched = keys(campus, stream)[1]
    prepare(source_hub, stream)
    source_hub.run(stream, budget=len(keys(campus, stream)) - 1)
    (unfetched,) = set(keys(campus, stream)) - set(fetched(source_hub, stream))
    removed, changed, *_ = (key for key in keys(campus, stream) if key != unfetched)
    campus.delete(stream.name, removed)
    change_content(campus, stream, changed)
    prepare(source_hub, stream)
    source_hub.max_age *= 0
    before = len(fetched(source_hub, stream))
    for _ in range(3):
        source_hub.run(stream, budget=1)
    assert fetched(source_hub, stream)[before:] == [removed, unfetched, changed]
    assert dict(changes(source_hub, stream, before)) == {removed: "removed", unfetched: "new", changed: "changed"}
    source_hub.run(stream, budget=2)
    aged = fetched(source_hub, stream)[before + 3 :]
    assert len(set(aged)) == 2
    assert not {removed, unfetched, changed} & set(aged)


@every_detail
def test_old_details_are_fetched_again(stream: DetailStream[Any], source_hub: Hub) -> None:
    read(source_hub, stream)
    before, route = log(source_hub, stream), data_route(source_hub, stream)
    source_hub.max_age *= 0
    run = source_hub.run(stream)
    assert calls(source_hub.campus, route) == run.counts.skipped == len(before)
    assert log(source_hub, stream) == before


@every_detail
def test_a_full_run_fetches_all_once_however_often_it_is_cut(stream: DetailStream[Any], source_hub: Hub) -> None:
    read(source_hub, stream)
    everything, route = keys(source_hub.campus, stream), data_route(source_hub, stream)
    source_hub.run(stream, full=True, budget=50)
    source_hub.campus.fault(route, "status", times=None, after=20)
    with pytest.raises(Exception, match="503"):
        source_hub.run(stream, full=True)
    source_hub.campus.clear_faults()
    run = source_hub.run(stream, full=True)
    assert (run.mode, run.metadata["extract"]["state"]) == ("full", "complete")
    assert calls(source_hub.campus, route, "200") == len(everything)
    assert sorted(fetched(source_hub, stream)) == sorted(everything * 2)


@every_detail
@pytest.mark.parametrize("reason", ["stored in another way", "too long ago"])
def test_a_full_run_begins_anew_where_going_on_would_keep_what_is_old(
    stream: DetailStream[Any], source_hub: Hub, reason: str
) -> None:
    read(source_hub, stream)
    everything, route = keys(source_hub.campus, stream), data_route(source_hub, stream)
    source_hub.run(stream, full=True, budget=50)
    if reason == "too long ago":
        source_hub.max_age = timedelta(0)
    else:
        stream = replace(stream, left_out=(*stream.left_out, "Notes"))
    source_hub.campus.reset_calls()
    run = source_hub.run(stream, full=True)
    assert run.metadata["extract"]["state"] == "complete"
    assert calls(source_hub.campus, route, "200") == len(everything)


@every_detail
def test_a_404_removes_and_a_later_answer_brings_back(stream: DetailStream[Any], source_hub: Hub) -> None:
    read(source_hub, stream)
    before, route = len(log(source_hub, stream)), data_route(source_hub, stream)
    key = keys(source_hub.campus, stream)[6]
    change_content(source_hub.campus, stream, key)
    source_hub.campus.fault(route, "status", times=1, status=404)
    run = read(source_hub, stream)
    assert (changes(source_hub, stream, before), run.counts.removed) == ([(key, "removed")], 1)
    source_hub.run(stream)
    assert calls(source_hub.campus, route) == 1, "gone is an answer: it is not asked for again at once"
    source_hub.max_age *= 0
    source_hub.run(stream)
    assert changes(source_hub, stream, before + 1) == [(key, "returned")]


@every_detail
def test_a_source_that_denies_what_its_list_has_removes_nothing(stream: DetailStream[Any], source_hub: Hub) -> None:
    """A wrong address or a proxy answers 404 to everything; a list read a moment before says otherwise."""
    read(source_hub, stream)
    before, route = log(source_hub, stream), data_route(source_hub, stream)
    source_hub.campus.fault(route, "status", times=None, status=404)
    age, source_hub.max_age = source_hub.max_age, timedelta(0)
    run = source_hub.run(stream)
    guard = check(run, "removal_guard")
    present = len(keys(source_hub.campus, stream))
    assert (guard.passed, guard.numbers["refused"], run.counts.removed) == (False, present, 0)
    assert (run.metadata["extract"]["state"], run.metadata["extract"]["denied"]) == ("partial", present)
    assert log(source_hub, stream) == before
    source_hub.campus.clear_faults()
    source_hub.max_age = age
    source_hub.run(stream)
    assert calls(source_hub.campus, route) == 2 * present, "a denial is not believed: it is asked for again"
    assert log(source_hub, stream) == before


@every_detail
def test_denials_that_are_right_can_be_approved(stream: DetailStream[Any], source_hub: Hub) -> None:
    """Those of a day count together; a budget that ends a run early does not let them through."""
    read(source_hub, stream)
    before, route = len(log(source_hub, stream)), data_route(source_hub, stream)
    denied = keys(source_hub.campus, stream)[: removal_limit(0) + 3]
    for key in denied:
        change_content(source_hub.campus, stream, key)
    source_hub.campus.fault(route, "status", times=None, status=404)
    few = read(source_hub, stream, budget=removal_limit(0))
    assert (few.counts.removed, check(few, "removal_guard").passed) == (removal_limit(0), True)
    run = source_hub.run(stream)
    assert (run.counts.removed, check(run, "removal_guard").numbers["refused"]) == (0, 3)
    assert check(run, "removal_guard").numbers["within_a_day"] == removal_limit(0)
    for key in keys(source_hub.campus, stream)[-2:]:
        change_content(source_hub.campus, stream, key)
    approved = read(source_hub, stream, approve_removals=run.run_id, budget=3)
    assert (approved.counts.removed, check(approved, "removal_guard").passed) == (3, True)
    assert sorted(changes(source_hub, stream, before)) == [(key, "removed") for key in sorted(denied)]
    assert calls(source_hub.campus, route) == len(denied) + 3, "approved ones come first"
    source_hub.campus.clear_faults()
    source_hub.run(stream)
    assert calls(source_hub.campus, route) == len(denied) + 5, "gone is an answer: it is not asked for again"
    source_hub.campus.fault(route, "status", times=None, status=404)
    # What is settled is not judged again, and what was approved speaks against no one.
    last = keys(source_hub.campus, stream)[-3]
    change_content(source_hub.campus, stream, last)
    for key in denied:
        change_content(source_hub.campus, stream, key)
    guard = check(read(source_hub, stream), "removal_guard")
    assert (guard.numbers["absent"], guard.numbers["within_a_day"]) == (1, removal_limit(0))


@every_detail
def test_gone_from_the_list_alone_removes_no_detail(stream: DetailStream[Any], source_hub: Hub) -> None:
    """Only the answer to its own call says that a detail is gone."""
    read(source_hub, stream)
    before, route = log(source_hub, stream), data_route(source_hub, stream)
    key = keys(source_hub.campus, stream)[6]
    source_hub.campus.delete(stream.name, key)
    prepare(source_hub, stream)
    source_hub.campus.restore(stream.name, key)
    source_hub.run(stream)
    assert calls(source_hub.campus, route) == 1
    assert log(source_hub, stream) == before


@every_detail
def test_an_answer_about_another_record_is_kept_aside(stream: DetailStream[Any], source_hub: Hub) -> None:
    asked, other, third = keys(source_hub.campus, stream)[3:6]
    answer = json.dumps(source_hub.campus.truth(stream.name)[other])
    for key in (asked, third):
        source_hub.campus.poison_detail(stream.name, key, answer)
    run = read(source_hub, stream)
    assert run.counts.failed == 2
    assert sorted((row.external_id, row.stage) for row in quarantine(source_hub, stream)) == [
        (asked, "key"),
        (third, "key"),
    ]
    assert shown(source_hub, stream) == {
        key: payload for key, payload in expected(source_hub, stream).items() if key not in (asked, third)
    }


@every_detail
def test_unreadable_answers_one_by_one_do_not_end_a_run(stream: DetailStream[Any], source_hub: Hub) -> None:
    prepare(source_hub, stream)
    source_hub.run(stream, budget=40)
    due = sorted(set(keys(source_hub.campus, stream)) - set(fetched(source_hub, stream)))
    for key in due[::4]:
        source_hub.campus.poison_detail(stream.name, key, "<html>")
    # In the second run they stand side by side.
    for _ in range(2):
        run = source_hub.run(stream)
        assert (run.counts.failed, run_row(source_hub, stream).status) == (len(due[::4]), "completed")
        assert {row.external_id for row in quarantine(source_hub, stream)} == set(due[::4])


@every_detail
def test_calls_that_always_fail_hold_up_no_others(stream: DetailStream[Any], source_hub: Hub) -> None:
    """One at the head of the queue, and more than a dead source would be allowed: each run gets further, then past them."""
    prepare(source_hub, stream)
    bad = keys_in_order(source_hub, stream.list_stream)[: FAILED_IN_A_ROW + 1]
    source_hub.detail_workers = 1

    def fetch(client: Any, key: str) -> Any:
        if key in bad:
            raise UnansweredCallError(TransientSourceError("HTTP 500"))
        return stream.fetch(client, key)

    failing = replace(stream, fetch=fetch)
    with pytest.raises(TransientSourceError, match="500"):
        source_hub.run(failing)
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"]) == ("failed", "partial")
    for _ in range(2):
        run = source_hub.run(failing)
        extract = run.metadata["extract"]
        assert (extract["state"], extract["unanswered"], extract["remaining"]) == ("partial", len(bad), len(bad))
        assert shown(source_hub, stream).keys() == expected(source_hub, stream).keys() - set(bad)
    source_hub.run(stream)
    assert_mirrors(source_hub, stream)


@every_detail
def test_answers_that_are_never_readable_hold_up_no_others(stream: DetailStream[Any], source_hub: Hub) -> None:
    """Side by side at the head of the queue: they fail one run, as a sick source would, and go last in the next."""
    prepare(source_hub, stream)
    source_hub.detail_workers = 1
    bad = keys_in_order(source_hub, stream.list_stream)[: UNREADABLE_IN_A_ROW + 1]
    for key in bad:
        source_hub.campus.poison_detail(stream.name, key, "<html>")
    with pytest.raises(UnprovenReadError, match="in a row"):
        source_hub.run(stream)
    assert quarantine(source_hub, stream) == []
    run = source_hub.run(stream)
    assert (run.counts.failed, run.metadata["extract"]["state"]) == (len(bad), "partial")
    assert shown(source_hub, stream).keys() == expected(source_hub, stream).keys() - set(bad)


@every_detail
def test_a_full_fetch_comes_to_its_end_beside_a_bad_record(stream: DetailStream[Any], source_hub: Hub) -> None:
    prepare(source_hub, stream)
    source_hub.campus.poison_detail(stream.name, keys(source_hub.campus, stream)[3], "<html>")
    for _ in range(2):
        run = source_hub.run(stream, full=True)
        extract = run.metadata["extract"]
        assert run.counts.processed == extract["due"] == len(keys(source_hub.campus, stream))
        assert (extract["state"], extract["remaining"], extract["unasked"]) == ("partial", 1, 0)


@every_detail
def test_one_failure_beside_no_answer_fails_the_run(stream: DetailStream[Any], source_hub: Hub) -> None:
    """Of one call nobody knows whether its record or the source is ill; once it is known to fail, it fails no run."""
    read(source_hub, stream)
    key = keys(source_hub.campus, stream)[4]
    change_content(source_hub.campus, stream, key)
    prepare(source_hub, stream)

    def fetch(client: Any, key: str) -> Any:
        raise UnansweredCallError(TransientSourceError("HTTP 500"))

    with pytest.raises(TransientSourceError, match="500"):
        source_hub.run(replace(stream, fetch=fetch))
    assert source_hub.run(replace(stream, fetch=fetch)).metadata["extract"]["unanswered"] == 1
    with source_hub.database.transaction() as connection:
        (state,) = (state for state in status(connection) if state.name == stream.name)
    assert state.last_success < run_row(source_hub, stream).started_at, "it says nothing of how fresh the table is"
    source_hub.run(stream)
    assert_mirrors(source_hub, stream)


@every_detail
def test_a_full_fetch_goes_on_after_a_run_that_could_not_begin(stream: DetailStream[Any], source_hub: Hub) -> None:
    read(source_hub, stream)
    route = data_route(source_hub, stream)
    source_hub.run(stream, full=True, budget=5)
    record_failure(source_hub.database, stream.subject, "full", Origin("a", "b"), ValueError(), elapsed=0)
    source_hub.run(stream, full=True)
    assert calls(source_hub.campus, route) == len(keys(source_hub.campus, stream))


@every_detail
def test_an_unreadable_answer_is_asked_for_again(stream: DetailStream[Any], source_hub: Hub) -> None:
    """An answer that nobody could read says nothing about the record: it does not wait until it is old."""
    key = keys(source_hub.campus, stream)[3]
    source_hub.campus.poison_detail(stream.name, key, "<html>")
    read(source_hub, stream)
    assert key not in shown(source_hub, stream)
    source_hub.campus.poison_detail(stream.name, key, None)
    read(source_hub, stream)
    assert_mirrors(source_hub, stream)
    assert [row.resolution for row in quarantine(source_hub, stream)] == ["superseded"]


@every_detail
def test_five_unreadable_answers_in_a_row_end_the_run(stream: DetailStream[Any], source_hub: Hub) -> None:
    for key in keys(source_hub.campus, stream):
        source_hub.campus.poison_detail(stream.name, key, "<html>")
    prepare(source_hub, stream)
    with pytest.raises(UnprovenReadError, match="5 answers in a row"):
        source_hub.run(stream)
    for key in keys(source_hub.campus, stream):
        source_hub.campus.poison_detail(stream.name, key, None)
    source_hub.run(stream)
    assert_mirrors(source_hub, stream)


@every_detail
def test_a_dry_run_reports_the_queue_and_makes_no_call(stream: DetailStream[Any], source_hub: Hub) -> None:
    prepare(source_hub, stream)
    source_hub.campus.reset_calls()
    run = source_hub.run(stream, dry_run=True)
    assert source_hub.campus.calls() == {}
    due = len(keys(source_hub.campus, stream))
    assert (run.metadata["extract"]["due"], run.metadata["extract"]["remaining"]) == (due, due)
