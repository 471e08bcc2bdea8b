"""Runs as such: dry, limited, two at once, waiting for each other, and killed (B9-B11; sources.md 23.4: A15, A19)."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lsats_dagster.database import Database, LockTimeoutError
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Run
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.poison_cases import good_record
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    change_content,
    data_routes,
    keys,
    prepare,
    quick,
    read,
    shown,
    with_steps,
)
from lsats_dagster_tests.contracts.stream_kinds import (
    DETAILS,
    ENGINE_DETAILS,
    ENGINE_LISTS,
    ENGINE_STREAMS,
    name,
)
from lsats_dagster_tests.contracts.stream_states import as_superuser, changes, dump, log, run_row, state

pytestmark = pytest.mark.engine
every_stream = pytest.mark.parametrize("stream", ENGINE_STREAMS, ids=name)
# A dry run of a detail stream compares nothing: it makes no call (its cases stand with the queue).
every_list = pytest.mark.parametrize("stream", ENGINE_LISTS, ids=name)


@every_list
def test_a_dry_run_counts_everything_and_writes_nothing(stream: StreamDeclaration, source_hub: Hub) -> None:
    before = dump(source_hub)
    run = read(source_hub, stream, dry_run=True)
    assert dump(source_hub) == before
    everything = len(keys(source_hub.campus, stream))
    assert (run.run_id, run.counts.created, run.counts.processed) == (None, everything, everything)

    campus = source_hub.campus
    good = good_record(source_hub, stream)
    read(source_hub, stream)
    returning, changed, gone, *_ = keys(campus, stream)
    campus.delete(stream.name, returning)
    read(source_hub, stream)
    campus.restore(stream.name, returning)
    campus.delete(stream.name, gone)
    campus.add(stream.name)
    change_content(campus, stream, changed)
    campus.poison(stream.name, [good.text(Odd="\ud800")])
    before = dump(source_hub)
    dry = read(source_hub, stream, dry_run=True)
    assert dump(source_hub) == before
    counts = dry.counts
    assert (counts.created, counts.updated, counts.removed, counts.failed) == (2, 1, 1, 1)
    real = read(source_hub, stream)
    assert real.counts == counts
    assert real.metadata["extract"]["state"] == dry.metadata["extract"]["state"] == "complete"


@every_stream
def test_a_dry_run_that_fails_writes_nothing(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = dump(source_hub)
    routes = data_routes(source_hub, stream)
    routes.fault("status", times=None)
    if isinstance(stream, DetailStream):
        source_hub.run(stream, dry_run=True)
    else:
        with pytest.raises(Exception, match="503"):
            source_hub.run(stream, dry_run=True)
    assert dump(source_hub) == before


@every_list
def test_a_limited_read_is_partial_by_intent(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = log(source_hub, stream)
    source_hub.campus.delete(stream.name, keys(source_hub.campus, stream)[2])
    run = read(source_hub, stream, limit=5)
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"]) == ("completed", "partial")
    assert {"reason", "login", "calls"} <= row.metadata["extract"].keys()
    assert (run.counts.processed, run.counts.removed) == (5, 0)
    assert log(source_hub, stream) == before


@contextmanager
def in_background(hub: Hub, stream: StreamDeclaration) -> Iterator[list[Run | BaseException]]:
    """A run in a thread, on a database object of its own, that holds the stream's lock when the block begins."""
    result: list[Run | BaseException] = []
    url = hub.database.url.render_as_string(hide_password=False)
    other = quick(Hub(Database(url), hub.campus))

    def work() -> None:
        try:
            result.append(other.run(stream))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    await_rows(hub, "select 1 from meta.ingestion_runs where status = 'running'")
    try:
        yield result
    finally:
        thread.join()
        other.database.dispose()


def await_rows(hub: Hub, sql: str, rows: int = 1) -> None:
    """Return as soon as the query gives so many rows; fails when a minute brought none."""
    pause = threading.Event()
    for _ in range(6000):
        if len(hub.rows(sql)) >= rows:
            return
        pause.wait(0.01)
    raise AssertionError(f"nothing came of {sql}")


