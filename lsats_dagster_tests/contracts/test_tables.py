"""The table suite: every silver table that a definition gives must pass all of this.

One hub is filled and refreshed for all tests of this module, and asked table by table. No test leaves a trace in it but run rows.
"""

import pytest

from lsats_dagster.database import READER, Database
from lsats_dagster.runs import Run
from lsats_dagster.transforms.definition import Definition
from lsats_dagster_tests.contracts import table_checks as checks
from lsats_dagster_tests.contracts.forms import SUITE_DEFINITIONS, SUITE_STREAMS
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.shapes import SHAPES

# Columns that no world fills, each with the reason.
DECIDED = "nobody decides anything in the suite"
ALWAYS_EMPTY: dict[str, dict[str, str]] = {
    "users": {"ou_department_ids": "no source has any", "work_phone_extension": "TeamDynamix has a phone of everybody"},
    "person_records": {"decided_by": DECIDED, "decision_reason": DECIDED},
    **{
        table: {"removed_at": "who left a list is known by the rows that stood there before"}
        for table in ("group_members", "group_owners", "effective_group_members")
    },
    "unlinked_records": {"removed_at": "all that the suite removes belongs somewhere"},
}

every_table = pytest.mark.parametrize("definition", SUITE_DEFINITIONS, ids=lambda definition: definition.table)
both_modes = pytest.mark.parametrize("full", [False, True], ids=["incremental", "full"])


@pytest.fixture(scope="module")
def filled(suite_world: World) -> dict[str, tuple[checks.Rows, Run, Run]]:
    """Every table refreshed for the first time, dry and then for real: its rows, the dry run, the real one."""
    suite_world.reset().fill()
    first = {}
    for definition in SUITE_DEFINITIONS:
        dry, real = checks.dry_and_real(suite_world, definition, full=False)
        first[definition.table] = (checks.all_rows(suite_world, definition), dry, real)
    return first


@pytest.fixture
def world(suite_world: World, filled: object) -> World:
    """The rich world, every table up to date."""
    return suite_world


def test_every_stream_has_a_shape() -> None:
    assert SHAPES.keys() == {stream.name for stream in SUITE_STREAMS}


@every_table
def test_first_run_fills_the_table(filled: dict[str, tuple[checks.Rows, Run, Run]], definition: Definition) -> None:
    """One row per key, as the run counts them and as the dry run before foretold."""
    stored, dry, real = filled[definition.table]
    assert stored
    assert (real.mode, real.counts.created, real.counts.updated) == ("full", len(stored), 0)
    checks.check_moves({}, stored, real)
    checks.check_foretold(dry, real)


@every_table
@both_modes
def test_a_quiet_run_writes_nothing(world: World, definition: Definition, full: bool) -> None:
    checks.check_quiet(world, definition, full=full)


@every_table
def test_every_column_is_filled(world: World, definition: Definition) -> None:
    checks.check_columns_filled(world, definition, ALWAYS_EMPTY.get(definition.table, {}))


@every_table
def test_inputs_are_what_the_sql_reads(definition: Definition) -> None:
    checks.check_inputs(definition)


@both_modes
def test_a_dry_run_writes_nothing_and_tells_the_truth(suite_world: World, filled: object, full: bool) -> None:
    """Of every table, after its inputs have moved."""
    for name, shape in SHAPES.items():
        for field, values in shape.others.items():
            suite_world.apply(Change(name, shape.keys[0], field, values[1] if full else values[0]))
        suite_world.apply(Change(name, shape.keys[1], "" if full else None))
    suite_world.read_all()
    for definition in SUITE_DEFINITIONS:
        dry, real = checks.dry_and_real(suite_world, definition, full=full)
        checks.check_foretold(dry, real)
        assert real.counts.updated + real.counts.removed, f"{definition.name} has nothing to tell"


@every_table
def test_computed_rows_can_be_looked_up_in_the_table(world: World, definition: Definition) -> None:
    checks.check_collations(world, definition)


@every_table
def test_privileges(world: World, definition: Definition) -> None:
    checks.check_privileges(world, definition)


def test_the_reader_sees_views_and_run_records_only(world: World) -> None:
    reader = Database(world.url, role=READER)
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
    kept = {f"curated.{name}" for name in ("flag_deductions", "support_departments")}
    assert readable == views | kept | {"meta.ingestion_runs", "meta.current_ingestion_status"}
