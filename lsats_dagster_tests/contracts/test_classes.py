"""Rows that share a class, where a scope value stands for several rows."""

from dataclasses import replace

import pytest

from lsats_dagster.transforms.engine import compute
from lsats_dagster.transforms.reach import class_members
from lsats_dagster_tests.contracts.histories import Change, World

GROUP = "directory/group"
GROUPS = ["g1", "g2", "g3", "g4"]


@pytest.mark.parametrize("limit", [3, 4, 5, 100])
def test_all_scope_values_of_a_class_are_found_or_everything_is_computed(suite_world: World, limit: int) -> None:
    """Many rows of few scope values are no reason to forget one of these."""
    world = suite_world.reset()
    for key in GROUPS:
        # One after the other, so that the rows of a group stand together.
        world.apply(Change(GROUP, key), Change(GROUP, key, "Title", "One"))
        world.apply(Change(GROUP, key, "Members", ["l1", "l2", "l3", "l4"]))
        world.read(GROUP)
        world.refresh("memberships")
    definition = replace(world.definition("memberships"), classes=("group_title",))
    with world.database.transaction() as connection:
        compute(connection, definition, ["g1"])
        assert class_members(connection, definition, ["g1"], limit) in (set(GROUPS), None)
