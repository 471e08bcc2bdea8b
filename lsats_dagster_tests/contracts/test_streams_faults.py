"""What a stream does when its source fails: outlast it, or fail in bounded time and lose nothing (sources.md 23.4: A8-A10)."""

import pytest

from lsats_dagster.clients.errors import PermanentSourceError, SourceError
from lsats_dagster.clients.http import TRIES, UNREADABLE_TRIES, Ceilings
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.ingestion.detail_calls import FAILED_IN_A_ROW, UNREADABLE_IN_A_ROW
from lsats_dagster.ingestion.stream import DetailStream, ListStream, UnprovenReadError
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.clocks import SharedClock
from lsats_dagster_tests.conftest import Hub, source_of
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    beside_a_silent_source,
    calls,
    campus_source,
    change_content,
    data_routes,
    keys,
    login_route,
    prepare,
    quick,
    read,
    read_whole,
    refuse_login,
    shown,
    with_steps,
)
from lsats_dagster_tests.contracts.stream_kinds import (
    BY_PARTS,
    CLIENT_STREAMS,
    LIMITED,
    LIMITED_STREAMS,
    LISTS,
    PAGED,
    REMOTE_STREAMS,
    able,
    fault_cases,
    in_depth,
    name,
    transport,
)
from lsats_dagster_tests.contracts.stream_states import changes, dump, log, run_row, state

every_stream = pytest.mark.parametrize("stream", STREAMS, ids=name)
# What concerns the whole of a source; a detail run asks for single records.
every_list = pytest.mark.parametrize("stream", LISTS, ids=name)
# What concerns a client alone that logs in; or one whose calls have limits, and whose login ends.
every_client = pytest.mark.parametrize("stream", REMOTE_STREAMS, ids=name)
every_limited = pytest.mark.parametrize("stream", LIMITED_STREAMS, ids=name)
every_fault = pytest.mark.parametrize(("stream", "fault"), fault_cases(), ids=name)
every_outlasted = pytest.mark.parametrize(
    ("stream", "fault"), fault_cases([stream for stream in STREAMS if transport(stream).outlasts]), ids=name
)
every_oversized = pytest.mark.parametrize(
    ("stream", "fault"),
    [(stream, fault) for stream in in_depth(CLIENT_STREAMS) for fault in transport(stream).oversized],
    ids=name,
)
every_paged = pytest.mark.parametrize("stream", PAGED, ids=name)
# The others do not say how much is left; their pace is that of the settings.
every_announcing = pytest.mark.parametrize(
    "stream", [stream for stream in able("announces_limit") if stream in REMOTE_STREAMS], ids=name
)


