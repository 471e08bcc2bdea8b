"""Faults planted in streams and in the bronze engine: the stream suite's own tests, on the wire, must turn red.

Each fault is put into the stream that a test of the suite is given, or into a step of the engine. That the same tests are
green without it, the suite itself shows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from lsats_dagster.clients.errors import SourceError
from lsats_dagster.ingestion import extract
from lsats_dagster.ingestion.detail_calls import Answer
from lsats_dagster.ingestion.doubles import Doubles, Settlement
from lsats_dagster.ingestion.stream import DetailStream, Extract, HashRule, ListStream
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import protocol
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts import (
    test_streams_denials,
    test_streams_faults,
    test_streams_log,
    test_streams_poison,
    test_streams_runs,
)
from lsats_dagster_tests.contracts.stream_states import as_superuser

Plant = Callable[[Any, pytest.MonkeyPatch], StreamDeclaration]


def failed_page_is_the_end(stream: ListStream[Any], _patch: pytest.MonkeyPatch) -> StreamDeclaration:
    """The reader takes a failed page for the end of data."""

    def read(client: Any, certificate: Extract) -> Iterator[list[Any]]:
        try:
            yield from stream.read(client, certificate)
        except SourceError:
            certificate.complete("no further page")

    return replace(stream, read=read)


def partial_read_passes_for_complete(stream: ListStream[Any], patch: pytest.MonkeyPatch) -> StreamDeclaration:
    """The engine removes what a read that was limited did not bring."""
    sound = extract.read

    def read(*arguments: Any) -> Extract:
        certificate = sound(*arguments)
        certificate.completed_by = certificate.completed_by or "limit"
        return certificate

    patch.setattr(extract, "read", read)
    return stream


def volatile_field_in_the_hash(stream: StreamDeclaration, _patch: pytest.MonkeyPatch) -> StreamDeclaration:
    return replace(stream, hash_rule=HashRule())


def no_lock(stream: StreamDeclaration, patch: pytest.MonkeyPatch) -> StreamDeclaration:
    patch.setattr(protocol, "take_lock", lambda connection, name, wait_seconds: None)
    return stream


def enrichment_appends_to_the_list(stream: DetailStream[Any], _patch: pytest.MonkeyPatch) -> StreamDeclaration:
    return replace(stream, entity_type=stream.list_stream.entity_type)


def first_come_doubles(stream: StreamDeclaration, patch: pytest.MonkeyPatch) -> StreamDeclaration:
    """Of records with one key the one that came first stands."""

    def settle(self: Doubles) -> Settlement:
        outcome = Settlement([], [], [], self.count)
        for external_id, (first, *others) in self._held.items():
            if external_id in self._written:
                others.insert(0, first)
            else:
                outcome.standing.append(first)
            outcome.dropped += others
        self.forget()
        return outcome

    patch.setattr(Doubles, "settle", settle)
    return stream


def single_404_removes(stream: StreamDeclaration, patch: pytest.MonkeyPatch) -> StreamDeclaration:
    patch.setattr(Answer, "denied_again", property(lambda answer: answer.denied))
    return stream


@dataclass(frozen=True)
class Fault:
    """plant: gives the stream with the fault. red: the test of the suite that must find it."""

    stream: str
    plant: Plant
    red: Callable[[Any, Hub], None]


FAULTS = [
    Fault("umich_api/department", failed_page_is_the_end, test_streams_faults.test_a_read_that_fails_part_way_removes_nothing),
    Fault("tdx/department", partial_read_passes_for_complete, test_streams_runs.test_a_limited_read_is_partial_by_intent),
    Fault(
        "tdx/department",
        volatile_field_in_the_hash,
        lambda stream, hub: test_streams_log.test_volatile_fields_make_no_row(stream, ["ModifiedDate"], hub),
    ),
    Fault("umich_api/department", no_lock, test_streams_runs.test_two_runs_at_once_write_each_change_once),
    Fault(
        "tdx/department_detail",
        enrichment_appends_to_the_list,
        test_streams_log.test_a_first_read_stores_every_record_as_it_came,
    ),
    Fault(
        "umich_api/department",
        first_come_doubles,
        lambda stream, hub: test_streams_poison.test_of_two_records_with_one_key_the_same_stands_whatever_the_order(
            stream, 10_000, hub
        ),
    ),
    Fault(
        "tdx/department_detail",
        single_404_removes,
        test_streams_denials.test_the_second_404_removes_and_a_later_answer_brings_back,
    ),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.plant.__name__)
def test_planted(fault: Fault, source_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = next(stream for stream in STREAMS if stream.name == fault.stream)
    with monkeypatch.context() as patch, pytest.raises((AssertionError, pytest.fail.Exception)):
        fault.red(fault.plant(stream, patch), source_hub)


def test_a_log_that_can_be_overwritten_in_place(source_hub: Hub) -> None:
    """Enrichment could write into a list row: the grant and the trigger that refuse it are gone."""
    database = as_superuser(source_hub)
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "alter table bronze.raw_entities disable trigger append_only; "
            "grant update on bronze.raw_entities to lsats_writer"
        )
    database.dispose()
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test_streams_log.test_a20_the_log_is_append_only("update bronze.raw_entities set change = 'new'", source_hub)
