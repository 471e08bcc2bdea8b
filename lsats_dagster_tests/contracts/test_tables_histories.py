"""Whatever happened in whatever order: every silver table is what a full computation gives.

Table by table, over the tables and streams that each reads itself: if each follows its inputs, all follow the streams. A few
chains through everything show that the parts fit together.
"""

import logging
from collections.abc import Iterator
from random import Random

import pytest

from lsats_dagster.transforms.definition import OUTSIDE_COMPARISON, Definition
from lsats_dagster_tests import depth
from lsats_dagster_tests.contracts import inputs
from lsats_dagster_tests.contracts import table_checks as checks
from lsats_dagster_tests.contracts.forms import SUITE_DEFINITIONS
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.shapes import SHAPES

# Random histories of one case, and how many cases of each table there are: 25 histories, 200 in `make proof`.
HISTORIES, PARTS = 25, 8 if depth.PROOF else 1
CHAINS = 20 if depth.PROOF else 2
# Sets of records that are read in two orders, and the changes of each stream.
ORDERS, EVENTS = 20 if depth.PROOF else 3, 12


@pytest.fixture(scope="module")
def world(suite_world: World) -> Iterator[World]:
    level = logging.getLogger("lsats_dagster").level
    logging.getLogger("lsats_dagster").setLevel(logging.CRITICAL)
    inputs.pools(suite_world)
    yield suite_world
    logging.getLogger("lsats_dagster").setLevel(level)


def test_a_history_begins_with_the_own_definitions(world: World) -> None:
    """Whatever an earlier one, of all tables, has changed and not changed back."""
    (definition,) = (d for d in SUITE_DEFINITIONS if d.table == "workers")
    world.reset().fill()
    world.refresh_all()
    world.redefine(definition.table)
    checks.check_history(world, definition, 0)


# For the rules of the engine; so it is no share of what a further table costs.
@pytest.mark.engine
@pytest.mark.budget(10, "25 histories of several reads and refreshes each")
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("definition", SUITE_DEFINITIONS, ids=lambda definition: definition.table)
def test_incremental_is_full(world: World, definition: Definition, part: int) -> None:
    """The same histories each time, so that a red test stays red."""
    for number in range(part * HISTORIES, (part + 1) * HISTORIES):
        checks.check_history(world, definition, number)


@pytest.mark.budget(10, "every stream and table, again and again")
@pytest.mark.parametrize("number", range(CHAINS))
def test_chain(world: World, number: int) -> None:
    checks.check_chain(world, number)


@pytest.mark.deep
def test_the_order_of_records_never_matters(world: World) -> None:
    """The same records in another order make the same tables, ids and times aside; keys that come twice included."""
    left_out = (*OUTSIDE_COMPARISON, *checks.IDS_AND_TIMES)
    columns = {d.table: [column.name for column in d.columns if column.name not in left_out] for d in SUITE_DEFINITIONS}

    def make(order: int, events: list[Change]) -> dict[str, checks.Rows]:
        world.reset()
        for name in world.streams:
            world.apply(*(Change(name, key) for key in SHAPES[name].keys))
        world.apply(*events)
        for name in world.streams:
            records = world.sources[name].shown()
            records = [*records, {**records[0], SHAPES[name].fields[0]: "twice"}]
            world.read(name, records=Random(order).sample(records, len(records)))
        world.refresh_all()
        return {d.table: checks.rows_by_key(world, d, columns[d.table]) for d in SUITE_DEFINITIONS}

    for number in range(ORDERS):
        chance = Random(number)
        events = [change for name in world.streams for change in chance.sample(link_changes(name), EVENTS)]
        tables, others = make(1, events), make(2, events)
        for definition in SUITE_DEFINITIONS:
            checks.assert_same(tables[definition.table], others[definition.table], definition.name)


def link_changes(stream: str) -> list[Change]:
    """Changes of the fields that join rows, and of some others, with readable values."""
    shape = SHAPES[stream]
    fields = {**shape.links, **shape.others}
    return [
        Change(stream, key, name, value) for name, values in fields.items() for value in values for key in shape.keys
    ]
