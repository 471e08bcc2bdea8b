"""The removal guard: how much one run may declare gone, and how a person lets more go (B7, B8).

List streams only: a detail is removed by the answer to a call of its own, never by absence, so it needs no guard.
"""

from typing import Any

import pytest

from lsats_dagster.ingestion.removals import removal_limit
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.runs import Run
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    change_content,
    keys,
    read_whole,
    shown,
)
from lsats_dagster_tests.contracts.stream_kinds import LIST_KINDS, name
from lsats_dagster_tests.contracts.stream_states import changes, check, dump, log, run_row

pytestmark = pytest.mark.engine
every_list = pytest.mark.parametrize("stream", LIST_KINDS, ids=name)


@pytest.mark.parametrize(
    ("present", "limit"),
    [
        (0, 0),
        (1, 0),
        (10, 5),
        (20, 10),
        (200, 10),
        (220, 11),
        (10_000, 500),
        (10_001, 500),
        (50_000, 500),
        (100_000, 1000),
    ],
)
def test_the_limit(present: int, limit: int) -> None:
    assert removal_limit(present) == limit


def refused(hub: Hub, run: Run) -> list[str]:
    rows = hub.rows(
        "select external_id from meta.refused_removals where run_id = :run order by external_id", run=run.run_id
    )
    return [row.external_id for row in rows]


def delete(hub: Hub, stream: ListStream[Any], count: int) -> list[str]:
    """Let so many records leave the source."""
    gone = keys(hub.campus, stream)[:count]
    for key in gone:
        hub.campus.delete(stream.name, key)
    return gone


@every_list
def test_up_to_the_limit_goes(stream: ListStream[Any], source_hub: Hub) -> None:
    read_whole(source_hub, stream)
    before = len(log(source_hub, stream))
    gone = delete(source_hub, stream, removal_limit(before))
    run = read_whole(source_hub, stream)
    assert changes(source_hub, stream, before) == [(key, "removed") for key in gone]
    assert check(run, "removal_guard").passed
    assert run.row_count == before - len(gone)


@every_list
def test_beyond_the_limit_nothing_goes_until_a_person_says_so(stream: ListStream[Any], source_hub: Hub) -> None:
    read_whole(source_hub, stream)
    before = len(log(source_hub, stream))
    limit = removal_limit(before)
    gone = delete(source_hub, stream, limit + 2)
    changed = keys(source_hub.campus, stream)[0]
    change_content(source_hub.campus, stream, changed)

    run = read_whole(source_hub, stream)
    assert changes(source_hub, stream, before) == [(changed, "changed")], "the guard holds removals only"
    guard = check(run, "removal_guard")
    assert not guard.passed
    wanted = {"present": before, "absent": limit + 2, "limit": limit, "refused": limit + 2, "without_key": 0}
    assert guard.numbers.items() >= wanted.items()
    assert run_row(source_hub, stream).metadata["refused_removals"].items() >= wanted.items()
    assert (run_row(source_hub, stream).status, run.counts.removed) == ("completed", 0)
    assert refused(source_hub, run) == gone
    assert set(gone) < shown(source_hub, stream).keys()

    further = delete(source_hub, stream, 1)
    approved = read_whole(source_hub, stream, approve_removals=run.run_id)
    assert changes(source_hub, stream, before + 1) == sorted((key, "removed") for key in gone + further)
    assert check(approved, "removal_guard").passed
    assert_mirrors(source_hub, stream)


@every_list
def test_an_approval_covers_the_listed_ids_and_no_more(stream: ListStream[Any], source_hub: Hub) -> None:
    read_whole(source_hub, stream)
    before = len(log(source_hub, stream))
    limit = removal_limit(before)
    gone = delete(source_hub, stream, limit + 2)
    run = read_whole(source_hub, stream)
    further = delete(source_hub, stream, limit + 1)
    second = read_whole(source_hub, stream, approve_removals=run.run_id)
    assert changes(source_hub, stream, before) == [(key, "removed") for key in gone]
    assert not check(second, "removal_guard").passed
    assert refused(source_hub, second) == further
    # The first approval is spent: it says nothing about what left later.
    third = read_whole(source_hub, stream, approve_removals=run.run_id)
    assert (third.counts.removed, refused(source_hub, third)) == (0, further)
    read_whole(source_hub, stream, approve_removals=third.run_id)
    assert_mirrors(source_hub, stream)


@every_list
def test_an_approval_does_not_remove_what_came_back(stream: ListStream[Any], source_hub: Hub) -> None:
    read_whole(source_hub, stream)
    before = len(log(source_hub, stream))
    gone = delete(source_hub, stream, removal_limit(before) + 1)
    run = read_whole(source_hub, stream)
    source_hub.campus.restore(stream.name, gone[0])
    read_whole(source_hub, stream, approve_removals=run.run_id)
    assert changes(source_hub, stream, before) == [(key, "removed") for key in gone[1:]]


@every_list
def test_an_approval_of_another_stream_says_nothing(stream: ListStream[Any], source_hub: Hub) -> None:
    read_whole(source_hub, stream)
    before = log(source_hub, stream)
    gone = delete(source_hub, stream, removal_limit(len(before)) + 1)
    read_whole(source_hub, stream)
    with source_hub.database.transaction() as connection:
        connection.exec_driver_sql(
            "insert into meta.ingestion_runs (source_system, entity_type, mode, status, completed_at) "
            "values ('elsewhere', 'thing', 'full', 'completed', now())"
        )
        (foreign,) = connection.exec_driver_sql(
            "select run_id from meta.ingestion_runs where source_system = 'elsewhere'"
        ).one()
        for key in gone:
            connection.exec_driver_sql("insert into meta.refused_removals values (%s, %s)", (foreign, key))
    run = read_whole(source_hub, stream, approve_removals=foreign)
    assert run.counts.removed == 0
    assert log(source_hub, stream) == before


@every_list
def test_a_dry_run_shows_the_guard_and_keeps_no_list(stream: ListStream[Any], source_hub: Hub) -> None:
    read_whole(source_hub, stream)
    limit = removal_limit(len(log(source_hub, stream)))
    delete(source_hub, stream, limit + 1)
    before = dump(source_hub)
    run = read_whole(source_hub, stream, dry_run=True)
    assert not check(run, "removal_guard").passed
    assert dump(source_hub) == before
