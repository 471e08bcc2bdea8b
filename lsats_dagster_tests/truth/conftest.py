"""The hub that lives with a campus in the tests of this folder."""

import logging
from collections.abc import Iterator

import pytest

from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster_tests.contracts.histories import World, shared_database


@pytest.fixture
def hub_in_memory(server: EmbeddedPostgres, caplog: pytest.LogCaptureFixture) -> Iterator[World]:
    """An empty hub that reads from memory."""
    caplog.set_level(logging.CRITICAL, "lsats_dagster")
    world = World(shared_database(server)).reset()
    yield world
    world.reset().dispose()
