"""Records that cannot be read, keyed or stored: quarantined, named without being quoted, and the run goes on (B12)."""

import json

import pytest

from lsats_dagster.clients.http import Ceilings
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.poison_cases import (
    ODD,
    POISON,
    QUOTED,
    Odd,
    Poison,
    good_record,
    put_on_the_wire,
)
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    content_field,
    expected,
    keys,
    quick,
    read,
    shown,
    stored,
)
from lsats_dagster_tests.contracts.stream_kinds import ENGINE_LISTS, ENGINE_STREAMS, PAGED, name
from lsats_dagster_tests.contracts.stream_states import changes, check, dump, log, quarantine, run_row

pytestmark = pytest.mark.engine
every_list = pytest.mark.parametrize("stream", ENGINE_LISTS, ids=name)
every_poison = pytest.mark.parametrize(
    ("stream", "poison"), [(stream, poison) for stream in ENGINE_STREAMS for poison in POISON], ids=name
)
every_odd = pytest.mark.parametrize(
    ("stream", "odd"), [(stream, odd) for stream in ENGINE_STREAMS for odd in ODD], ids=name
)
# Poison comes in every answer: in pages a key would come once per page, which is the sign that rows moved.
every_whole_list = pytest.mark.parametrize("stream", [s for s in ENGINE_LISTS if s not in PAGED], ids=name)


@every_poison
def test_a_bad_record_is_quarantined_and_the_good_ones_are_stored(
    stream: StreamDeclaration, poison: Poison, source_hub: Hub
) -> None:
    good = good_record(source_hub, stream)
    put_on_the_wire(source_hub, stream, good, poison.raw(good))
    run = read(source_hub, stream)

    truth = expected(source_hub, stream)
    if isinstance(stream, DetailStream):
        del truth[good.key]
    assert shown(source_hub, stream) == truth
    row = run_row(source_hub, stream)
    assert (row.status, row.records_failed, row.records_created) == ("completed", 1, len(truth))
    assert row.metadata["extract"]["state"] == ("partial" if isinstance(stream, DetailStream) else "complete")
    assert row.records_processed == len(truth) + 1
    aside = quarantine(source_hub, stream)
    assert len(aside) == 1
    assert aside[0].run_id == run.run_id
    # The caller of a detail knows whom it asked for; of a list record only its own key tells.
    has_key = poison.has_key or isinstance(stream, DetailStream)
    assert aside[0].external_id == (good.key if has_key else None)
    assert aside[0].stage == poison.stage
    assert QUOTED not in aside[0].reason
    assert QUOTED not in json.dumps(row.metadata)

    before = dump(source_hub, apart=("ingestion_runs", "detail_fetches"))
    read(source_hub, stream)
    assert dump(source_hub, apart=("ingestion_runs", "detail_fetches")) == before

    put_on_the_wire(source_hub, stream, good, None)
    source_hub.max_age *= 0
    read(source_hub, stream)
    assert_mirrors(source_hub, stream)
    assert [row.resolution for row in quarantine(source_hub, stream)] == ["superseded"]


@every_odd
def test_an_odd_record_is_stored_as_json_can_hold_it(stream: StreamDeclaration, odd: Odd, source_hub: Hub) -> None:
    good = good_record(source_hub, stream)
    put_on_the_wire(source_hub, stream, good, odd.raw(good))
    run = read(source_hub, stream)
    want = stored(stream, good.payload) | {good.content_field: QUOTED, "Odd": odd.stored}
    assert shown(source_hub, stream)[good.key] == want
    assert run.counts.failed == 0
    before = log(source_hub, stream)
    source_hub.max_age *= 0
    read(source_hub, stream)
    assert log(source_hub, stream) == before


@every_list
def test_many_bad_records_at_once_stay_in_balance(stream: StreamDeclaration, source_hub: Hub) -> None:
    good = good_record(source_hub, stream)
    texts = [poison.raw(good) for poison in POISON if not poison.has_key]
    source_hub.campus.poison(stream.name, texts)
    source_hub.batch_size = 4
    run = read(source_hub, stream)
    assert run.counts.failed == len(texts) == len(quarantine(source_hub, stream))
    assert shown(source_hub, stream) == expected(source_hub, stream)


