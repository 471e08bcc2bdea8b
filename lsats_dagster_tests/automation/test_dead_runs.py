"""Runs whose process died are closed, by what only the dead can do: lose their lock. Live runs are left alone."""

import time
from uuid import uuid4

import dagster as dg
import pytest

from lsats_dagster.database import Database
from lsats_dagster.runs import DIED, Origin, Subject, close_run, open_run, sole_writer
from lsats_dagster_tests.automation.aids import Operation, job_process, kill, wait_until

SUBJECT = Subject("umich_api", "department")
ROWS = "select status, error_message, completed_at is not null from meta.ingestion_runs where dagster_run_id = :run"


def tick(operation: Operation) -> str:
    return operation.tick("dead_runs").said


def abandoned_row(operation: Operation, run_id: str) -> None:
    """An open run row whose owner holds no lock any more, as a killed process leaves it."""
    database = Database(operation.url)
    with sole_writer(database, SUBJECT, wait_seconds=5) as connection:
        open_run(connection, SUBJECT, "full", Origin("bronze/umapi_departments", run_id), {})
    database.dispose()


def started_run(operation: Operation, *, silent_minutes: float) -> str:
    """A run of Dagster's that started so long ago and was not heard of since."""
    job = operation.definitions.resolve_job_def("umich_api_ingest")
    run = operation.instance.create_run_for_job(job)
    start = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, job.name, message="started")
    operation.instance.report_dagster_event(start, run.run_id, timestamp=time.time() - silent_minutes * 60)
    assert status(operation, run.run_id) == dg.DagsterRunStatus.STARTED
    return run.run_id


def status(operation: Operation, run_id: str) -> dg.DagsterRunStatus:
    run = operation.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_killed_run_is_closed_and_a_live_one_is_not(shared: Operation) -> None:
    """The campus never answers, so the run lives until it is killed."""
    shared.campus.fault("gateway/DeptData", "hang", times=None)
    with job_process("umich_api_ingest") as process:
        wait_until(lambda: shared.sql("select 1 from meta.ingestion_runs where status = 'running'"), "an open run")
        (run,) = shared.instance.get_runs()
        assert tick(shared) == "0 run rows and 0 Dagster runs were closed"
        assert shared.sql(ROWS, run=run.run_id) == [("running", None, False)]
        kill(process)
        assert shared.sql(ROWS, run=run.run_id) == [("running", None, False)]
        # The server frees the lock when it notices that nobody is there.
        wait_until(lambda: tick(shared) == "1 run rows and 0 Dagster runs were closed", "the dead run's lock")
    assert shared.sql(ROWS, run=run.run_id) == [("failed", DIED, True)]
    # It was heard of a moment ago: the process could have lost nothing but its database.
    assert status(shared, run.run_id) == dg.DagsterRunStatus.STARTED
    assert tick(shared) == "0 run rows and 0 Dagster runs were closed"
    # The stream is free for the next run.
    shared.campus.clear_faults()
    assert shared.run("umich_api_ingest").success


@pytest.mark.parametrize(("silent_minutes", "failed"), [(19, 0), (21, 1)])
def test_dagsters_run_is_failed_when_it_is_silent_beyond_the_wait_for_a_lock(
    operation: Operation, silent_minutes: float, failed: int
) -> None:
    run_id = started_run(operation, silent_minutes=silent_minutes)
    abandoned_row(operation, run_id)
    assert tick(operation) == f"1 run rows and {failed} Dagster runs were closed"
    wanted = dg.DagsterRunStatus.FAILURE if failed else dg.DagsterRunStatus.STARTED
    assert status(operation, run_id) == wanted
    assert tick(operation) == "0 run rows and 0 Dagster runs were closed"
    assert status(operation, run_id) == wanted


@pytest.mark.parametrize(("silent_minutes", "failed"), [(19, 0), (21, 1)])
def test_a_silent_run_without_an_open_row_is_failed(operation: Operation, silent_minutes: float, failed: int) -> None:
    """It died between its steps, or while a step waited for its next try: what it had written is closed."""
    run_id = started_run(operation, silent_minutes=silent_minutes)
    database = Database(operation.url)
    with sole_writer(database, SUBJECT, wait_seconds=5) as connection:
        close_run(connection, open_run(connection, SUBJECT, "full", Origin("bronze/umapi_departments", run_id), {}))
        connection.commit()
    database.dispose()
    assert tick(operation) == f"0 run rows and {failed} Dagster runs were closed"
    wanted = dg.DagsterRunStatus.FAILURE if failed else dg.DagsterRunStatus.STARTED
    assert status(operation, run_id) == wanted


def test_a_run_that_works_on_is_not_failed_for_a_row_it_lost(operation: Operation) -> None:
    """Its first try lost the database and left a row behind; its second try holds the lock of its next table."""
    run_id = started_run(operation, silent_minutes=21)
    abandoned_row(operation, run_id)
    other = Subject("tdx", "department")
    database = Database(operation.url)
    with sole_writer(database, other, wait_seconds=5) as connection:
        open_run(connection, other, "full", Origin("bronze/tdx_departments", run_id), {})
        assert tick(operation) == "1 run rows and 0 Dagster runs were closed"
        assert status(operation, run_id) == dg.DagsterRunStatus.STARTED
    database.dispose()


def test_a_run_that_ended_keeps_its_end(operation: Operation) -> None:
    result = operation.run("umich_api_ingest")
    assert result.success
    abandoned_row(operation, result.run_id)
    assert tick(operation) == "1 run rows and 0 Dagster runs were closed"
    assert status(operation, result.run_id) == dg.DagsterRunStatus.SUCCESS


def test_a_row_of_a_run_that_dagster_does_not_know_is_closed(operation: Operation) -> None:
    run_id = str(uuid4())
    abandoned_row(operation, run_id)
    assert tick(operation) == "1 run rows and 0 Dagster runs were closed"
    assert operation.sql(ROWS, run=run_id) == [("failed", DIED, True)]


def test_a_run_that_was_failed_for_its_silence_is_told_of(operation: Operation) -> None:
    run_id = started_run(operation, silent_minutes=21)
    abandoned_row(operation, run_id)
    tick(operation)
    assert operation.tick("failure_alerts").said == "1 failed runs, 1 alerts"
    assert operation.sql("select alert_key, channel from meta.alerts") == [("failure:umich_api_ingest::", "log")]