@every_stream
def test_two_runs_at_once_write_each_change_once(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    ended = threading.Event()

    def go_on() -> None:
        """The source answers the first run when the second waits for it, or did not wait at all."""
        while not ended.wait(0.01) and not source_hub.rows("select 1 from pg_locks where not granted"):
            pass
        ended.set()

    with in_background(source_hub, with_steps(stream, go_on)) as first:
        try:
            second = source_hub.run(stream)
        finally:
            ended.set()
    assert isinstance(first[0], Run)
    assert first[0].counts.created == len(keys(source_hub.campus, stream))
    assert (second.counts.created, second.counts.updated) == (0, 0)
    assert changes(source_hub, stream, 0) == [(key, "new") for key in keys(source_hub.campus, stream)]
    overlapping = source_hub.rows(
        "select 1 from meta.ingestion_runs a join meta.ingestion_runs b using (source_system, entity_type) "
        "where a.run_seq < b.run_seq and b.started_at < a.completed_at"
    )
    assert overlapping == [], "the second waits"


@every_stream
def test_a_run_that_waited_too_long_names_the_live_one(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    answers = threading.Event()
    source_hub.lock_wait_seconds = 0.1
    with in_background(source_hub, with_steps(stream, answers.wait)) as first:
        try:
            with pytest.raises(LockTimeoutError) as refused:
                source_hub.run(stream)
            row = run_row(source_hub, stream)
        finally:
            answers.set()
        assert row.status == "running", "a live run is not closed by another"
    assert str(row.run_id) in str(refused.value)
    assert stream.subject.label in str(refused.value)
    assert isinstance(first[0], Run)
    assert first[0].run_id == row.run_id
    assert run_row(source_hub, stream).status == "completed"
    assert_mirrors(source_hub, stream)


@pytest.mark.parametrize("moment", ["between two commits", "inside a transaction"])
@every_stream
def test_a_killed_run_is_closed_and_finished_by_the_next(
    stream: StreamDeclaration, moment: str, source_hub: Hub, other_hub: Hub
) -> None:
    prepare(source_hub, stream)
    # Details are committed a hundred at a time, lists here ten at a time.
    pause_after = 105 if isinstance(stream, DetailStream) else 35
    with killed(source_hub, stream, pause_after) as process:
        whole_batches = 100 if isinstance(stream, DetailStream) else 30
        # The last one may still be on its way: it is written while the source goes on.
        await_rows(source_hub, f"select 1 from {stream.layer}.{stream.table}", whole_batches)
        assert len(log(source_hub, stream)) == whole_batches
        if moment == "inside a transaction":
            superuser = as_superuser(source_hub)
            with superuser.transaction() as connection:
                connection.exec_driver_sql("lock table bronze.current_entities in share row exclusive mode")
                assert process.stdin is not None
                process.stdin.write(b"\n")
                process.stdin.flush()
                await_rows(source_hub, "select 1 from pg_locks where not granted")
                process.kill()
                process.wait()
            superuser.dispose()

    source_hub.run(stream)
    rows = source_hub.rows(
        "select status, error_message, metadata from meta.ingestion_runs "
        "where source_system || '/' || entity_type = :stream order by run_seq",
        stream=stream.name,
    )
    assert [row.status for row in rows] == ["failed", "completed"]
    assert "process ended" in rows[0].error_message
    assert rows[0].metadata["extract"]["state"] == "partial"
    read(other_hub, stream)
    # Details are written as they are answered.
    in_order = not isinstance(stream, DetailStream)
    assert state(source_hub, stream, in_order=in_order) == state(other_hub, stream, in_order=in_order)


def test_a15_enrichment_of_people_killed_half_way_and_restarted(source_hub: Hub) -> None:
    """Killed for real. What was committed is not asked again; each person has one row, and nobody is missed."""
    (stream,) = (each for each in DETAILS if each.name == "tdx/user_detail")
    prepare(source_hub, stream)
    everybody, routes = keys(source_hub.campus, stream), data_routes(source_hub, stream)
    with killed(source_hub, stream, 105) as process:
        # What is committed last of a portion is that its calls were made.
        await_rows(source_hub, "select 1 from meta.detail_fetches", 100)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert len(shown(source_hub, stream)) == 100 < len(everybody)
    source_hub.campus.reset_calls()
    run = source_hub.run(stream)
    assert (run.metadata["extract"]["state"], run.counts.created) == ("complete", len(everybody) - 100)
    assert routes.calls() == len(everybody) - 100
    assert changes(source_hub, stream, 0) == [(key, "new") for key in everybody]
    assert_mirrors(source_hub, stream)


@contextmanager
def killed(
    hub: Hub, stream: StreamDeclaration, pause_after: int, *, full: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs the stream and stands still in the middle; killed at the end of the block."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "STREAM": stream.name,
        "DATABASE_URL": hub.database.url.render_as_string(hide_password=False),
        "CAMPUS": json.dumps(hub.campus.environment),
        "PAUSE_AFTER": str(pause_after),
        "FULL": full,
    }
    script = Path(__file__).with_name("run_stream.py")
    with subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"paused\n"
        yield process
        process.kill()


@pytest.mark.parametrize("stream", ENGINE_DETAILS, ids=name)
def test_a_full_fetch_that_was_killed_goes_on(stream: DetailStream[Any], source_hub: Hub) -> None:
    """What a full fetch has asked for before it died is not asked for again. Lists have no such case: they read whole."""
    read(source_hub, stream)
    routes, whole = data_routes(source_hub, stream), len(keys(source_hub.campus, stream))
    with killed(source_hub, stream, 105, full="yes"):
        # A portion may still be on its way when its last answer has come.
        under_way = "select from meta.ingestion_runs where run_id = f.run_id and status = 'running'"
        await_rows(source_hub, f"select 1 from meta.detail_fetches f where exists ({under_way})", 100)
    source_hub.campus.reset_calls()
    run = source_hub.run(stream, full=True)
    assert (run.mode, run.metadata["extract"]["state"]) == ("full", "complete")
    assert routes.calls() == whole - 100
