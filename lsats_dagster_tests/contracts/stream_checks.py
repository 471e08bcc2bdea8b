"""What must hold of bronze under silver, as plain functions over sources in memory.

The stream suite proves the streams on the wire; these are the short forms that planted faults must fail.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lsats_dagster.clients.errors import SourceError, TransientSourceError
from lsats_dagster.database import OWNER, Database, DatabaseError
from lsats_dagster.ingestion.extract import ReadRequest, ingest
from lsats_dagster.ingestion.stream import DetailStream, ListStream
from lsats_dagster.runs import Origin
from lsats_dagster_tests.contracts.histories import LOCK_WAIT_SECONDS, Change, World
from lsats_dagster_tests.contracts.shapes import SHAPES


@dataclass
class PagedClient:
    """A source that answers in pages and breaks off behind the first, if it is told to."""

    records: list[dict[str, Any]]
    breaks: bool = False

    def departments(self) -> Iterator[list[Any]]:
        half = len(self.records) // 2
        yield self.records[:half]
        if self.breaks:
            raise TransientSourceError("the second page does not come")
        yield self.records[half:]

    def evidence(self) -> dict[str, int | float]:
        return {}


def present(world: World, stream: str) -> set[str]:
    """Keys that bronze shows as present."""
    declared = world.streams[stream]
    return {row.external_id for row in world.rows(f"select external_id from {view(declared)} where is_present")}


def view(stream: Any) -> str:
    return f"{stream.layer}.{stream.table}"


def versions(world: World) -> dict[str, list[Any]]:
    """The log of each list stream, and what is current, as they stand."""
    found = {}
    for name, stream in world.streams.items():
        if isinstance(stream, ListStream):
            for table in ("raw_entities", "current_entities"):
                found[f"{name} {table}"] = world.rows(
                    f"select t::text from bronze.{table} t where source_system || '/' || entity_type = :name order by 1",
                    name=name,
                )
    return found


def lists_filled(world: World) -> list[str]:
    """Every list stream read whole; their names."""
    names = [name for name, stream in world.streams.items() if isinstance(stream, ListStream)]
    for name in names:
        world.apply(*(Change(name, key) for key in SHAPES[name].keys))
        world.read(name)
    return names


def check_failed_read(world: World) -> None:
    """A read whose second page fails is no end of data: the run fails and everything stays."""
    stream = world.streams["umich_api/department"]
    assert isinstance(stream, ListStream)
    client = PagedClient([SHAPES[stream.name].ordinary(key) for key in SHAPES[stream.name].keys])
    request = {"request": ReadRequest(), "origin": Origin(), "batch_size": 100, "lock_wait_seconds": LOCK_WAIT_SECONDS}
    ingest(world.database, stream, client, **request)  # type: ignore[arg-type]
    before = present(world, stream.name)
    assert len(before) == len(client.records)
    client.breaks = True
    try:
        ingest(world.database, stream, client, **request)  # type: ignore[arg-type]
    except SourceError:
        pass
    else:
        raise AssertionError("a read that broke off did not fail")
    finally:
        assert present(world, stream.name) == before


def check_partial_read(world: World) -> None:
    """What a read that stopped by intent did not bring is not gone."""
    for name in lists_filled(world):
        before = present(world, name)
        world.read(name, "limit")
        assert present(world, name) == before


def check_volatile_fields(world: World) -> None:
    """A volatile field that moves alone makes no version; every other field makes one."""
    for name in lists_filled(world):
        shape = SHAPES[name]
        before = versions(world)[f"{name} raw_entities"]
        # By the declaration of the shape's stream, not by that of the world, which may be at fault.
        for field in VOLATILE[name]:
            world.apply(Change(name, shape.keys[0], field, "2031-01-01T00:00:00Z"))
        world.read(name)
        assert versions(world)[f"{name} raw_entities"] == before, f"{name}: a volatile field made a version"
        world.apply(Change(name, shape.keys[0], shape.fields[0], "moved"))
        world.read(name)
        assert len(versions(world)[f"{name} raw_entities"]) == len(before) + 1


# Fields that sources.md 5.2 calls volatile.
VOLATILE: dict[str, tuple[str, ...]] = {"tdx/department": ("ModifiedDate",), "umich_api/department": ()}


def check_enrichment_leaves_lists(world: World) -> None:
    """Reading details neither appends to a list stream nor changes what it has."""
    lists_filled(world)
    before = versions(world)
    details = [name for name, stream in world.streams.items() if isinstance(stream, DetailStream)]
    for name in details:
        world.read(name)
    assert versions(world) == before
    fetched = world.rows("select distinct source_system || '/' || entity_type from bronze.raw_entities")
    assert {row[0] for row in fetched} == set(world.streams)


def check_log_is_append_only(world: World) -> None:
    """No role rewrites a version, the owner included."""
    lists_filled(world)
    owner = Database(world.url, role=OWNER)
    for database in (world.database, owner):
        for statement in ("update bronze.raw_entities set raw_data = '{}'", "delete from bronze.raw_entities"):
            assert refused(database, statement), statement
    owner.dispose()


def refused(database: Database, statement: str) -> bool:
    """Whether the role may not do this, or the table's own trigger stands against it."""
    try:
        with database.transaction() as connection:
            connection.exec_driver_sql(statement)
    except DatabaseError as error:
        return error.sqlstate in ("42501", "P0001")
    return False