@every_outlasted
def test_one_fault_in_mid_read_is_outlasted(stream: StreamDeclaration, fault: str, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    routes = data_routes(source_hub, stream)
    beside_a_silent_source(source_hub, fault)
    routes.fault_half_way(fault, times=1)
    run = source_hub.run(stream)
    assert routes.calls() > sum(routes.whole.values())
    assert run_row(source_hub, stream).status == "completed"
    assert run.counts.created == run.counts.processed
    assert_mirrors(source_hub, stream)


@pytest.mark.engine
@every_limited
def test_a_burst_of_server_errors_is_outlasted(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    routes = data_routes(source_hub, stream)
    routes.fault("status", times=TRIES - 1, status=502, retry_after=0)
    source_hub.run(stream)
    assert routes.calls("502") == TRIES - 1
    assert_mirrors(source_hub, stream)


@every_fault
def test_a_fault_for_ever_fails_the_run_and_changes_nothing(
    stream: StreamDeclaration, fault: str, source_hub: Hub
) -> None:
    if isinstance(stream, DetailStream):
        # All is due, so that the run meets a dead source and not one bad record.
        prepare(source_hub, stream)
        # Each worker may have begun another call when the last failure comes that shows the source dead.
        most = (2 * FAILED_IN_A_ROW - 1) * TRIES if fault in transport(stream).broken else 100 * UNREADABLE_TRIES
    else:
        read(source_hub, stream)
        change_content(source_hub.campus, stream, keys(source_hub.campus, stream)[3])
        source_hub.campus.delete(stream.name, keys(source_hub.campus, stream)[4])
        most = TRIES * len(data_routes(source_hub, stream).whole)
    before = dump(source_hub, apart=("ingestion_runs", "detail_fetches"))
    routes = data_routes(source_hub, stream)
    beside_a_silent_source(source_hub, fault)
    routes.fault(fault, times=None)
    # A hanging source is asked for few, so that a fault of the engine shows as a failure and not as a long wait.
    limit = {"limit": 18} if isinstance(stream, DetailStream) and fault == "hang" else {}
    with pytest.raises(Exception, match=r".+"):
        source_hub.run(stream, **limit)
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"]) == ("failed", "partial")
    assert dump(source_hub, apart=("ingestion_runs", "detail_fetches")) == before
    assert routes.calls() <= most, "the number of calls to a dead source is bounded by the tries of one"

    source_hub.campus.clear_faults()
    quick(source_hub)
    read_whole(source_hub, stream)
    assert_mirrors(source_hub, stream)


@every_oversized
def test_an_answer_without_end_is_given_up_at_once(stream: StreamDeclaration, fault: str, source_hub: Hub) -> None:
    """Another try would not change it; nothing is stored and nothing goes."""
    read(source_hub, stream)
    before, routes = log(source_hub, stream), data_routes(source_hub, stream)
    quick(source_hub, ceilings=Ceilings(list_bytes=1 << 20, record_bytes=64 << 10))
    routes.fault(fault, times=None, **({"megabytes": 4} if fault == "gzip_bomb" else {}))
    source_hub.detail_workers = 1
    # A detail that is too large is a bad record, and five of them in a row are a bad source.
    error, words = (
        (UnprovenReadError, "in a row")
        if isinstance(stream, DetailStream)
        else (PermanentSourceError, transport(stream).too_large)
    )
    with pytest.raises(error, match=words):
        source_hub.run(stream, full=isinstance(stream, DetailStream))
    asked = UNREADABLE_IN_A_ROW if isinstance(stream, DetailStream) else 1
    assert routes.calls() <= asked * len(routes.whole), "one try each"
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"], row.records_removed) == ("failed", "partial", 0)
    assert log(source_hub, stream) == before


@every_stream
def test_a_read_that_fails_part_way_is_finished_by_the_next(
    stream: StreamDeclaration, source_hub: Hub, other_hub: Hub
) -> None:
    prepare(source_hub, stream)
    routes = data_routes(source_hub, stream)
    routes.fault_half_way(transport(stream).breaks, times=None)
    with pytest.raises(SourceError, match=transport(stream).says):
        source_hub.run(stream)
    row, kept = run_row(source_hub, stream), log(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"]) == ("failed", "partial")
    if isinstance(stream, ListStream):
        assert {"reason", *transport(stream).evidence} <= row.metadata["extract"].keys()
    assert row.records_created == len(kept) < len(keys(source_hub.campus, stream))
    first = next(iter(routes.whole.values()))
    # The first half of a first read by parts finds them.
    assert bool(kept) == (first > 1) or stream in BY_PARTS, "what came before the failure is kept"

    source_hub.campus.clear_faults()
    source_hub.run(stream)
    read(other_hub, stream)
    # Details are fetched by several workers: which of them meets the fault is open, and so is the order. What was left of parts
    # may be cut into others.
    in_order = not isinstance(stream, DetailStream) and stream not in BY_PARTS
    assert state(source_hub, stream, in_order=in_order) == state(other_hub, stream, in_order=in_order)


@every_list
def test_a_read_that_fails_part_way_removes_nothing(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = log(source_hub, stream)
    routes = data_routes(source_hub, stream)
    source_hub.campus.delete(stream.name, keys(source_hub.campus, stream)[1])
    routes.fault_half_way(transport(stream).breaks, times=None)
    with pytest.raises(SourceError, match=transport(stream).says):
        source_hub.run(stream, full=True)
    assert log(source_hub, stream) == before
    assert run_row(source_hub, stream).records_removed == 0


@every_stream
def test_an_empty_answer_is_never_complete_while_entities_are_present(
    stream: StreamDeclaration, source_hub: Hub
) -> None:
    read(source_hub, stream)
    before = log(source_hub, stream)
    routes = data_routes(source_hub, stream)
    routes.fault("empty", times=None)
    with pytest.raises(UnprovenReadError):
        source_hub.run(stream, full=True)
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"]) == ("failed", "partial")
    assert log(source_hub, stream) == before
    assert len(shown(source_hub, stream)) == len(before)


@every_list
def test_an_empty_source_is_complete_while_nothing_is_present(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    if source_of(stream) in LIMITED:
        for key in keys(source_hub.campus, stream):
            source_hub.campus.delete(stream.name, key)
    else:
        data_routes(source_hub, stream).fault("empty", times=None)
    run = source_hub.run(stream)
    assert run.metadata["extract"]["state"] == "complete"
    assert log(source_hub, stream) == []


@every_paged
def test_pages_that_move_once_are_read_again(stream: StreamDeclaration, source_hub: Hub) -> None:
    routes = data_routes(source_hub, stream)
    routes.fault("shift", times=1, after=1, rows=3)
    run = source_hub.run(stream)
    assert run.metadata["extract"]["attempt"] == 2
    assert_mirrors(source_hub, stream)
    assert changes(source_hub, stream, 0) == [(key, "new") for key in keys(source_hub.campus, stream)]


@every_paged
def test_pages_that_keep_moving_remove_nothing(stream: StreamDeclaration, source_hub: Hub) -> None:
    source_hub.run(stream)
    before = log(source_hub, stream)
    routes = data_routes(source_hub, stream)
    source_hub.campus.delete(stream.name, keys(source_hub.campus, stream)[4])
    for after in range(1, 40, 2):
        routes.fault("shift", times=1, after=after, rows=3)
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
    routes = data_routes(source_hub, stream)
    routes.fault("shift", times=1, after=1)
    routes.fault("empty", times=None, after=2)
    with pytest.raises(UnprovenReadError):
        source_hub.run(stream)
    assert log(source_hub, stream) == before


@pytest.mark.engine
@every_limited
def test_a_storm_of_429_is_waited_out(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    routes = data_routes(source_hub, stream)
    routes.fault("storm", times=2, seconds=30)
    source_hub.run(stream)
    assert routes.calls("429") == 2 * len(routes.whole)
    assert_mirrors(source_hub, stream)


@pytest.mark.engine
@every_announcing
def test_an_announced_limit_is_never_overstepped(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    routes = data_routes(source_hub, stream)
    half = max(1, max(routes.whole.values()) // 2)
    source_hub.campus.limit(campus_source(source_hub.campus, source_of(stream)), half, 60.0)
    quick(source_hub)
    source_hub.run(stream)
    source_hub.max_age *= 0
    source_hub.run(stream, limit=3)
    assert routes.calls("429") == 0
    assert_mirrors(source_hub, stream)


@pytest.mark.engine
@every_limited
def test_tokens_that_end_in_mid_read_are_renewed(stream: StreamDeclaration, source_hub: Hub) -> None:
    campus, source = source_hub.campus, campus_source(source_hub.campus, source_of(stream))
    prepare(source_hub, stream)
    routes = data_routes(source_hub, stream)
    steps = iter(range(10_000))
    interval = 30 if isinstance(stream, DetailStream) else 1
    run = source_hub.run(
        with_steps(stream, lambda: campus.expire_tokens(source) if next(steps) % interval == 0 else None)
    )
    assert routes.calls("401") >= 1
    assert run.counts.created == run.counts.processed
    assert_mirrors(source_hub, stream)


@pytest.mark.engine
@every_limited
def test_short_lived_tokens_are_renewed_in_time(stream: StreamDeclaration, source_hub: Hub) -> None:
    campus, source = source_hub.campus, source_of(stream)
    campus.token_lifetime(campus_source(campus, source), 3600)
    clock = SharedClock(campus)
    quick(source_hub, clock=clock, window=LocalCallWindow(clock))
    routes = data_routes(source_hub, stream)
    read(source_hub, stream)
    key = keys(campus, stream)[3]
    change_content(campus, stream, key)
    before = len(log(source_hub, stream))
    clock.sleep_until(clock.now() + 7200)
    read(source_hub, stream)
    assert changes(source_hub, stream, before) == [(key, "changed")]
    assert calls(campus, login_route(campus, source)) >= 1
    assert routes.calls("401") == 0, "before they end"


@pytest.mark.engine
@every_client
def test_a_refused_login_fails_the_run(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    change_content(source_hub.campus, stream, keys(source_hub.campus, stream)[3])
    prepare(source_hub, stream)
    before = dump(source_hub, apart=("ingestion_runs",))
    refuse_login(source_hub, source_of(stream))
    with pytest.raises(Exception, match="refused"):
        source_hub.run(stream)
    assert dump(source_hub, apart=("ingestion_runs",)) == before
