"""What a stream does when its source fails: outlast it, or fail in bounded time and lose nothing (sources.md 23.4: A8-A10)."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lsats_dagster.clients.http import TRIES, UNREADABLE_TRIES
from lsats_dagster.ingestion.detail_calls import FAILED_IN_A_ROW
from lsats_dagster.ingestion.stream import DetailStream, Extract, ListStream, UnprovenReadError
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.conftest import Hub, make_client
from lsats_dagster_tests.contracts.stream_cases import (
    IMPATIENT,
    LISTS,
    assert_mirrors,
    calls,
    calls_of_a_read,
    change_content,
    changes,
    data_route,
    dump,
    keys,
    log,
    name,
    prepare,
    quick,
    read,
    run_row,
    shown,
    state,
    transport,
)

every_stream = pytest.mark.parametrize("stream", STREAMS, ids=name)
# What concerns the whole of a source; a detail run asks for single records.
every_list = pytest.mark.parametrize("stream", LISTS, ids=name)
every_fault = pytest.mark.parametrize(
    ("stream", "fault"), [(stream, fault) for stream in STREAMS for fault in transport(stream).faults], ids=name
)
# Only sources that are read by offset have pages that can move.
every_paged = pytest.mark.parametrize("stream", [s for s in LISTS if transport(s).offset_pages], ids=name)
# The others do not say how much is left; their pace is that of the settings.
every_announcing = pytest.mark.parametrize("stream", [s for s in STREAMS if transport(s).announces_limit], ids=name)


def with_steps(stream: StreamDeclaration, between: Any) -> StreamDeclaration:
    """The stream, with `between()` called before each page or detail."""
    if isinstance(stream, DetailStream):
        fetch = stream.fetch
        return replace(stream, fetch=lambda client, key: (between(), fetch(client, key))[1])

    def pages(client: Any, extract: Extract) -> Iterator[list[Any]]:
        between()
        for page in stream.read(client, extract):
            yield page
            between()

    return replace(stream, read=pages)


@every_fault
def test_one_fault_in_mid_read_is_outlasted(stream: StreamDeclaration, fault: str, source_hub: Hub) -> None:
    quick(source_hub, timeouts=IMPATIENT)
    prepare(source_hub, stream)
    route = data_route(source_hub, stream)
    whole = calls_of_a_read(source_hub, stream, route)
    source_hub.campus.fault(route, fault, times=1, after=whole // 2)
    run = source_hub.run(stream)
    assert calls(source_hub.campus, route) == whole + 1
    assert run_row(source_hub, stream).status == "completed"
    assert run.counts.created == run.counts.processed
    assert_mirrors(source_hub, stream)


@every_stream
def test_a_burst_of_server_errors_is_outlasted(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    route = data_route(source_hub, stream)
    source_hub.campus.fault(route, "status", times=TRIES - 1, status=502, retry_after=0)
    source_hub.run(stream)
    assert calls(source_hub.campus, route, "502") == TRIES - 1
    assert_mirrors(source_hub, stream)


@every_fault
def test_a_fault_for_ever_fails_the_run_and_changes_nothing(
    stream: StreamDeclaration, fault: str, source_hub: Hub
) -> None:
    quick(source_hub, timeouts=IMPATIENT)
    if isinstance(stream, DetailStream):
        # All is due, so that the run meets a dead source and not one bad record.
        prepare(source_hub, stream)
        # Each worker may have begun another call when the last failure comes that shows the source dead.
        most = (2 * FAILED_IN_A_ROW - 1) * TRIES if fault in transport(stream).broken else 100 * UNREADABLE_TRIES
    else:
        read(source_hub, stream)
        change_content(source_hub.campus, stream, keys(source_hub.campus, stream)[3])
        source_hub.campus.delete(stream.name, keys(source_hub.campus, stream)[4])
        most = TRIES
    before = dump(source_hub, apart=("ingestion_runs", "detail_fetches"))
    route = data_route(source_hub, stream)
    source_hub.campus.fault(route, fault, times=None)
    # A hanging source is asked for few, so that a fault of the engine shows as a failure and not as a long wait.
    budget = {"budget": 18} if isinstance(stream, DetailStream) and fault == "hang" else {}
    with pytest.raises(Exception, match=r".+"):
        source_hub.run(stream, **budget)
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"]) == ("failed", "partial")
    assert dump(source_hub, apart=("ingestion_runs", "detail_fetches")) == before
    assert calls(source_hub.campus, route) <= most, (
        "the number of calls to a dead source is bounded by the tries of one"
    )

    source_hub.campus.clear_faults()
    quick(source_hub)
    read(source_hub, stream)
    assert_mirrors(source_hub, stream)


@every_stream
def test_a_read_that_fails_part_way_is_finished_by_the_next(
    stream: StreamDeclaration, source_hub: Hub, other_hub: Hub
) -> None:
    prepare(source_hub, stream)
    route = data_route(source_hub, stream)
    whole = calls_of_a_read(source_hub, stream, route)
    source_hub.campus.fault(route, "status", times=None, after=whole // 2)
    with pytest.raises(Exception, match="503"):
        source_hub.run(stream)
    row, kept = run_row(source_hub, stream), log(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"]) == ("failed", "partial")
    if isinstance(stream, ListStream):
        assert {"reason", "login", "calls"} <= row.metadata["extract"].keys()
    assert row.records_created == len(kept) < len(keys(source_hub.campus, stream))
    assert bool(kept) == (whole > 1), "what came before the failure is kept"

    source_hub.campus.clear_faults()
    source_hub.run(stream)
    read(other_hub, stream)
    # Details are fetched by several workers: which of them meets the fault is open, and so is the order.
    in_order = not isinstance(stream, DetailStream)
    assert state(source_hub, stream, in_order=in_order) == state(other_hub, stream, in_order=in_order)


@every_list
def test_a_read_that_fails_part_way_removes_nothing(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = log(source_hub, stream)
    route = data_route(source_hub, stream)
    whole = calls_of_a_read(source_hub, stream, route)
    source_hub.campus.delete(stream.name, keys(source_hub.campus, stream)[1])
    source_hub.campus.fault(route, "status", times=None, after=whole // 2)
    with pytest.raises(Exception, match="503"):
        source_hub.run(stream)
    assert log(source_hub, stream) == before
    assert run_row(source_hub, stream).records_removed == 0


@every_stream
def test_an_empty_answer_is_never_complete_while_entities_are_present(
    stream: StreamDeclaration, source_hub: Hub
) -> None:
    read(source_hub, stream)
    before = log(source_hub, stream)
    route = data_route(source_hub, stream)
    source_hub.campus.fault(route, "empty", times=None)
    with pytest.raises(UnprovenReadError):
        source_hub.run(stream, full=isinstance(stream, DetailStream))
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"]) == ("failed", "partial")
    assert log(source_hub, stream) == before
    assert len(shown(source_hub, stream)) == len(before)


@every_list
def test_an_empty_source_is_complete_while_nothing_is_present(stream: StreamDeclaration, source_hub: Hub) -> None:
    source_hub.campus.fault(data_route(source_hub, stream), "empty", times=None)
    run = source_hub.run(stream)
    assert run.metadata["extract"]["state"] == "complete"
    assert log(source_hub, stream) == []


@every_paged
def test_pages_that_move_once_are_read_again(stream: StreamDeclaration, source_hub: Hub) -> None:
    route = data_route(source_hub, stream)
    source_hub.campus.fault(route, "shift", times=1, after=1, rows=3)
    run = source_hub.run(stream)
    assert run.metadata["extract"]["attempt"] == 2
    assert_mirrors(source_hub, stream)
    assert changes(source_hub, stream, 0) == [(key, "new") for key in keys(source_hub.campus, stream)]


@every_paged
def test_pages_that_keep_moving_remove_nothing(stream: StreamDeclaration, source_hub: Hub) -> None:
    source_hub.run(stream)
    before = log(source_hub, stream)
    route = data_route(source_hub, stream)
    source_hub.campus.delete(stream.name, keys(source_hub.campus, stream)[4])
    for after in range(1, 40, 2):
        source_hub.campus.fault(route, "shift", times=1, after=after, rows=3)
    with pytest.raises(UnprovenReadError):
        source_hub.run(stream)
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"], row.records_removed) == ("failed", "partial", 0)
    assert log(source_hub, stream) == before


@every_paged
def test_an_empty_second_reading_is_not_complete_either(stream: StreamDeclaration, source_hub: Hub) -> None:
    """The records of a first reading that was given up prove nothing about the second."""
    campus = source_hub.campus
    for key in keys(campus, stream)[8:]:
        campus.delete(stream.name, key)
    campus.page_size(4)
    source_hub.run(stream)
    before = log(source_hub, stream)
    route = data_route(source_hub, stream)
    campus.fault(route, "shift", times=1, after=1)
    campus.fault(route, "empty", times=None, after=2)
    with pytest.raises(UnprovenReadError):
        source_hub.run(stream)
    assert log(source_hub, stream) == before


@every_stream
def test_a_storm_of_429_is_waited_out(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    route = data_route(source_hub, stream)
    # The machine's own clock: the campus counts in real seconds.
    source_hub.clients[stream.source_system] = make_client(source_hub.campus, stream.source_system)
    source_hub.campus.fault(route, "storm", times=2, seconds=1)
    source_hub.run(stream)
    assert calls(source_hub.campus, route, "429") == 2
    assert_mirrors(source_hub, stream)


@every_announcing
def test_an_announced_limit_is_never_overstepped(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    route = data_route(source_hub, stream)
    whole = calls_of_a_read(source_hub, stream, route)
    source_hub.clients[stream.source_system] = make_client(source_hub.campus, stream.source_system)
    source_hub.campus.limit(transport(stream).campus_source, max(1, whole // 2), 1.0)
    source_hub.run(stream)
    source_hub.max_age *= 0
    source_hub.run(stream, limit=3)
    assert calls(source_hub.campus, route, "429") == 0
    assert_mirrors(source_hub, stream)


@every_stream
def test_tokens_that_end_in_mid_read_are_renewed(stream: StreamDeclaration, source_hub: Hub) -> None:
    campus, source = source_hub.campus, transport(stream).campus_source
    prepare(source_hub, stream)
    route = data_route(source_hub, stream)
    steps = iter(range(10_000))
    interval = 30 if isinstance(stream, DetailStream) else 1
    run = source_hub.run(
        with_steps(stream, lambda: campus.expire_tokens(source) if next(steps) % interval == 0 else None)
    )
    assert calls(campus, route, "401") >= 1
    assert run.counts.created == run.counts.processed
    assert_mirrors(source_hub, stream)


@every_stream
def test_short_lived_tokens_are_renewed_in_time(stream: StreamDeclaration, source_hub: Hub) -> None:
    campus, used = source_hub.campus, transport(stream)
    campus.token_lifetime(used.campus_source, 1)
    source_hub.clients[stream.source_system] = make_client(campus, stream.source_system)
    read(source_hub, stream)
    key = keys(campus, stream)[3]
    change_content(campus, stream, key)
    before = len(log(source_hub, stream))
    # Not a wait for something to happen: the token must be past its end.
    time.sleep(1.1)
    read(source_hub, stream)
    assert changes(source_hub, stream, before) == [(key, "changed")]
    assert calls(campus, used.login_route) >= 2


@every_stream
def test_a_refused_login_fails_the_run(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    change_content(source_hub.campus, stream, keys(source_hub.campus, stream)[3])
    prepare(source_hub, stream)
    before = dump(source_hub, apart=("ingestion_runs",))
    source_hub.campus.expire_tokens(transport(stream).campus_source)
    source_hub.campus.fault(transport(stream).login_route, "status", times=None, status=403)
    with pytest.raises(Exception, match="refused"):
        source_hub.run(stream)
    assert dump(source_hub, apart=("ingestion_runs",)) == before
