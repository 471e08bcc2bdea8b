"""What the stream suite asks for: hubs whose clients pause for short times only."""

from collections.abc import Iterator

import pytest

from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster_tests.conftest import Hub, HubFactory
from lsats_dagster_tests.contracts import stream_cases, stream_states
from lsats_dagster_tests.contracts.forms import SUITE_DEFINITIONS, SUITE_STREAMS, suite_database
from lsats_dagster_tests.contracts.histories import World, shared_database


@pytest.fixture(scope="module")
def shared_world(server: EmbeddedPostgres) -> Iterator[World]:
    """For the tests of a module, one after another; each begins with `reset`."""
    world = World(shared_database(server))
    yield world
    world.dispose()


@pytest.fixture(scope="module")
def suite_world(server: EmbeddedPostgres) -> Iterator[World]:
    """The same, of the table suite: the product's tables and the invented ones."""
    world = World(suite_database(server), SUITE_DEFINITIONS, SUITE_STREAMS)
    yield world
    world.reset().dispose()


@pytest.fixture
def source_hub(wired_hub: Hub) -> Iterator[Hub]:
    """A hub on a campus that limits nothing; afterwards every run must have ended, in balance."""
    stream_cases.roomy(wired_hub.campus)
    yield stream_cases.quick(wired_hub)
    stream_states.assert_runs_ended(wired_hub)


@pytest.fixture
def other_hub(another_hub: HubFactory) -> Hub:
    """A second hub on the same campus, to compare two histories."""
    return stream_cases.quick(another_hub())
