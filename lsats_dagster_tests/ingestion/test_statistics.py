"""Postgres knows how large a table is as soon as it was filled, and need not guess until it looks by itself."""

from sqlalchemy import text

from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster_tests.conftest import new_database
from lsats_dagster_tests.contracts.histories import World
from lsats_dagster_tests.hubs import FEW_STREAMS, FEW_TABLES
from lsats_dagster_tests.ingestion.memory import Things


def rows_that_postgres_expects(database: Database, table: str) -> float:
    """-1 as long as nobody has looked."""
    with database.transaction() as connection:
        return float(
            connection.execute(
                text("select reltuples from pg_class where oid = cast(:table as regclass)"), {"table": table}
            ).scalar_one()
        )


def test_postgres_knows_what_a_read_has_filled(hub: Database) -> None:
    tables = ("bronze.raw_entities", "bronze.current_entities")
    things = Things(hub, 200)
    things.ingest()
    assert [rows_that_postgres_expects(hub, table) for table in tables] == [200, 200]
    things.listed.append({"ID": 500})
    things.ingest()
    assert rows_that_postgres_expects(hub, tables[0]) == 200, "one row in two hundred is not worth another look"


def test_postgres_knows_what_a_refresh_has_filled(server: EmbeddedPostgres) -> None:
    world = World(new_database(server), FEW_TABLES, FEW_STREAMS)
    try:
        world.fill()
        definition = world.definitions[0]
        run = world.refresh(definition.table)
        assert rows_that_postgres_expects(world.database, definition.name) == run.counts.created > 0
    finally:
        world.dispose()
