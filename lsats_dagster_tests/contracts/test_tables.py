"""The table suite: every silver table that a definition gives must pass all of this."""

import logging
import os
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from lsats_dagster.database import READER, Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import OUTSIDE_COMPARISON, Definition
from lsats_dagster_tests.conftest import DEFINITIONS, new_database
from lsats_dagster_tests.contracts import table_checks as checks
from lsats_dagster_tests.contracts.histories import Change, World, histories, reached_from
from lsats_dagster_tests.contracts.shapes import SHAPES

# The ordinary run lives through the same histories each time; one that names another number, through others.
HISTORIES = int(os.environ.get("LSATS_HISTORIES", "200"))
# Parts of them, so that several workers share the work.
PARTS = 4
PROFILE = settings(
    max_examples=HISTORIES,
    derandomize="LSATS_HISTORIES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# Columns that no world fills, each with the reason.
ALWAYS_EMPTY: dict[str, dict[str, str]] = {}

every_table = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.table)
# Tables that no other is made from: their histories move, refresh and compare everything that they are made from.
SUMMITS = [d for d in DEFINITIONS if not any(d.name in other.inputs for other in DEFINITIONS)]


@pytest.fixture(scope="module")
def shared_world(server: EmbeddedPostgres) -> Iterator[World]:
    """One database for all tests of this module; what makes a test wait for the disk is off."""
    level = logging.getLogger("lsats_dagster").level
    logging.getLogger("lsats_dagster").setLevel(logging.CRITICAL)
    world = World(new_database(server))
    name = world.database.url.database
    world.administer(f"alter database {name} set synchronous_commit = off; alter database {name} set jit = off")
    yield world
    world.dispose()
    logging.getLogger("lsats_dagster").setLevel(level)


@pytest.fixture
def world(shared_world: World) -> World:
    """The shared world, emptied."""
    return shared_world.reset()


@pytest.fixture
def rich_world(world: World) -> World:
    """Bronze filled from every stream; silver still empty."""
    world.fill()
    return world


def test_every_stream_has_a_shape() -> None:
    assert SHAPES.keys() == {stream.name for stream in STREAMS}


@every_table
def test_first_run_fills_the_table(rich_world: World, definition: Definition) -> None:
    for table in reached_from(rich_world, definition)[0][:-1]:
        rich_world.refresh(table)
    checks.check_first_run(rich_world, definition)


@every_table
@pytest.mark.parametrize("full", [False, True], ids=["incremental", "full"])
def test_a_quiet_run_writes_nothing(rich_world: World, definition: Definition, full: bool) -> None:
    rich_world.refresh_all()
    checks.check_quiet(rich_world, definition, full=full)


@every_table
def test_every_column_is_filled(rich_world: World, definition: Definition) -> None:
    rich_world.refresh_all()
    checks.check_columns_filled(rich_world, definition, ALWAYS_EMPTY.get(definition.table, {}))


@every_table
def test_inputs_are_what_the_sql_reads(definition: Definition) -> None:
    checks.check_inputs(definition)


@every_table
@pytest.mark.parametrize("full", [False, True], ids=["incremental", "full"])
def test_a_dry_run_writes_nothing_and_tells_the_truth(rich_world: World, definition: Definition, full: bool) -> None:
    tables = reached_from(rich_world, definition)[0]
    rich_world.refresh_all()
    for name, shape in SHAPES.items():
        for field, values in shape.others.items():
            rich_world.apply(Change(name, shape.keys[0], field, values[1]))
        rich_world.apply(Change(name, shape.keys[1], None))
    rich_world.read_all()
    for table in tables[:-1]:
        rich_world.refresh(table)
    checks.check_dry_run(rich_world, definition, full=full)


@every_table
def test_a_dry_first_run_writes_nothing(rich_world: World, definition: Definition) -> None:
    for table in reached_from(rich_world, definition)[0][:-1]:
        rich_world.refresh(table)
    checks.check_dry_run(rich_world, definition, full=False)


