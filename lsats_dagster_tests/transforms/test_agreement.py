"""Which source gives a field how often, and how often sources differ, against a look at their own tables."""

import pytest

from lsats_dagster.transforms.agreement import Agreement, agreement
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.transforms.checkout import UMICH

# The detail of an account says the same as the list, and is the newer.
ACCOUNT = ("tdx/department", "tdx/department_detail")


@pytest.fixture
def world(shared_world: World) -> World:
    """Two departments of both sources, of which one has two names; one of each source alone; one that is gone."""
    world = shared_world.reset()
    for key, name in {"100001": "Physics", "100002": "Chemistry", "100003": "History", "100009": "Gone"}.items():
        world.apply(Change(UMICH, key, "DeptDescription", name))
    for key, code, name in (("1", "100001", "Physics"), ("2", "100002", "Alchemy"), ("3", "100004", "Music")):
        for field, value in {"Code": code, "Name": name, "IsActive": True}.items():
            world.apply(*(Change(stream, key, field, value) for stream in ACCOUNT))
    world.read_all()
    world.apply(Change(UMICH, "100009", None))
    world.read_all()
    world.refresh_all()
    return world


def found(world: World, table: str) -> dict[str, Agreement]:
    with world.database.transaction() as connection:
        return {field.field: field for field in agreement(connection, world.definition(table))}


def test_winners_and_differences_of_present_rows(world: World) -> None:
    fields = found(world, "departments")
    assert fields["department_name"] == Agreement("department_name", {"umich_api": 3, "tdx": 1}, several=2, differing=1)
    # HR speaks of activity only where there is no account, so that the two never differ.
    assert fields["is_active"] == Agreement("is_active", {"tdx": 3, "umich_api": 1}, several=0, differing=0)
    # What one source alone may give is nothing to agree on.
    assert fields.keys() == {"department_name", "is_active"}


def test_what_wins_is_what_the_rows_say(world: World) -> None:
    for name, field in found(world, "departments").items():
        counted = world.rows(
            "select field_sources ->> :name as source, count(*) from silver.departments "
            "where is_present and field_sources ? :name group by 1",
            name=name,
        )
        assert {source: rows for source, rows in field.won.items() if rows} == dict(map(tuple, counted))


def test_a_table_of_one_source_has_nothing_to_agree_on(world: World) -> None:
    assert found(world, "tdx_departments") == {}
