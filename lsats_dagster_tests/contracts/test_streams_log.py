"""What the log must hold after each kind of change at the source (sources.md 2.3: B1-B7; 23.4: A1-A7)."""

from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import text

from lsats_dagster.database import Database, DatabaseError
from lsats_dagster.ingestion.stream import DetailStream, HashRule, ListStream
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    change_content,
    data_routes,
    expected,
    keys,
    keys_of_nobody_else,
    look_at_all,
    other_values,
    prepare,
    read,
    read_whole,
    shown,
)
from lsats_dagster_tests.contracts.stream_kinds import (
    BY_CHANGES,
    ENGINE_STREAMS,
    in_depth,
    name,
    transport,
)
from lsats_dagster_tests.contracts.stream_states import (
    as_superuser,
    changes,
    current,
    dump,
    log,
    passed_over,
    run_row,
    state,
)

# What the engine does alike for every stream.
engine_stream = pytest.mark.parametrize("stream", ENGINE_STREAMS, ids=name)
every_stream = pytest.mark.parametrize("stream", STREAMS, ids=name)
# Campus days bring every stream the same changes, all at once.
deep_stream = pytest.mark.parametrize("stream", in_depth(ENGINE_STREAMS), ids=name)
# Streams without such fields have no such case.
every_volatile = pytest.mark.parametrize(
    ("stream", "fields"),
    [pytest.param(s, sorted(s.hash_rule.volatile), id=s.name) for s in STREAMS if s.hash_rule.volatile],
)
every_set = pytest.mark.parametrize(
    ("stream", "fields"),
    [
        pytest.param(s, sorted(s.hash_rule.sets.intersection(transport(s).lists or s.hash_rule.sets)), id=s.name)
        for s in STREAMS
        if s.hash_rule.sets
    ],
)
# What a read writes besides records: of one by parts, its plan, with the time of each part.
RUN_ROWS = ("ingestion_runs", "read_parts")


@every_stream
def test_a_first_read_stores_every_record_as_it_came(stream: StreamDeclaration, source_hub: Hub) -> None:
    run = read(source_hub, stream)
    assert shown(source_hub, stream) == expected(source_hub, stream)
    assert changes(source_hub, stream, 0) == [(key, "new") for key in keys(source_hub.campus, stream)]
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"]) == ("completed", "complete")
    assert row.records_created == run.row_count == len(shown(source_hub, stream))
    assert row.records_processed == row.records_created + passed_over(row)
    if isinstance(stream, ListStream):
        certificate = row.metadata["extract"]
        assert {"terminating_condition", *transport(stream).evidence} <= certificate.keys()
        assert certificate["records"] == row.records_processed


