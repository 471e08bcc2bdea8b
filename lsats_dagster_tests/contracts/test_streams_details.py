"""The queue of a detail stream: what is due, in which order, how much a run takes, and where the next goes on."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lsats_dagster.clients.errors import TransientSourceError
from lsats_dagster.ingestion.detail_calls import FAILED_IN_A_ROW, UNREADABLE_IN_A_ROW
from lsats_dagster.ingestion.stream import DetailStream, ListStream, UnansweredCallError, UnprovenReadError
from lsats_dagster.runs import Origin, record_failure, status
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    change_content,
    data_routes,
    expected,
    keys,
    prepare,
    read,
    shown,
)
from lsats_dagster_tests.contracts.stream_kinds import ENGINE_DETAILS, name
from lsats_dagster_tests.contracts.stream_states import changes, log, quarantine, run_row

# The queue is the engine's; what a stream declares for its details is proved with the log, the faults and the poison.
pytestmark = pytest.mark.engine
every_detail = pytest.mark.parametrize("stream", ENGINE_DETAILS, ids=name)


def fetched(hub: Hub, stream: DetailStream[Any], *, runs: int | None = None) -> list[str]:
    """The keys that were fetched last, or in so many last runs, in the order of these calls."""
    rows = hub.rows(
        "select external_id from meta.detail_fetches join (select run_id from meta.ingestion_runs "
        "order by run_seq desc limit :runs) newest using (run_id) "
        "where source_system || '/' || entity_type = :stream and outcome <> 'failed' order by fetched_at",
        stream=stream.name,
        runs=runs,
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
    routes = data_routes(source_hub, stream)
    wanted = keys(source_hub.campus, stream)
    run = source_hub.run(stream, limit=17)
    assert routes.calls() == 17 == run.counts.created
    assert (
        run.metadata["extract"].items()
        >= {"state": "partial", "due": len(wanted), "remaining": len(wanted) - 17}.items()
    )
    assert "expected_finish" in run.metadata["extract"]
    source_hub.run(stream, limit=3)
    assert routes.calls() == 20
    run = source_hub.run(stream)
    assert (run.metadata["extract"]["state"], run.metadata["extract"]["remaining"]) == ("complete", 0)
    assert (sorted(fetched(source_hub, stream)), routes.calls()) == (wanted, len(wanted)), "each entity once"
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
    source_hub.run(stream, limit=len(keys(campus, stream)) - 1)
    (unfetched,) = set(keys(campus, stream)) - set(fetched(source_hub, stream))
    removed, changed, *_ = (key for key in keys(campus, stream) if key != unfetched)
    campus.delete(stream.name, removed)
    change_content(campus, stream, changed)
    prepare(source_hub, stream)
    source_hub.max_age *= 0
    before = len(log(source_hub, stream))
    for _ in range(3):
        source_hub.run(stream, limit=1)
    assert fetched(source_hub, stream, runs=3) == [removed, unfetched, changed]
    assert dict(changes(source_hub, stream, before)) == {removed: "removed", unfetched: "new", changed: "changed"}
    source_hub.run(stream, limit=2)
    aged = fetched(source_hub, stream, runs=1)
    assert len(aged) == 2
    assert not {removed, unfetched, changed} & set(aged)


@every_detail
def test_old_details_are_fetched_again(stream: DetailStream[Any], source_hub: Hub) -> None:
    read(source_hub, stream)
    before, routes = log(source_hub, stream), data_routes(source_hub, stream)
    source_hub.max_age *= 0
    run = source_hub.run(stream)
    assert routes.calls() == run.counts.skipped == len(before)
    assert log(source_hub, stream) == before


@every_detail
def test_a_full_run_fetches_all_once_however_often_it_is_cut(stream: DetailStream[Any], source_hub: Hub) -> None:
    read(source_hub, stream)
    everything, routes = keys(source_hub.campus, stream), data_routes(source_hub, stream)
    source_hub.run(stream, full=True, limit=50)
    routes.fault("status", times=None, after=20)
    with pytest.raises(Exception, match="503"):
        source_hub.run(stream, full=True)
    source_hub.campus.clear_faults()
    run = source_hub.run(stream, full=True)
    assert (run.mode, run.metadata["extract"]["state"]) == ("full", "complete")
    assert routes.calls("200") == len(everything)
    assert sorted(fetched(source_hub, stream)) == everything


@every_detail
@pytest.mark.parametrize("reason", ["stored in another way", "too long ago"])
def test_a_full_run_begins_anew_where_going_on_would_keep_what_is_old(
    stream: DetailStream[Any], source_hub: Hub, reason: str
) -> None:
    read(source_hub, stream)
    everything, routes = keys(source_hub.campus, stream), data_routes(source_hub, stream)
    source_hub.run(stream, full=True, limit=50)
    if reason == "too long ago":
        source_hub.max_age = timedelta(0)
    else:
        stream = replace(stream, left_out=(*stream.left_out, "Notes"))
    source_hub.campus.reset_calls()
    run = source_hub.run(stream, full=True)
    assert run.metadata["extract"]["state"] == "complete"
    assert routes.calls("200") == len(everything)


@every_detail
def test_an_answer_about_another_record_is_quarantined(stream: DetailStream[Any], source_hub: Hub) -> None:
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
    source_hub.run(stream, limit=40)
    done = set(fetched(source_hub, stream))
    # As far from one another as they are asked for: side by side they would be a bad source.
    due = [key for key in keys_in_order(source_hub, stream.list_stream) if key not in done]
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
    routes = data_routes(source_hub, stream)
    source_hub.run(stream, full=True, limit=5)
    record_failure(source_hub.database, stream.subject, "full", Origin("a", "b"), ValueError(), behind=0)
    source_hub.run(stream, full=True)
    assert routes.calls() == len(keys(source_hub.campus, stream))


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
def test_an_unreadable_answer_is_settled_by_a_later_404(stream: DetailStream[Any], source_hub: Hub) -> None:
    """No record comes that would overtake what was quarantined: the call itself says that it is older."""
    key = keys(source_hub.campus, stream)[3]
    source_hub.campus.poison_detail(stream.name, key, "<html>")
    read(source_hub, stream)
    source_hub.campus.poison_detail(stream.name, key, None)
    data_routes(source_hub, stream).fault("status", times=2, status=404)
    for _ in range(2):
        source_hub.run(stream)
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
