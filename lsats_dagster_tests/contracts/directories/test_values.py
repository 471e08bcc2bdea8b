"""Bad values become flags and never fail, and whatever happens the tables are what a full refresh gives."""

import pytest

from lsats_dagster_tests.contracts import inputs
from lsats_dagster_tests.contracts import table_checks as checks
from lsats_dagster_tests.contracts.directories import DIRECTORY_STREAMS
from lsats_dagster_tests.contracts.directories import directories as directories
from lsats_dagster_tests.contracts.histories import World
from lsats_dagster_tests.contracts.readings_directories import DIRECTORY_READINGS
from lsats_dagster_tests.contracts.test_tables_values import check_readings, fuzz

HISTORIES = 40


@pytest.fixture(scope="module")
def fuzzed(directories: World) -> World:
    """A hub in which each stream has met every hostile value in every field."""
    return fuzz(directories.reset(), DIRECTORY_STREAMS)


@pytest.mark.parametrize("table", DIRECTORY_READINGS)
def test_values_are_read_as_specified(fuzzed: World, table: str) -> None:
    checks.check_rules(fuzzed, fuzzed.definition(table))
    check_readings(fuzzed, table, DIRECTORY_READINGS[table])


def test_no_run_failed_and_a_second_refresh_is_quiet(fuzzed: World) -> None:
    assert fuzzed.rows("select 1 from meta.ingestion_runs where status <> 'completed'") == []
    for table in DIRECTORY_READINGS:
        checks.check_quiet(fuzzed, fuzzed.definition(table), full=True)


@pytest.fixture(scope="module")
def filled(directories: World) -> World:
    """The rich world, every table up to date."""
    directories.reset().fill()
    directories.refresh_all()
    return directories


@pytest.mark.parametrize("table", DIRECTORY_READINGS)
def test_tables_of_a_rich_world(filled: World, table: str) -> None:
    definition = filled.definition(table)
    checks.check_inputs(definition)
    checks.check_columns_filled(filled, definition)
    checks.check_collations(filled, definition)
    checks.check_rules(filled, definition)


@pytest.mark.engine
@pytest.mark.budget(20, "histories of several reads and refreshes each")
@pytest.mark.parametrize("table", DIRECTORY_READINGS)
def test_incremental_is_full(directories: World, table: str) -> None:
    inputs.pools(directories)
    for number in range(HISTORIES):
        checks.check_history(directories, directories.definition(table), number)