@every_table
def test_computed_rows_can_be_looked_up_in_the_table(world: World, definition: Definition) -> None:
    checks.check_collations(world, definition)


@every_table
def test_privileges(world: World, definition: Definition) -> None:
    checks.check_privileges(world, definition)


def test_the_reader_sees_views_and_run_records_only(rich_world: World) -> None:
    rich_world.refresh_all()
    reader = Database(rich_world.url, role=READER)
    with reader.transaction() as connection:
        readable = set(
            connection.exec_driver_sql(
                "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
                "where n.nspname in ('bronze', 'enriched', 'silver', 'curated', 'meta', 'clean') "
                "and c.relkind in ('r', 'v', 'm', 'p') and has_schema_privilege(n.oid, 'usage') "
                "and has_table_privilege(c.oid, 'select')"
            ).scalars()
        )
        views = set(
            connection.exec_driver_sql(
                "select 'silver.' || viewname from pg_views where schemaname = 'silver'"
            ).scalars()
        )
        for view in views:
            assert connection.exec_driver_sql(f"select count(*) from {view}").scalar_one() > 0
    reader.dispose()
    assert readable == views | {"meta.ingestion_runs", "meta.current_ingestion_status", "curated.flag_deductions"}


@pytest.mark.parametrize("part", range(1, PARTS + 1))
@pytest.mark.parametrize("definition", SUMMITS, ids=lambda definition: definition.table)
def test_incremental_is_full(shared_world: World, definition: Definition, part: int) -> None:
    """Random histories: whatever happened in whatever order, the table is what a full computation gives.

    So is every table that it is made from.
    """

    @settings(PROFILE, max_examples=HISTORIES // PARTS)
    @given(history=histories(shared_world, definition))
    def live(history: list) -> None:  # type: ignore[type-arg]
        checks.check_history(shared_world, definition, history)

    if PROFILE.derandomize:
        # Each part has its own.
        live = seed(part)(live)
    live()


def test_every_table_has_histories(world: World) -> None:
    assert {table for summit in SUMMITS for table in reached_from(world, summit)[0]} == {d.table for d in DEFINITIONS}


@every_table
def test_the_order_of_records_never_matters(shared_world: World, definition: Definition) -> None:
    """The same records in another order make the same table, ids and times aside; keys that come twice included."""
    tables, streams = reached_from(shared_world, definition)
    columns = [
        name
        for name in (column.name for column in definition.columns)
        if name not in (*OUTSIDE_COMPARISON, *checks.IDS_AND_TIMES)
    ]

    def make(order: int, events: list[Change]) -> checks.Rows:
        world = shared_world.reset()
        for name in streams:
            world.apply(*(Change(name, key) for key in SHAPES[name].keys))
        world.apply(*events)
        for name in streams:
            records = world.sources[name].shown()
            records = [*records, {**records[0], SHAPES[name].fields[0]: "twice"}]
            world.read(name, records=Random(order).sample(records, len(records)))
        for table in tables:
            world.refresh(table)
        return checks.rows_by_key(world, definition, columns)

    drawn = st.lists(
        st.one_of([st.sampled_from([c for c in changes if c.field]) for changes in map(link_changes, streams)]),
        min_size=4,
        max_size=12,
    )

    @settings(PROFILE, max_examples=max(8, HISTORIES // 25))
    @given(events=drawn)
    def compare(events: list[Change]) -> None:
        checks.assert_same(make(1, events), make(2, events), definition.name)

    compare()


def link_changes(stream: str) -> list[Change]:
    """Changes of the fields that join rows, and of some others, with readable values."""
    shape = SHAPES[stream]
    fields = {**shape.links, **shape.others}
    return [
        Change(stream, key, name, value) for name, values in fields.items() for value in values for key in shape.keys
    ]
