"""Details that are answered as not there: what one such answer says, what two say, and how far they are believed (F3)."""

from datetime import timedelta
from typing import Any

import pytest

from lsats_dagster.clients.errors import PermanentSourceError
from lsats_dagster.ingestion.removals import removal_limit
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    change_content,
    data_routes,
    keys,
    prepare,
    read,
)
from lsats_dagster_tests.contracts.stream_kinds import ENGINE_DETAILS, name
from lsats_dagster_tests.contracts.stream_states import changes, check, log, run_row

# The queue is the engine's; what a stream declares for its details is proved with the log, the faults and the poison.
pytestmark = pytest.mark.engine
every_detail = pytest.mark.parametrize("stream", ENGINE_DETAILS, ids=name)


@every_detail
def test_the_second_404_removes_and_a_later_answer_brings_back(stream: DetailStream[Any], source_hub: Hub) -> None:
    read(source_hub, stream)
    before, routes = len(log(source_hub, stream)), data_routes(source_hub, stream)
    key = keys(source_hub.campus, stream)[6]
    change_content(source_hub.campus, stream, key)
    routes.fault("status", times=2, status=404)
    run = read(source_hub, stream)
    assert (run.metadata["extract"]["listed_but_not_there"], run.counts.removed) == (1, 0)
    assert changes(source_hub, stream, before) == [], "once may be an accident"
    run = source_hub.run(stream)
    assert (changes(source_hub, stream, before), run.counts.removed) == ([(key, "removed")], 1)
    source_hub.run(stream)
    assert routes.calls() == 2, "gone is an answer: it is not asked for again at once"
    read(source_hub, stream)
    assert changes(source_hub, stream, before + 1) == [(key, "returned")], "the list still has it"
    assert_mirrors(source_hub, stream)


@every_detail
def test_a_source_that_denies_what_its_list_has_removes_nothing(stream: DetailStream[Any], source_hub: Hub) -> None:
    """A wrong address answers 404 to everything; a list read a moment before says otherwise."""
    read(source_hub, stream)
    before, routes = log(source_hub, stream), data_routes(source_hub, stream)
    routes.fault("status", times=None, status=404)
    age, source_hub.max_age = source_hub.max_age, timedelta(0)
    present = len(keys(source_hub.campus, stream))
    extract = source_hub.run(stream).metadata["extract"]
    assert (extract["state"], extract["listed_but_not_there"]) == ("partial", present)
    run = source_hub.run(stream)
    guard = check(run, "removal_guard")
    assert (guard.passed, guard.numbers["refused"], run.counts.removed) == (False, present, 0)
    assert log(source_hub, stream) == before
    source_hub.campus.clear_faults()
    source_hub.campus.reset_calls()
    source_hub.max_age = age
    source_hub.run(stream)
    assert routes.calls() == present, "a denial is not believed: it is asked for again"
    assert log(source_hub, stream) == before


@every_detail
def test_a_404_of_something_in_between_is_no_answer(stream: DetailStream[Any], source_hub: Hub) -> None:
    """A proxy's page says nothing of the record: nothing goes, the run shows it, and the next asks again."""
    read(source_hub, stream)
    before, routes = log(source_hub, stream), data_routes(source_hub, stream)
    changed = keys(source_hub.campus, stream)[:9]
    for key in changed:
        change_content(source_hub.campus, stream, key)
    prepare(source_hub, stream)
    routes.fault("html_404", times=None)
    for _ in range(2):
        with pytest.raises(PermanentSourceError, match="something in between"):
            source_hub.run(stream)
        row = run_row(source_hub, stream)
        assert (row.status, row.metadata["extract"]["state"], row.records_removed) == ("failed", "partial", 0)
    assert log(source_hub, stream) == before
    source_hub.campus.clear_faults()
    source_hub.run(stream)
    assert changes(source_hub, stream, len(before)) == [(key, "changed") for key in sorted(changed)]
    assert_mirrors(source_hub, stream)


@every_detail
def test_denials_that_are_right_can_be_approved(stream: DetailStream[Any], source_hub: Hub) -> None:
    """Those of a day count together; a budget that ends a run early does not let them through."""
    read(source_hub, stream)
    before, routes = len(log(source_hub, stream)), data_routes(source_hub, stream)
    limit = removal_limit(before)
    denied = keys(source_hub.campus, stream)[: limit + 3]
    for key in denied:
        change_content(source_hub.campus, stream, key)
    routes.fault("status", times=None, status=404)
    read(source_hub, stream)
    few = source_hub.run(stream, limit=limit)
    assert (few.counts.removed, check(few, "removal_guard").passed) == (limit, True)
    run = source_hub.run(stream)
    assert (run.counts.removed, check(run, "removal_guard").numbers["refused"]) == (0, 3)
    assert check(run, "removal_guard").numbers["within_a_day"] == limit
    for key in keys(source_hub.campus, stream)[-2:]:
        change_content(source_hub.campus, stream, key)
    source_hub.campus.reset_calls()
    approved = read(source_hub, stream, approve_removals=run.run_id, limit=3)
    assert (approved.counts.removed, check(approved, "removal_guard").passed) == (3, True)
    assert routes.calls() == 3, "approved ones come first"
    assert sorted(changes(source_hub, stream, before)) == [(key, "removed") for key in sorted(denied)]
    source_hub.campus.clear_faults()
    read(source_hub, stream)
    assert_mirrors(source_hub, stream)


@every_detail
def test_gone_from_the_list_alone_removes_no_detail(stream: DetailStream[Any], source_hub: Hub) -> None:
    """Only the answer to its own call says that a detail is gone."""
    read(source_hub, stream)
    before, routes = log(source_hub, stream), data_routes(source_hub, stream)
    key = keys(source_hub.campus, stream)[6]
    source_hub.campus.delete(stream.name, key)
    prepare(source_hub, stream)
    source_hub.campus.restore(stream.name, key)
    source_hub.run(stream)
    assert routes.calls() == 1
    assert log(source_hub, stream) == before