@every_stream
def test_the_same_data_twice_writes_nothing_but_a_run_row(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = dump(source_hub, apart=RUN_ROWS)
    prepare(source_hub, stream)
    source_hub.campus.reset_calls()
    run = source_hub.run(stream, full=isinstance(stream, ListStream))
    assert dump(source_hub, apart=RUN_ROWS) == before
    assert (run.counts.created, run.counts.updated, run.counts.removed) == (0, 0, 0)
    if isinstance(stream, DetailStream):
        assert source_hub.campus.calls() == {}
    else:
        assert run.counts.skipped == run.counts.processed
        assert run.counts.skipped - passed_over(run) == len(expected(source_hub, stream))


@every_volatile
def test_volatile_fields_make_no_row(stream: StreamDeclaration, fields: list[str], source_hub: Hub) -> None:
    read(source_hub, stream)
    before = log(source_hub, stream)
    # A list is read whole anyway.
    routes = data_routes(source_hub, stream) if isinstance(stream, DetailStream) else None
    key = keys(source_hub.campus, stream)[4]
    source_hub.campus.put(stream.name, key, other_values(source_hub.campus, stream, key, fields), touch=False)
    read_whole(source_hub, stream)
    assert log(source_hub, stream) == before
    if routes and stream.list_stream.version_field in fields:
        assert routes.calls() == 1
        newest = source_hub.rows(
            "select external_id, outcome from meta.detail_fetches order by fetched_at desc limit 1"
        )
        assert [tuple(row) for row in newest] == [(key, "found")]


@every_set
def test_another_order_of_sets_makes_no_row(stream: StreamDeclaration, fields: list[str], source_hub: Hub) -> None:
    key = look_at_all(source_hub, stream)[4]
    one, two, other = transport(stream).members
    source_hub.campus.put(stream.name, key, {field: [one, two] for field in fields})
    read(source_hub, stream)
    before = log(source_hub, stream)
    source_hub.campus.put(stream.name, key, {field: [two, one] for field in fields})
    read(source_hub, stream)
    assert log(source_hub, stream) == before
    source_hub.campus.put(stream.name, key, {fields[0]: [two, other]})
    read(source_hub, stream)
    assert changes(source_hub, stream, len(before)) == [(key, "changed")]


@pytest.mark.engine
@engine_stream
def test_only_a_declared_set_may_change_its_order(stream: StreamDeclaration, source_hub: Hub) -> None:
    # No real set is named here: every stream must treat any list field as its declaration says.
    rule = replace(stream.hash_rule, sets=stream.hash_rule.sets | {"Unordered"})
    declared = replace(stream, hash_rule=rule)
    key = keys(source_hub.campus, stream)[4]
    source_hub.campus.put(stream.name, key, {"Unordered": ["a", "b"], "Ordered": [1, 2]})
    read(source_hub, declared)
    before = log(source_hub, stream)
    source_hub.campus.put(stream.name, key, {"Unordered": ["b", "a"]})
    read(source_hub, declared)
    assert log(source_hub, stream) == before
    source_hub.campus.put(stream.name, key, {"Ordered": [2, 1]})
    read(source_hub, declared)
    assert changes(source_hub, stream, len(before)) == [(key, "changed")]


@deep_stream
def test_changed_content_makes_one_row(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = len(log(source_hub, stream))
    key = keys(source_hub.campus, stream)[4]
    change_content(source_hub.campus, stream, key)
    run = read(source_hub, stream)
    assert changes(source_hub, stream, before) == [(key, "changed")]
    assert shown(source_hub, stream)[key] == expected(source_hub, stream)[key]
    assert (run.counts.created, run.counts.updated) == (0, 1)


@deep_stream
def test_a_record_that_leaves_and_returns(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    first = {key: digest for key, _, digest in log(source_hub, stream)}
    before, key = len(first), keys_of_nobody_else(source_hub.campus, stream)[4]
    last = expected(source_hub, stream)[key]
    source_hub.campus.delete(stream.name, key)

    run = read_whole(source_hub, stream)
    assert (changes(source_hub, stream, before), run.counts.removed) == ([(key, "removed")], 1)
    assert shown(source_hub, stream, present=False) == {key: last}
    gone = [row for row in current(source_hub, stream) if row[0] == key]
    assert [(row[3], row[4]) for row in gone] == [(False, "{}")]
    view = source_hub.rows(f"select * from {stream.layer}.{stream.table} where not is_present")[0]
    assert view.removed_at is not None
    assert view.removed_at == view.changed_at

    read_whole(source_hub, stream)
    assert len(log(source_hub, stream)) == before + 1, "a record is removed once"

    source_hub.campus.restore(stream.name, key)
    run = read_whole(source_hub, stream)
    assert log(source_hub, stream)[before + 1 :] == [(key, "returned", first[key])]
    assert run.counts.created == 1
    assert shown(source_hub, stream, present=False) == {}
    assert_mirrors(source_hub, stream)


@deep_stream
def test_a_new_record_makes_one_row(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = len(log(source_hub, stream))
    key = source_hub.campus.add(stream.name)
    run = read(source_hub, stream)
    assert changes(source_hub, stream, before) == [(key, "new")]
    assert (run.counts.created, run.counts.updated) == (1, 0)
    assert shown(source_hub, stream)[key] == expected(source_hub, stream)[key]


@every_stream
def test_campus_days_bring_what_they_say(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    for _ in range(3):
        before = len(log(source_hub, stream))
        day = source_hub.campus.live_one_day()[stream.name]
        read(source_hub, stream)
        kinds = {"new": day.new, "changed": day.changed, "removed": day.removed, "returned": day.returned}
        assert changes(source_hub, stream, before) == sorted((key, kind) for kind, ks in kinds.items() for key in ks)
        if stream not in BY_CHANGES:
            assert_mirrors(source_hub, stream)
    if stream in BY_CHANGES:
        read_whole(source_hub, stream)
        assert_mirrors(source_hub, stream)


@pytest.mark.engine
@engine_stream
def test_the_state_does_not_depend_on_the_size_of_batches(
    stream: StreamDeclaration, source_hub: Hub, other_hub: Hub
) -> None:
    source_hub.batch_size, other_hub.batch_size = 7, 10_000
    for hub in (source_hub, other_hub):
        read(hub, stream)
    source_hub.campus.live_one_day()
    for hub in (source_hub, other_hub):
        read(hub, stream)
    # Details are written as they are answered.
    in_order = not isinstance(stream, DetailStream)
    assert state(source_hub, stream, in_order=in_order) == state(other_hub, stream, in_order=in_order)


@pytest.mark.engine
@engine_stream
def test_a_new_hash_rule_that_declares_the_former_one_makes_no_row(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = log(source_hub, stream)
    hashes = {row[0]: row[1] for row in current(source_hub, stream)}
    payload = next(iter(expected(source_hub, stream).values()))
    rule = HashRule(version=stream.hash_rule.version + 1, volatile=stream.hash_rule.volatile | {max(payload)})
    raised = replace(stream, hash_rule=rule, former_hash_rules=(*stream.former_hash_rules, stream.hash_rule))
    source_hub.max_age *= 0
    run = read(source_hub, raised)
    assert log(source_hub, stream) == before
    assert run.counts.skipped == run.counts.processed == len(hashes)
    rehashed = current(source_hub, stream)
    assert {row[2] for row in rehashed} == {rule.version}
    assert all(row[1] != hashes[row[0]] for row in rehashed)
    # And with the hashes rewritten, the former rule is no longer needed.
    read(source_hub, replace(raised, former_hash_rules=()))
    assert log(source_hub, stream) == before


@pytest.mark.engine
@engine_stream
def test_a_new_hash_rule_without_the_former_one_makes_rows(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    before = len(log(source_hub, stream))
    source_hub.max_age *= 0
    rule = replace(stream.hash_rule, version=stream.hash_rule.version + 1)
    read(source_hub, replace(stream, hash_rule=rule, former_hash_rules=()))
    assert changes(source_hub, stream, before) == [(key, "changed") for key in keys(source_hub.campus, stream)]


@pytest.mark.engine
@engine_stream
def test_rows_commit_in_the_order_of_seq(stream: StreamDeclaration, source_hub: Hub) -> None:
    read(source_hub, stream)
    change_content(source_hub.campus, stream, keys(source_hub.campus, stream)[2])
    read(source_hub, stream)
    rows = source_hub.rows(
        "select r.seq, i.run_seq, r.xmin::text::bigint as xid, r.ingested_at from bronze.raw_entities r "
        "join meta.ingestion_runs i on i.run_id = r.ingestion_run_id "
        "where r.source_system || '/' || r.entity_type = :stream order by r.seq",
        stream=stream.name,
    )
    for earlier, later in pairwise(rows):
        assert earlier.run_seq <= later.run_seq
        assert earlier.xid <= later.xid
    newest = source_hub.rows(
        "select c.seq, max(r.seq) as newest from bronze.current_entities c join bronze.raw_entities r "
        "using (source_system, entity_type, external_id) group by c.source_system, c.entity_type, c.external_id, c.seq"
    )
    assert all(row.seq == row.newest for row in newest)


REWRITES = (
    "update bronze.raw_entities set change = 'new'",
    "delete from bronze.raw_entities",
    "truncate bronze.raw_entities",
    "delete from bronze.current_entities",
    "truncate bronze.current_entities",
)


@pytest.mark.parametrize("statement", REWRITES)
def test_a20_the_log_is_append_only(statement: str, source_hub: Hub) -> None:
    """For the connection of the assets by privilege; for the owner and even the superuser by trigger."""
    read(source_hub, STREAMS[0])
    with pytest.raises(DatabaseError) as refused, source_hub.database.transaction() as connection:
        connection.execute(text(statement))
    assert refused.value.sqlstate == "42501"
    database = as_superuser(source_hub)
    for role in ("lsats_owner", "none"):
        with pytest.raises(DatabaseError, match="append-only") as refused, database.transaction() as connection:
            connection.exec_driver_sql(f"set local role {role}; {statement}")
        assert refused.value.sqlstate == "P0001"
    database.dispose()


def test_the_role_of_the_connection_is_the_writer_also_after_reset(hub: Database) -> None:
    """The test login is the superuser of its private server: only the role at the start is checked, not SET ROLE."""
    with hub.connect() as connection:
        for statement in ("select 1", "reset role", "reset all", "discard all"):
            if statement == "discard all":
                connection.rollback()
                connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text(statement))
            assert connection.execute(text("select current_user")).scalar_one() == "lsats_writer"
