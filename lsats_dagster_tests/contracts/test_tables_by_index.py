"""What an incremental refresh reads of a filled table and of its inputs: the rows that a change touches, and no others."""

import pytest
from sqlalchemy import Connection

from lsats_dagster.runs import Run
from lsats_dagster.transforms import engine
from lsats_dagster.transforms.definition import Definition
from lsats_dagster_tests.contracts.forms import SUITE_DEFINITIONS
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.shapes import SHAPES

ENTITIES = 200
MANY = "directory/group"
# So small are these tables that Postgres would rather read them whole: it may do so only where no index serves.
NOT_WHOLE = "set local enable_seqscan = off"
ONE_BY_ONE = "set local enable_hashjoin = off; set local enable_mergejoin = off; set local enable_material = off"


Read = dict[str, int]


@pytest.fixture(scope="module")
def read(suite_world: World) -> dict[str, Read]:
    """Many entities, each joined to few others, and every table up to date. Then one record of each stream changes: what the
    refresh of each table reads.
    """
    world = suite_world.reset()
    for name in world.streams:
        world.apply(*(Change(name, SHAPES[name].number(number)) for number in range(1, ENTITIES + 1)))
    for number in range(1, ENTITIES + 1):
        world.apply(Change("payroll/job", f"e{number}:0", "Approver", f"l{number}"))
        world.apply(Change("tdx/department", str(number), "ParentID", number // 2))
        world.apply(Change("umich_api/user", f"{number:08d}:0", "DepartmentId", f"{100_000 + number}"))
        world.apply(Change("umich_api/user", f"{number:08d}:0", "SupervisorId", f"{number // 2:08d}"))
        world.apply(Change("directory/group", f"g{number}", "Members", [f"l{number}", f"g{number // 2}"]))
    # One of those that will change belongs nowhere.
    world.apply(Change("active_directory/group", SHAPES["active_directory/group"].number(ENTITIES // 2), "cn", ""))
    world.read_all()
    # Most records came after those of the other streams: to the planner all of these have changed behind any cursor but the last.
    world.apply(*(Change(MANY, SHAPES[MANY].number(number)) for number in range(ENTITIES + 1, 8 * ENTITIES)))
    world.read_all()
    world.refresh_all()
    world.administer("analyze")
    for name, shape in SHAPES.items():
        world.apply(Change(name, shape.number(ENTITIES // 2), next(iter(shape.others)), "Renamed"))
    world.read_all()
    found = {}
    for definition in SUITE_DEFINITIONS:
        if not definition.whole:
            found[definition.table] = read_by_refresh(world, definition)
        world.refresh(definition.table)
    return found


def read_by_refresh(world: World, definition: Definition) -> Read:
    """table -> rows of it that a refresh reads to find out what it writes."""
    with world.database.transaction() as connection:
        before = rows_read(connection)
        connection.exec_driver_sql(NOT_WHOLE)
        deployed_at = engine.check_deployed(connection, definition)
        scope = engine.decide_scope(connection, definition, deployed_at, full=False)
        assert scope.keys, f"{definition.name} has nothing to do"
        connection.exec_driver_sql(ONE_BY_ONE)
        scope = engine.compute_scope(connection, definition, scope)
        run = Run(engine.subject(definition), "incremental")
        engine.count(connection, definition, run, scope)
        assert run.counts.processed
        return {name: number - before.get(name, 0) for name, number in rows_read(connection).items()}


def rows_read(connection: Connection) -> Read:
    """table -> rows of it that this session has read, as Postgres counts them."""
    counted = connection.exec_driver_sql(
        "select schemaname || '.' || relname, seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables "
        "where schemaname in ('bronze', 'silver')"
    )
    return dict(map(tuple, counted))


@pytest.mark.parametrize("table", [definition.table for definition in SUITE_DEFINITIONS if not definition.whole])
def test_a_change_of_one_row_is_looked_up(read: dict[str, Read], table: str) -> None:
    """Whatever an input reaches by, and whatever the SELECT restricts by, there is an index for it."""
    assert {name: number for name, number in read[table].items() if number >= ENTITIES} == {}
