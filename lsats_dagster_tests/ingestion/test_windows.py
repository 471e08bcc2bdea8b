"""A source that can tell what changed: whole reads and windows, what the next read knows, and what a window may do."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lsats_dagster.database import Database, DatabaseError
from lsats_dagster.ingestion.request import RefusedRequestError
from lsats_dagster.ingestion.stream import Extract, UnprovenReadError
from lsats_dagster_tests.ingestion.memory import Thing, Things, grow_older

WEEK = timedelta(days=6, hours=12)


class Changing(Things):
    """Things whose source numbers its changes and can tell those behind a number."""

    def __init__(self, hub: Database, count: int) -> None:
        super().__init__(hub, count, whole_every=WEEK)
        self.now = 1
        for thing in self.listed:
            thing["Moved"] = 1

    def change(self, place: int) -> None:
        self.now += 1
        self.listed[place] = self.listed[place] | {"Name": f"Name {self.now}", "Moved": self.now}

    def read(self, _client: Any, extract: Extract) -> Iterator[list[Any]]:
        before = extract.before
        self.befores.append(before)
        extract.remember(cursor=self.now)
        if before.changes_only:
            cursor = 0 if before.since else before.memory.get("cursor", 0)
            yield [thing for thing in self.listed if thing["Moved"] > cursor]
            extract.changes(str(cursor))
        else:
            yield list(self.listed)
            extract.complete("end of the list in memory")

    @property
    def windows(self) -> list[bool]:
        """Of each reading whether it was asked for changes only."""
        return [before.changes_only for before in self.befores]


def test_the_first_read_is_whole_and_the_next_brings_what_changed(hub: Database) -> None:
    things = Changing(hub, 20)
    first = things.ingest()
    assert (first.mode, first.metadata["extract"]["state"], first.metadata["memory"]) == (
        "full",
        "complete",
        {"cursor": 1},
    )
    things.change(3)
    second = things.ingest()
    assert things.windows == [False, True]
    assert things.befores[1].memory == {"cursor": 1}
    assert (second.mode, second.counts.processed, second.counts.updated) == ("incremental", 1, 1)
    assert second.metadata["memory"] == {"cursor": 2}
    assert things.ingest().counts.processed == 0, "a window without a change is a good read"
    assert things.befores[2].memory == {"cursor": 2}


def test_a_window_removes_nothing_and_is_a_success(hub: Database) -> None:
    things = Changing(hub, 20)
    things.listed.append({"Name": "Without key", "Moved": 1})
    things.ingest()
    del things.listed[-2:]
    things.change(3)
    run = things.ingest()
    assert (run.counts.removed, len(things.present())) == (0, 20)
    assert things.quarantined() == [(None, "key")], "what a window does not bring may still be there"
    extract = run.metadata["extract"]
    assert (extract["state"], extract["changes_since"]) == ("partial", "1")
    assert "reason" not in extract
    assert things.state().last_success == things.last_run().completed_at
    assert things.ingest(full=True).counts.removed == 1
    assert things.quarantined() == []


@pytest.mark.parametrize(("older", "window"), [(WEEK - timedelta(hours=1), True), (WEEK + timedelta(hours=1), False)])
def test_a_whole_read_is_due_after_a_while(hub: Database, older: timedelta, window: bool) -> None:
    things = Changing(hub, 20)
    things.ingest()
    things.listed.pop()
    grow_older(hub, older)
    things.ingest()
    assert things.windows == [False, window]
    assert len(things.present()) == (20 if window else 19)


def test_a_whole_read_that_failed_is_made_up_the_next_day(hub: Database) -> None:
    things = Changing(hub, 20)
    things.ingest()
    grow_older(hub, WEEK + timedelta(hours=1))
    read = things.read

    def failing(client: Any, extract: Extract) -> Iterator[list[Any]]:
        yield next(read(client, extract))
        raise ConnectionError

    things.read = failing  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        things.ingest()
    things.read = read  # type: ignore[method-assign]
    grow_older(hub, timedelta(days=1))
    assert things.ingest().mode == "full"
    assert things.ingest().mode == "incremental"
    assert things.windows == [False, False, False, True]


@pytest.mark.parametrize("request_", [{"limit": 5}, {"limit": 500}, {"dry_run": True}, {"since": datetime.now(UTC)}])
def test_a_read_of_a_part_leaves_no_memory(hub: Database, request_: dict[str, Any]) -> None:
    things = Changing(hub, 20)
    things.ingest()
    things.now = 7
    things.ingest(**request_)
    things.ingest()
    assert things.befores[-1].memory == {"cursor": 1}


def test_without_a_memory_there_is_no_window(hub: Database) -> None:
    """A first read under a limit that it did not reach is complete, and leaves no memory."""
    things = Changing(hub, 20)
    assert things.ingest(limit=500).metadata["extract"]["state"] == "complete"
    things.ingest()
    assert things.windows == [False, False]


def test_a_failed_read_and_a_replay_leave_the_older_memory(hub: Database) -> None:
    things = Changing(hub, 20)
    things.ingest()
    read = things.read

    def failing(client: Any, extract: Extract) -> Iterator[list[Any]]:
        yield from read(client, extract)
        raise ConnectionError

    things.now = 7
    things.read = failing  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        things.ingest()
    things.read = read  # type: ignore[method-assign]
    things.replay()
    things.ingest()
    assert things.befores[-1].memory == {"cursor": 1}


def test_a_read_that_failed_at_its_very_end_was_no_whole_read_and_leaves_no_memory(hub: Database) -> None:
    """All was read and judged complete; the database refused the removal."""
    things = Changing(hub, 20)
    things.ingest()
    grow_older(hub, WEEK + timedelta(hours=1))
    things.now = 7
    things.listed.pop()
    admin = Database(hub.url.render_as_string(hide_password=False), role=None)
    with admin.transaction() as connection:
        connection.exec_driver_sql("alter table bronze.raw_entities add constraint odd check (change <> 'removed')")
    with pytest.raises(DatabaseError):
        things.ingest()
    assert things.last_run().status == "failed"
    with admin.transaction() as connection:
        connection.exec_driver_sql("alter table bronze.raw_entities drop constraint odd")
    admin.dispose()
    assert things.ingest().counts.removed == 1
    assert (things.befores[-1].changes_only, things.befores[-1].memory) == (False, {"cursor": 1})


def test_changes_since_a_moment_are_read_where_the_source_can_tell_them(hub: Database) -> None:
    things, moment = Changing(hub, 20), datetime(2026, 3, 1, tzinfo=UTC)
    things.ingest(since=moment)
    assert (things.befores[0].changes_only, things.befores[0].since) == (True, moment)
    assert len(things.present()) == 20
    del things.declared["whole_every"]
    with pytest.raises(RefusedRequestError, match="leave out `since`"):
        things.ingest(since=moment)
    assert things.last_run().status == "failed"
    assert len(things.befores) == 1, "the source is not asked"


def test_a_read_of_what_changed_leaves_a_red_guard_red(hub: Database) -> None:
    """It judges no removals; the status and the alerts look at what stands, not at the newest run alone."""
    things = Changing(hub, 40)
    things.ingest()
    del things.listed[:20]
    things.ingest(full=True)
    things.now = 7
    things.ingest()
    assert things.befores[-1].changes_only
    assert "removal_guard" in things.state().failed_checks
    # A whole read makes every check anew; what an older one called by another name stands no longer.
    things.rows("update meta.ingestion_runs set metadata = jsonb_set(metadata, '{checks,0,name}', '\"retired\"') "
                "where mode = 'full' returning 1")  # fmt: skip
    things.listed += [{"ID": number} for number in range(20)]
    things.ingest(full=True)
    assert things.state().failed_checks == {}


def silent(things: Things) -> None:
    """Let the reader end without a statement."""

    def read(_client: Any, _extract: Extract) -> Iterator[list[Thing]]:
        yield list(things.listed)

    things.read = read  # type: ignore[method-assign]


def test_a_reader_that_states_nothing_proves_nothing(hub: Database) -> None:
    things = Things(hub, 20)
    things.ingest()
    things.listed.pop()
    silent(things)
    with pytest.raises(UnprovenReadError, match="without stating"):
        things.ingest()
    assert len(things.present()) == 20
    assert things.last_run().metadata["extract"]["reason"] == "the read ended without stating that it is complete"


def test_a_whole_read_without_a_record_is_no_proof(hub: Database) -> None:
    things = Things(hub, 1)
    things.listed.clear()
    assert things.ingest().metadata["extract"]["state"] == "complete", "nothing was there before"
    things.listed = [{"ID": 1}]
    things.ingest()
    things.listed.clear()
    with pytest.raises(UnprovenReadError, match="no record at all"):
        things.ingest()
    assert things.last_run().metadata["extract"]["reason"] == "no record at all"
    assert things.present() == {"1"}


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (5, "limited to 5 records"),
        (30, "limited to 30 records, and the source ended before them without stating that it is complete"),
    ],
)
def test_a_limited_read_says_what_ended_it(hub: Database, limit: int, reason: str) -> None:
    things = Things(hub, 20)
    silent(things)
    extract = things.ingest(limit=limit).metadata["extract"]
    assert (extract["state"], extract["reason"]) == ("partial", reason)
    assert things.state().last_success is None
