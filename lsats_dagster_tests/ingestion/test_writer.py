"""Batches are written while the next ones are read: in which order, and what a failure on either side leaves behind."""

import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from lsats_dagster.database import Database, DatabaseError
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import Extract, ListStream
from lsats_dagster.ingestion.writer import full_pace
from lsats_dagster.runs import Origin, Run

BATCH = 10


def read_pages(hub: Database, pages: Callable[[], Iterator[list[Any]]]) -> Run:
    """One run over pages in memory."""

    def read(_client: Any, extract: Extract) -> Iterator[list[Any]]:
        yield from pages()
        extract.complete("end of the list in memory")

    stream = ListStream(
        source_system="example", entity_type="thing", table="example_things", row="One thing.", description="In memory.",
        key=lambda record: str(record["ID"]), read=read,
    )  # fmt: skip
    return ingest(hub, stream, None, request=ReadRequest(), origin=Origin(), batch_size=BATCH, lock_wait_seconds=10)


def pace() -> tuple[float, int]:
    """How seldom threads take turns; after how many new objects Python looks for cycles."""
    return sys.getswitchinterval(), gc.get_threshold()[0]


def test_threads_take_turns_quickly_and_cycles_are_let_be_as_long_as_records_come(hub: Database) -> None:
    usual = pace()
    found = []

    def pages() -> Iterator[list[Any]]:
        yield page(0)
        found.append(pace())

    read_pages(hub, pages)
    assert found[0][0] < usual[0]
    assert found[0][1] > usual[1]
    assert pace() == usual


def test_of_two_runs_in_one_process_the_last_gives_the_usual_pace_back() -> None:
    """They end in the order in which they began."""
    usual = gc.get_threshold(), pace()
    first, second = full_pace(), full_pace()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert pace()[0] < usual[1][0]
    assert pace()[1] > usual[1][1]
    second.__exit__(None, None, None)
    assert (gc.get_threshold(), pace()) == usual


def page(number: int) -> list[dict[str, int]]:
    """A page that is one batch."""
    return [{"ID": number * BATCH + place} for place in range(BATCH)]


def logged(hub: Database) -> list[int]:
    with hub.transaction() as connection:
        return sorted(
            int(key) for key in connection.execute(text("select external_id from bronze.raw_entities")).scalars()
        )


def last_run(hub: Database) -> Any:
    with hub.transaction() as connection:
        return connection.execute(text("select * from meta.ingestion_runs order by run_seq desc limit 1")).one()


def test_changes_are_logged_in_the_order_in_which_they_came(hub: Database) -> None:
    read_pages(hub, lambda: iter([page(0)]))
    changed = [record | {"Text": "changed"} for record in page(0)[::2]]
    new = [{"ID": number} for number in range(100, 105)]
    mixed = [record for pair in zip(new, changed, strict=True) for record in pair]
    read_pages(hub, lambda: iter([mixed + page(0)[1::2]]))
    with hub.transaction() as connection:
        logged = connection.execute(text("select raw_data from bronze.raw_entities order by seq")).scalars().all()
    assert logged[BATCH:] == mixed


def test_nothing_is_written_behind_a_batch_that_could_not_be(hub: Database) -> None:
    admin = Database(hub.url.render_as_string(hide_password=False), role=None)
    with admin.transaction() as connection:
        connection.exec_driver_sql("alter table bronze.raw_entities add constraint odd check (external_id <> '15')")
    given = []

    def pages() -> Iterator[list[Any]]:
        for number in range(50):
            given.append(number)
            yield page(number)

    with pytest.raises(DatabaseError, match="23514"):
        read_pages(hub, pages)
    assert logged(hub) == list(range(BATCH))
    run = last_run(hub)
    assert (run.status, run.records_processed, run.records_created) == ("failed", BATCH, BATCH)
    assert len(given) < 50, "the source is not read to its end when nothing can be written any more"
    with admin.transaction() as connection:
        connection.exec_driver_sql("alter table bronze.raw_entities drop constraint odd")
    admin.dispose()
    assert read_pages(hub, lambda: map(page, range(50))).counts.created == 49 * BATCH


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_was_taken_before_the_reader_was_interrupted_is_whole_batches(
    hub: Database, error: type[BaseException]
) -> None:
    """An interrupt waits for the batch under way and writes no more; a failing reader's rest is written too."""

    def pages() -> Iterator[list[Any]]:
        yield page(0)
        yield page(1)[: BATCH // 2]
        raise error

    with pytest.raises(error):
        read_pages(hub, pages)
    kept = BATCH if error is KeyboardInterrupt else BATCH + BATCH // 2
    assert logged(hub) == list(range(kept))
    run = last_run(hub)
    assert (run.status, run.records_processed) == ("failed", kept)
