"""Whatever happened in whatever order: every silver table is what a full computation gives."""

import logging
from collections.abc import Iterator
from random import Random

import pytest

from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.transforms.definition import OUTSIDE_COMPARISON, Definition
from lsats_dagster_tests.conftest import DEFINITIONS
from lsats_dagster_tests.contracts import table_checks as checks
from lsats_dagster_tests.contracts.histories import HISTORIES, ORDINARY, Change, World, shared_database
from lsats_dagster_tests.contracts.shapes import SHAPES

# Sets of records that are read in two orders, and the changes of each stream.
ORDERS, EVENTS = max(4, HISTORIES // 10), 12


@pytest.fixture(scope="module")
def shared_world(server: EmbeddedPostgres) -> Iterator[World]:
    level = logging.getLogger("lsats_dagster").level
    logging.getLogger("lsats_dagster").setLevel(logging.CRITICAL)
    world = World(shared_database(server))
    yield world
    world.reset().dispose()
    logging.getLogger("lsats_dagster").setLevel(level)


# Through all that lies below a table, for the rules of the engine; so it is no share of what a further table costs.
@pytest.mark.engine
@pytest.mark.budget(20, "25 histories of several reads and refreshes each")
@pytest.mark.parametrize("part", range(HISTORIES // ORDINARY))
@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.table)
def test_incremental_is_full(shared_world: World, definition: Definition, part: int) -> None:
    """So is every table that it is made from. The same histories each time, so that a red test stays red."""
    for number in range(part * ORDINARY, (part + 1) * ORDINARY):
        checks.check_history(shared_world, definition, number)


@pytest.mark.deep
def test_the_order_of_records_never_matters(shared_world: World) -> None:
    """The same records in another order make the same tables, ids and times aside; keys that come twice included."""
    world, left_out = shared_world, (*OUTSIDE_COMPARISON, *checks.IDS_AND_TIMES)
    columns = {d.table: [column.name for column in d.columns if column.name not in left_out] for d in DEFINITIONS}

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
        return {d.table: checks.rows_by_key(world, d, columns[d.table]) for d in DEFINITIONS}

    for number in range(ORDERS):
        chance = Random(number)
        events = [change for name in world.streams for change in chance.sample(link_changes(name), EVENTS)]
        tables, others = make(1, events), make(2, events)
        for definition in DEFINITIONS:
            checks.assert_same(tables[definition.table], others[definition.table], definition.name)


def link_changes(stream: str) -> list[Change]:
    """Changes of the fields that join rows, and of some others, with readable values."""
    shape = SHAPES[stream]
    fields = {**shape.links, **shape.others}
    return [
        Change(stream, key, name, value) for name, values in fields.items() for value in values for key in shape.keys
    ]
