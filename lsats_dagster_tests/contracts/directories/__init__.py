"""Tables of the directories, whose streams no source of the hub declares yet: what `sql` holds will stand in the hub's own."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.migrations import upgrade
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.sources import STREAMS, active_directory, mcommunity
from lsats_dagster.transforms.definition import Definition, check_sql, declaration, in_order, load_deductions
from lsats_dagster_tests.conftest import DEFINITIONS, new_database
from lsats_dagster_tests.contracts.histories import World, wait_for_no_disk
from lsats_dagster_tests.contracts.shapes import SHAPES
from lsats_dagster_tests.contracts.shapes_directories import DIRECTORY_SHAPES

ROOT = Path(__file__).parent / "sql"
DIRECTORY_STREAMS: tuple[StreamDeclaration, ...] = (
    mcommunity.USERS, mcommunity.GROUPS, active_directory.USERS, active_directory.GROUPS, active_directory.UNITS,
    active_directory.COMPUTERS,
)  # fmt: skip


@cache
def definitions() -> tuple[Definition, ...]:
    """The hub's tables and these, each after its inputs."""
    deductions = load_deductions(ROOT)
    paths = sorted((ROOT / "silver").glob("*/*.sql"))
    found = in_order((*DEFINITIONS, *(declaration(path, deductions[path.stem]) for path in paths)))
    for definition in found:
        check_sql(definition)
    return found


@cache
def database(server: EmbeddedPostgres) -> str:
    """The URL of the one database of this process that holds them; nothing waits for the disk."""
    url = new_database(server)
    admin = Database(url, role=None)
    upgrade(admin, SQL_ROOT, (*STREAMS, *DIRECTORY_STREAMS), definitions())
    admin.dispose()
    wait_for_no_disk(url)
    return url


@pytest.fixture(scope="module")
def directories(server: EmbeddedPostgres) -> Iterator[World]:
    """A hub with the tables of the directories, for the tests of a module. Tests of others know nothing of its shapes."""
    patch = pytest.MonkeyPatch()
    for name, shape in DIRECTORY_SHAPES.items():
        patch.setitem(SHAPES, name, shape)  # type: ignore[arg-type]
    world = World(database(server), definitions(), (*STREAMS, *DIRECTORY_STREAMS))
    yield world
    world.dispose()
    patch.undo()
