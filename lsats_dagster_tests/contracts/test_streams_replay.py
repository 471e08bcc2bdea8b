"""Quarantined records are put through again after a fix, and never over something newer."""

import json
from dataclasses import replace
from typing import Any

import pytest

from lsats_dagster.ingestion.quarantine import replay
from lsats_dagster.ingestion.stream import DetailStream, Record, UnkeyedRecordError
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Origin, Run
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    change_content,
    expected,
    keys,
    read,
    read_whole,
    shown,
)
from lsats_dagster_tests.contracts.stream_kinds import (
    DOUBLED,
    ENGINE_DETAILS,
    ENGINE_LISTS,
    LIST_KINDS,
    STREAM_KINDS,
    name,
)
from lsats_dagster_tests.contracts.stream_states import check, current, log, quarantine, run_row, state

pytestmark = pytest.mark.engine
every_stream = pytest.mark.parametrize("stream", STREAM_KINDS, ids=name)
# A detail read is never partial for a key it has asked for.
every_list = pytest.mark.parametrize("stream", LIST_KINDS, ids=name)
every_detail = pytest.mark.parametrize("stream", ENGINE_DETAILS, ids=name)
every_doubled = pytest.mark.parametrize("stream", [s for s in ENGINE_LISTS if s in DOUBLED], ids=name)


def broken_for(stream: StreamDeclaration, unlucky: str) -> Any:
    """The stream with a fault in its key function that one record meets."""

    def key(record: Record) -> str:
        if stream.key(record) == unlucky:
            raise UnkeyedRecordError("the key is not understood")
        return stream.key(record)

    return replace(stream, key=key)


def replayed(hub: Hub, stream: StreamDeclaration) -> Run:
    return replay(hub.database, stream, origin=Origin(), batch_size=50, lock_wait_seconds=10.0)


@every_stream
def test_after_the_fix_the_state_is_that_of_a_clean_hub(
    stream: StreamDeclaration, source_hub: Hub, other_hub: Hub
) -> None:
    unlucky = keys(source_hub.campus, stream)[7]
    read(source_hub, broken_for(stream, unlucky))
    assert unlucky not in shown(source_hub, stream)
    assert [row.stage for row in quarantine(source_hub, stream)] == ["key"]

    still = replayed(source_hub, broken_for(stream, unlucky))
    assert (still.counts.processed, quarantine(source_hub, stream)[0].resolution) == (0, None)

    run = replayed(source_hub, stream)
    assert (run.counts.processed, run.counts.created, run.counts.failed) == (1, 1, 0)
    assert [row.resolution for row in quarantine(source_hub, stream)] == ["replayed"]
    row = run_row(source_hub, stream)
    assert (row.status, row.mode, row.metadata["extract"]["state"]) == ("completed", "incremental", "partial")
    read(other_hub, stream)
    assert state(source_hub, stream, in_order=False) == state(other_hub, stream, in_order=False)

    before = log(source_hub, stream)
    assert replayed(source_hub, stream).counts.processed == 0
    read(source_hub, stream)
    assert log(source_hub, stream) == before


@every_stream
def test_a_replay_states_how_many_are_present(stream: StreamDeclaration, source_hub: Hub) -> None:
    """The next run compares its volume with that of the last completed one, which a replay may be."""
    read(source_hub, broken_for(stream, keys(source_hub.campus, stream)[7]))
    run = replayed(source_hub, stream)
    present = len(shown(source_hub, stream))
    assert run.row_count == run_row(source_hub, stream).metadata["row_count"] == present
    source_hub.max_age *= 0
    assert check(source_hub.run(stream), "volume").numbers["rows_before"] == present


@every_stream
def test_what_a_later_read_brought_anew_is_superseded(stream: StreamDeclaration, source_hub: Hub) -> None:
    unlucky = keys(source_hub.campus, stream)[7]
    read(source_hub, broken_for(stream, unlucky))
    change_content(source_hub.campus, stream, unlucky)
    read_whole(source_hub, stream)
    assert [row.resolution for row in quarantine(source_hub, stream)] == ["superseded"]
    before = log(source_hub, stream)
    assert replayed(source_hub, stream).counts.processed == 0
    assert log(source_hub, stream) == before
    assert_mirrors(source_hub, stream)


@every_stream
def test_what_has_left_the_source_is_superseded(stream: StreamDeclaration, source_hub: Hub) -> None:
    unlucky = keys(source_hub.campus, stream)[7]
    read(source_hub, broken_for(stream, unlucky))
    source_hub.campus.delete(stream.name, unlucky)
    read_whole(source_hub, stream)
    replayed(source_hub, stream)
    assert_mirrors(source_hub, stream)


@every_list
def test_a_partial_read_in_between_does_not_let_old_content_win(stream: StreamDeclaration, source_hub: Hub) -> None:
    """Only a complete read resolves what it no longer brings; what a partial one stored is newer all the same."""
    read(source_hub, stream)
    order = [key for key, _, _ in log(source_hub, stream)]
    unlucky, before = order[7], len(order)
    change_content(source_hub.campus, stream, unlucky, "first change")
    read(source_hub, broken_for(stream, unlucky))
    change_content(source_hub.campus, stream, unlucky, "second change")
    read(source_hub, stream, limit=len(order) - 1)
    assert [row[:2] for row in log(source_hub, stream)[before:]] == [(unlucky, "changed")]
    replayed(source_hub, stream)
    assert shown(source_hub, stream)[unlucky] == expected(source_hub, stream)[unlucky]
    assert len(log(source_hub, stream)) == before + 1


@every_doubled
def test_a_dropped_duplicate_is_not_brought_back(stream: StreamDeclaration, source_hub: Hub) -> None:
    """Nothing was fixed: of two records with one key the one that was chosen stays."""
    key = keys(source_hub.campus, stream)[3]
    source_hub.campus.double(stream.name, key, {"Twin": "other content"})
    read(source_hub, stream)
    before = log(source_hub, stream)
    replayed(source_hub, stream)
    assert log(source_hub, stream) == before
    assert [row.resolution for row in quarantine(source_hub, stream)] == [None]
    read(source_hub, stream)
    assert log(source_hub, stream) == before


@every_detail
def test_an_answer_about_another_record_is_not_put_through(stream: DetailStream[Any], source_hub: Hub) -> None:
    """Nothing was fixed: the answer that came under a wrong key may be of any age."""
    read(source_hub, stream)
    before = current(source_hub, stream)
    asked, other = keys(source_hub.campus, stream)[3:5]
    stranger = source_hub.campus.truth(stream.name)[other] | {"Stale": True}
    source_hub.campus.poison_detail(stream.name, asked, json.dumps(stranger))
    change_content(source_hub.campus, stream, asked)
    read(source_hub, stream)
    assert [(row.external_id, row.stage) for row in quarantine(source_hub, stream)] == [(asked, "key")]
    replayed(source_hub, stream)
    assert current(source_hub, stream) == before
    assert [row.resolution for row in quarantine(source_hub, stream)] == [None]
