"""Rows of inputs that belong into a table and are in none of its rows: counted, told by the check, found by verify."""

import pytest

from lsats_dagster.runs import Check, Run
from lsats_dagster.transforms.kept import Kept, kept
from lsats_dagster.transforms.verify import verify
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.transforms.checkout import UMICH, Checkout

# The detail of an account says the same as the list, and is the newer.
ACCOUNT = ("tdx/department", "tdx/department_detail")
TABLE, HR, ACCOUNTS = "silver.departments", "silver.umapi_departments", "silver.tdx_departments"


@pytest.fixture
def world(shared_world: World) -> World:
    """One department of both sources, one of TeamDynamix alone, an account without code, and a department that went."""
    world = shared_world.reset()
    world.apply(Change(UMICH, "100001"), Change(UMICH, "100009"))
    for key, code in {"1": "100001", "2": "100002", "3": ""}.items():
        world.apply(*(Change(stream, key, "Code", code) for stream in ACCOUNT))
    world.read_all()
    world.apply(Change(UMICH, "100009", None))
    world.read_all()
    world.refresh_all()
    return world


def found(world: World) -> list[Kept]:
    with world.admin.transaction() as connection:
        return kept(connection, world.definition(TABLE))


def integrity(run: Run) -> Check:
    return next(check for check in run.checks if check.name == "integrity")


def test_present_rows_that_belong_are_counted_and_kept(world: World) -> None:
    assert found(world) == [Kept(TABLE, HR, 1, 1, 0), Kept(TABLE, ACCOUNTS, 3, 2, 0)]


@pytest.mark.parametrize(
    ("broken", "lost"),
    [
        (f"delete from {TABLE} where dept_id = '100001'", (1, 1)),
        (f"update {TABLE} set is_present = false where dept_id = '100002'", (0, 1)),
        (f"update {TABLE} set source_keys = source_keys - '{ACCOUNTS}' where dept_id = '100001'", (0, 1)),
        (f"update {TABLE} set source_keys = jsonb_build_object('{ACCOUNTS}', jsonb_build_array('100001'))", (1, 2)),
    ],
)
def test_a_row_behind_no_present_row_is_lost(world: World, broken: str, lost: tuple[int, int]) -> None:
    world.administer(f"set local session_replication_role = replica; {broken}")
    assert tuple(row.lost for row in found(world)) == lost


def test_a_select_that_loses_rows_is_found_by_check_and_verify(checkout: Checkout) -> None:
    world = checkout.world
    assert integrity(world.refresh("departments", full=True)).passed
    path = checkout.root / "silver" / "entities" / "departments.sql"
    checkout.change(("left join umapi u on", "inner join umapi u on"), path=path)
    world.apply(*(Change(stream, key, "Code", f"20000{key}") for key in "12" for stream in ACCOUNT))
    checkout.upgrade()
    world.read_all()
    runs = world.refresh_all()
    told = integrity(runs["departments"])
    (lost,) = (row.lost for row in found(world) if row.input == ACCOUNTS)
    assert lost >= 2
    assert (runs["departments"].mode, told.passed, told.severe) == ("full", False, True)
    assert f"; rows of silver/tdx_departments that belong here and are in none: {lost}" in told.description
    assert told.numbers["lost rows of silver/tdx_departments"] == lost
    # What the last full refresh found stands, also after one of few keys, and after one of none.
    world.apply(Change(UMICH, "100001", "DeptDescription", "Renamed"))
    world.read_all()
    later = world.refresh_all()["departments"]
    quiet = world.refresh("departments")
    assert (later.mode, quiet.counts.processed) == ("incremental", 0)
    assert integrity(later).description.endswith(told.description.partition("; ")[2])
    assert not integrity(quiet).passed
    verdicts = {verdict.table: verdict for verdict in verify(world.database, world.definitions, lock_wait_seconds=10)}
    assert (verdicts[TABLE].differing, verdicts[TABLE].lost, verdicts[TABLE].equal) == (0, lost, False)
    assert all(verdict.equal for name, verdict in verdicts.items() if name != TABLE)


def test_dangling_references_are_told_by_kind(world: World) -> None:
    world.apply(*(Change(stream, "2", "ParentID", 999) for stream in ACCOUNT))
    world.read_all()
    check = integrity(world.refresh("tdx_departments"))
    assert check.numbers["rows with unknown_parent"] == check.numbers["dangling"] > 0
