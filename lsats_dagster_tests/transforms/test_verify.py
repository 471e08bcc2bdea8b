"""`verify` sees every way in which a table can be wrong, and changes nothing."""

import pytest

from lsats_dagster.transforms.verify import Verdict, verify
from lsats_dagster_tests.contracts import table_checks
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.hubs import FEW_TABLES

TABLE = "silver.umapi_departments"
UNKNOWN = (
    'insert into {0} select (jsonb_populate_record(t, \'{{"dept_id": "999999", "is_present": {1}}}\')).* '
    "from {0} t limit 1"
)
WRONG = {
    "a row that the definition does not give": (UNKNOWN.format(TABLE, "true"), (0, 0, 1)),
    "one that is known to be gone": (UNKNOWN.format(TABLE, "false"), (0, 0, 0)),
    "a missing row": (f"delete from {TABLE} where dept_id = '100001'", (0, 1, 0)),
    "another value": (f"update {TABLE} set college_name = 'Wrong' where dept_id = '100001'", (1, 0, 0)),
    "another score": (f"update {TABLE} set data_quality_score = 0.5 where dept_id in ('100001', '100002')", (2, 0, 0)),
    "no value": (f"update {TABLE} set campus_name = null where dept_id = '100001'", (1, 0, 0)),
    "gone, and is there": (f"update {TABLE} set is_present = false where dept_id = '100001'", (1, 0, 0)),
}


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.reset().arrive()
    shared_world.read_all()
    shared_world.refresh_all()
    return shared_world


def verdict(world: World) -> Verdict:
    return next(found for found in verify(world.database, FEW_TABLES, lock_wait_seconds=10) if found.table == TABLE)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_counted(world: World, wrong: str) -> None:
    assert verdict(world).equal
    statement, (differing, missing, lingering) = WRONG[wrong]
    world.administer(f"set local session_replication_role = replica; {statement}")
    found = verdict(world)
    assert (found.differing, found.missing, found.lingering) == (differing, missing, lingering)
    assert found.equal is (differing + missing + lingering == 0)


def test_news_is_brought_in_and_nothing_is_written(world: World) -> None:
    world.apply(Change("umich_api/department", "100001", "DeptDescription", "Renamed"))
    world.read_all()
    before = table_checks.dump(world)
    assert all(found.equal for found in verify(world.database, FEW_TABLES, lock_wait_seconds=10))
    assert table_checks.dump(world) == before
