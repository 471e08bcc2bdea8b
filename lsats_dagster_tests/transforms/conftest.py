"""What tests of upgrades and definitions ask for: an empty database, and a filled hub of few tables with its own checkout."""

import shutil
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster_tests.conftest import new_database
from lsats_dagster_tests.contracts.histories import World, shared_database
from lsats_dagster_tests.hubs import FEW_STREAMS, FEW_TABLES
from lsats_dagster_tests.transforms.checkout import Checkout


@pytest.fixture(scope="session")
def filled(server: EmbeddedPostgres) -> World:
    """A hub that was filled once; databases are copied from it."""
    world = World(new_database(server), FEW_TABLES, FEW_STREAMS)
    world.fill()
    world.refresh_all()
    world.dispose()
    return world


@pytest.fixture(scope="module")
def shared_world(server: EmbeddedPostgres) -> Iterator[World]:
    """For the tests of a module, one after another; each begins with `reset`."""
    world = World(shared_database(server), FEW_TABLES, FEW_STREAMS)
    yield world
    world.reset().dispose()


def checkouts(server: EmbeddedPostgres, filled: World, folder: Path) -> Iterator[Checkout]:
    """One checkout, for a fixture of any scope."""
    shutil.copytree(SQL_ROOT, folder / "sql")
    found = Checkout(folder / "sql", new_database(server, template=str(filled.database.url.database)))
    found.world.sources = deepcopy(filled.sources)
    yield found
    found.world.dispose()


@pytest.fixture
def checkout(server: EmbeddedPostgres, filled: World, tmp_path: Path) -> Iterator[Checkout]:
    yield from checkouts(server, filled, tmp_path)


@pytest.fixture(scope="module")
def module_checkout(
    server: EmbeddedPostgres, filled: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Checkout]:
    """For the tests of a module that only look."""
    yield from checkouts(server, filled, tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def empty(server: EmbeddedPostgres) -> Iterator[Database]:
    """A database without anything of the hub, on a login with all rights."""
    database = Database(new_database(server, template="template1"), role=None)
    yield database
    database.dispose()
