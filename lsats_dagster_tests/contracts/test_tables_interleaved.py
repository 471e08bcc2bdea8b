"""Refreshes, reads and deaths that meet: every silver table must stand all of it."""

from collections.abc import Callable

import pytest

from lsats_dagster.database import DatabaseError
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.transforms.definition import Definition
from lsats_dagster_tests.conftest import DEFINITIONS, new_database
from lsats_dagster_tests.contracts import interleavings
from lsats_dagster_tests.contracts.forms import SUITE_DEFINITIONS
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.shapes import SHAPES

every_table = pytest.mark.parametrize("definition", SUITE_DEFINITIONS, ids=lambda definition: definition.table)
ENTITIES = 300


@pytest.fixture(scope="module")
def world(suite_world: World) -> World:
    """A rich world, filled once: each test moves it on."""
    suite_world.reset().fill()
    return suite_world


@every_table
@pytest.mark.parametrize(
    "check",
    [
        interleavings.check_two_at_once,
        interleavings.check_killed,
        interleavings.check_committed_meanwhile,
        interleavings.check_committed_late,
    ],
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_interleaved(world: World, definition: Definition, check: Callable[[World, Definition], None]) -> None:
    check(world, definition)


def test_the_row_of_a_failed_run_says_what_failed(world: World) -> None:
    """Who reads meta.ingestion_runs learns the SQLSTATE and what the error raised says, not only a class name."""
    definition = DEFINITIONS[0]
    interleavings.move_sources(world, definition, "for a failure")
    world.administer(f"alter table {definition.name} add constraint too_good check (data_quality_score < 0) not valid")
    try:
        with pytest.raises(DatabaseError) as raised:
            world.refresh(definition.table)
    finally:
        world.administer(f"alter table {definition.name} drop constraint too_good")
    assert "23514" in str(raised.value)
    assert str(raised.value) in interleavings.last_run(world, definition).error_message


def test_a_first_refresh_does_not_read_each_record_for_each_other(server: EmbeddedPostgres) -> None:
    """Right after a first load Postgres has no statistics of bronze; the refresh must not need them to be fast."""
    world = World(new_database(server))
    world.administer(
        "alter table bronze.current_entities set (autovacuum_enabled = off); "
        "alter table bronze.raw_entities set (autovacuum_enabled = off)"
    )
    for name, stream in world.streams.items():
        keys = [SHAPES[name].number(number) for number in range(1, ENTITIES + 1)]
        world.apply(*(Change(name, key) for key in keys))
        if isinstance(stream, DetailStream):
            world.apply(*(Change(name, key, None) for key in SHAPES[name].keys if key not in keys))
    world.read_all()
    for definition in world.definitions:
        read = interleavings.rows_fetched(world, definition, "bronze.raw_entities")
        # Each stream's records a few times at most; a loop within a loop reads ENTITIES times as many.
        assert read < 10 * len(world.streams) * ENTITIES, definition.name
    world.dispose()