@every_list
def test_nothing_is_removed_while_records_without_a_key_come(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = log(source_hub, stream)
    good = good_record(source_hub, stream)
    key = keys(source_hub.campus, stream)[3]
    source_hub.campus.delete(stream.name, key)
    put_on_the_wire(source_hub, stream, good, good.keyed(None))
    run = read(source_hub, stream)
    assert log(source_hub, stream) == before
    guard = check(run, "removal_guard")
    assert not guard.passed
    assert (guard.numbers["refused"], guard.numbers["without_key"]) == (1, 1)
    put_on_the_wire(source_hub, stream, good, None)
    assert check(read(source_hub, stream), "removal_guard").passed
    assert [row[:2] for row in log(source_hub, stream)[len(before) :]] == [(key, "removed")]


@every_list
def test_a_record_without_a_key_every_day_stops_no_removals(stream: StreamDeclaration, source_hub: Hub) -> None:
    """Doubt comes with more of them than the last complete read brought, which is the first day."""
    read(source_hub, stream)
    good = good_record(source_hub, stream)
    before = len(log(source_hub, stream))
    put_on_the_wire(source_hub, stream, good, good.keyed(None))
    read(source_hub, stream)
    for day in (1, 2):
        gone = keys(source_hub.campus, stream)[3]
        source_hub.campus.delete(stream.name, gone)
        assert check(read(source_hub, stream), "removal_guard").passed
        assert [row[:2] for row in log(source_hub, stream)[before:]][day - 1 :] == [(gone, "removed")]


@every_list
def test_an_oversized_record_hinders_no_other(stream: StreamDeclaration, source_hub: Hub) -> None:
    quick(source_hub, ceilings=Ceilings(record_bytes=64 << 10))
    good = good_record(source_hub, stream)
    put_on_the_wire(source_hub, stream, good, good.text(Odd="x" * (100 << 10)))
    run = read(source_hub, stream)
    assert (run.metadata["extract"]["state"], run.counts.failed) == ("complete", 1)
    assert [(row.external_id, row.stage) for row in quarantine(source_hub, stream)] == [(None, "read")]
    assert shown(source_hub, stream) == expected(source_hub, stream)


@every_list
def test_a_record_that_turns_bad_is_not_taken_for_gone(stream: StreamDeclaration, source_hub: Hub) -> None:
    good = good_record(source_hub, stream)
    source_hub.campus.restore(stream.name, good.key)
    read(source_hub, stream)
    before = log(source_hub, stream)
    source_hub.campus.delete(stream.name, good.key)
    put_on_the_wire(source_hub, stream, good, good.text(Odd="\ud800"))
    read(source_hub, stream)
    assert log(source_hub, stream) == before
    assert good.key in shown(source_hub, stream)


@every_whole_list
def test_an_identical_duplicate_is_one_record(stream: StreamDeclaration, source_hub: Hub) -> None:
    key = keys(source_hub.campus, stream)[3]
    source_hub.campus.poison(stream.name, [json.dumps(source_hub.campus.truth(stream.name)[key])] * 2)
    run = read(source_hub, stream)
    assert_mirrors(source_hub, stream)
    assert (run.counts.skipped, run.counts.failed) == (2, 0)
    assert quarantine(source_hub, stream) == []


@every_list
@pytest.mark.parametrize("batch_size", [7, 10_000])
def test_of_two_records_with_one_key_the_same_stands_whatever_the_order(
    stream: StreamDeclaration, batch_size: int, source_hub: Hub
) -> None:
    campus, source_hub.batch_size = source_hub.campus, batch_size
    key = keys(campus, stream)[3]
    campus.double(stream.name, key, {content_field(stream, campus.truth(stream.name)[key]): "Other content"})
    read(source_hub, stream)
    assert [(row.external_id, row.stage) for row in quarantine(source_hub, stream)] == [(key, "duplicate")]
    before, standing = log(source_hub, stream), shown(source_hub, stream)[key]
    assert len(before) - len(keys(campus, stream)) <= 1, "at most the first read corrects itself"
    for seed in (1, 2, 3):
        campus.reorder(stream.name, seed)
        run = read(source_hub, stream)
        assert run.metadata["extract"]["state"] == "complete"
        assert (log(source_hub, stream), shown(source_hub, stream)[key]) == (before, standing)
        assert len(quarantine(source_hub, stream)) == 1
    campus.double(stream.name, key, None)
    read(source_hub, stream)
    assert_mirrors(source_hub, stream)
    assert [row.resolution for row in quarantine(source_hub, stream)] == ["superseded"]


@every_whole_list
@pytest.mark.parametrize("batch_size", [1, 10_000])
def test_a_bad_record_does_not_displace_a_good_one_with_its_key(
    stream: StreamDeclaration, batch_size: int, source_hub: Hub
) -> None:
    good = good_record(source_hub, stream)
    source_hub.batch_size = batch_size
    source_hub.campus.poison(stream.name, [good.text(Odd="\ud800"), json.dumps(good.payload)])
    read(source_hub, stream)
    assert shown(source_hub, stream)[good.key] == stored(stream, good.payload)


@every_list
def test_a_key_that_really_comes_twice_hinders_no_whole_read(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = len(log(source_hub, stream))
    doubled, gone = keys(source_hub.campus, stream)[3:5]
    source_hub.campus.double(stream.name, doubled, {})
    source_hub.campus.delete(stream.name, gone)
    run = source_hub.run(stream)
    assert (run.metadata["extract"]["state"], run.counts.failed) == ("complete", 0)
    assert changes(source_hub, stream, before) == [(gone, "removed")]
    assert_mirrors(source_hub, stream)
