"""A run of details that is stopped in the middle keeps every answer that came, says so, and waits for nobody."""

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from lsats_dagster.database import Database
from lsats_dagster.ingestion import detail_calls
from lsats_dagster.runs import STOPPED
from lsats_dagster_tests.automation.aids import wait_until
from lsats_dagster_tests.ingestion.memory import PATIENCE, Thing, Things, send_to_paused_run


class StopError(BaseException):
    """Ends a run as no error of a source does."""


def interrupt() -> None:
    """As somebody who presses Ctrl+C."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def stop() -> None:
    raise StopError


@pytest.fixture
def interruptible() -> Iterator[None]:
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.parametrize(("how", "error"), [(interrupt, KeyboardInterrupt), (stop, StopError)])
@pytest.mark.parametrize("per_commit", [1, 7, 100])
def test_all_answers_that_came_are_kept(
    hub: Database,
    monkeypatch: pytest.MonkeyPatch,
    interruptible: None,
    how: Any,
    error: type[BaseException],
    per_commit: int,
) -> None:
    monkeypatch.setattr(detail_calls, "CALLS_PER_COMMIT", per_commit)
    things = Things(hub, 50)
    things.ingest()
    things.denied.add("1")
    answer, ended, one_by_one = things.fetch, threading.Event(), threading.Lock()

    def fetch(client: Any, key: str) -> Thing | None:
        with one_by_one:
            if len(things.asked) == 20:
                how()
                ended.wait()  # as in a rate window: the run must not wait for it
            return answer(client, key)

    things.fetch = fetch  # type: ignore[method-assign]
    with pytest.raises(error):
        things.enrich()
    answered = list(things.asked)
    things.fetch = answer  # type: ignore[method-assign]
    ended.set()
    run = things.last_run("thing_detail")
    assert (run.status, run.records_processed, run.records_created) == ("failed", 19, 19)
    assert run.metadata["extract"]["reason"] == "the read has not ended"
    assert len(things.present("thing_detail")) == 19
    calls = things.rows("select external_id, outcome from meta.detail_fetches")
    assert {(row.external_id, row.outcome) for row in calls} == {
        (key, "denied" if key == "1" else "found") for key in answered
    }


@pytest.mark.parametrize("moment", ["begin", "commit"])
def test_an_interrupt_in_the_middle_of_a_commit_waits_for_its_end(
    hub: Database, monkeypatch: pytest.MonkeyPatch, interruptible: None, moment: str
) -> None:
    monkeypatch.setattr(detail_calls, "CALLS_PER_COMMIT", 1)
    things = Things(hub, 50)
    things.ingest()
    answer = things.fetch
    due, came, behind, ended = (threading.Event() for _ in range(4))

    def fetch(client: Any, key: str) -> Thing | None:
        if len(things.asked) == 19:
            due.set()
        elif len(things.asked) == 20:
            came.wait()
        elif len(things.asked) == 30:
            behind.set()
            ended.wait(PATIENCE)
        return answer(client, key)

    def interrupt_once(*_: object) -> None:
        if due.is_set() and not came.is_set() and threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGINT)
            came.set()
            behind.wait()

    things.fetch = fetch  # type: ignore[method-assign]
    event.listen(Engine, moment, interrupt_once)
    try:
        with pytest.raises(KeyboardInterrupt):
            things.enrich()
    finally:
        event.remove(Engine, moment, interrupt_once)
        things.fetch = answer  # type: ignore[method-assign]
        came.set()
        ended.set()
    run = things.last_run("thing_detail")
    assert (run.status, run.records_created, len(things.present("thing_detail"))) == ("failed", 30, 30)
    assert len(things.rows("select from meta.detail_fetches")) == 30


def test_a_second_interrupt_waits_for_nothing(hub: Database, interruptible: None) -> None:
    things = Things(hub, 5)
    things.ingest()
    ended = threading.Event()
    in_time: list[bool] = []

    def insist() -> None:
        """Twice, while a commit of the run waits for another session."""
        with hub.transaction() as connection:
            connection.exec_driver_sql("lock table meta.detail_fetches in share mode")
            locked.set()
            wait_until(lambda: things.rows("select from pg_locks where not granted"), "a commit")
            interrupt()
            taken_in = (
                signal.getsignal(signal.SIGINT) is signal.default_int_handler or ended.wait(0.1) for _ in range(200)
            )
            assert any(taken_in)
            interrupt()
            in_time.append(ended.wait(PATIENCE))

    locked = threading.Event()
    insistent = threading.Thread(target=insist)
    insistent.start()
    locked.wait()
    with pytest.raises(KeyboardInterrupt):
        things.enrich()
    ended.set()
    insistent.join()
    assert in_time == [True]
    assert things.last_run("thing_detail").status == "failed"


def test_after_an_interrupt_only_the_others_are_asked(hub: Database) -> None:
    things = Things(hub, 50)
    things.ingest()
    send_to_paused_run(hub, "details", signal.SIGINT)
    run = things.last_run("thing_detail")
    assert (run.status, run.error_message, run.records_created) == ("failed", STOPPED, 10)
    answered = things.present("thing_detail")
    assert len(answered) == 10
    things.enrich()
    assert sorted(things.asked) == sorted({str(number) for number in range(50)} - answered)


def test_answers_are_committed_after_a_while(hub: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow source answers a hundred calls in minutes; a run that is killed then has lost no more than seconds."""
    monkeypatch.setattr(detail_calls, "SECONDS_PER_COMMIT", 0.0)
    things = Things(hub, 10)
    things.ingest()
    answer = things.fetch

    def fetch(client: Any, key: str) -> Thing | None:
        if len(things.asked) == 5:
            # The run has the time of so many queries for its commit.
            assert any(len(things.rows("select from meta.detail_fetches")) == 5 for _ in range(2000))
            assert len(things.present("thing_detail")) == 5
        return answer(client, key)

    things.fetch = fetch  # type: ignore[method-assign]
    assert things.enrich().counts.created == 10
