"""What a run leaves in its row, however it ends."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lsats_dagster.database import Database, LockTimeoutError
from lsats_dagster.ingestion.stream import Extract
from lsats_dagster.runs import DIED, Origin, Subject, Work, running
from lsats_dagster_tests.ingestion.memory import Things

THING = Subject("example", "thing")


def run_of(hub: Database, *, dry: bool = False) -> AbstractContextManager[Work]:
    return running(
        hub, THING, "full", Origin(), metadata={"extract": {"state": "partial"}}, statistics={}, dry=dry, wait_seconds=0
    )


@pytest.mark.parametrize("dry", [False, True])
def test_a_run_that_nobody_ended_has_failed(hub: Database, dry: bool) -> None:
    with pytest.raises(RuntimeError, match="was not ended"), run_of(hub, dry=dry):
        pass
    things = Things(hub, 0)
    if dry:
        assert things.rows("select from meta.ingestion_runs") == []
    else:
        run = things.last_run()
        assert (run.status, run.completed_at is None) == ("failed", False)


def test_a_run_that_failed_in_its_last_transaction_has_written_nothing_there(hub: Database) -> None:
    things = Things(hub, 0)

    def fail() -> None:
        with run_of(hub) as work, work.last_transaction():
            work.connection.exec_driver_sql("insert into meta.refused_removals values (gen_random_uuid(), '1')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (things.last_run().status, things.rows("select from meta.refused_removals")) == ("failed", [])


def test_a_note_is_there_at_once_and_survives_the_process(hub: Database) -> None:
    things = Things(hub, 0)

    def note() -> None:
        with run_of(hub) as work:
            work.note(begun="now")
            assert things.last_run().metadata == {"begun": "now", "extract": {"state": "partial"}}

    with pytest.raises(RuntimeError):
        note()
    assert things.last_run().metadata["begun"] == "now"
    # A row as a killed process leaves it.
    with hub.transaction() as connection:
        connection.exec_driver_sql(
            "insert into meta.ingestion_runs (source_system, entity_type, mode, metadata) "
            "values ('example', 'thing', 'full', %s)",
            (json.dumps({"begun": "then"}),),
        )
    things.ingest()
    dead = things.rows("select * from meta.ingestion_runs where error_message = :died", died=DIED)
    assert [(row.status, row.metadata) for row in dead] == [("failed", {"begun": "then"})]


def test_a_stream_has_one_writer(hub: Database) -> None:
    things = Things(hub, 5)

    def read(_client: Any, extract: Extract) -> Iterator[list[Any]]:
        with pytest.raises(LockTimeoutError) as refused, run_of(hub):
            pass
        ((run_id, started),) = things.rows("select run_id, started_at from meta.ingestion_runs")
        # By the clock of the university, as commands and alerts tell times.
        began = f"{started.astimezone(ZoneInfo('America/Detroit')):%Y-%m-%d %H:%M:%S}"
        assert f"run {run_id}, started {began}. Try again" in str(refused.value)
        yield list(things.listed)
        extract.complete("end of the list in memory")

    things.read = read  # type: ignore[method-assign]
    assert things.ingest().counts.created == 5
