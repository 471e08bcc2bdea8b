"""The hub against the true identities of a campus, day by day: no pair that is wrong or missing, nothing seen late.

`make truth` lives ten long lives of a tiny campus and one of a small one, and tells the figures; `make test` one short life.
"""

from collections.abc import Callable

import pytest

from lsats_dagster_tests import depth
from lsats_dagster_tests.contracts.histories import World
from lsats_dagster_tests.truth.entities import ENTITIES
from lsats_dagster_tests.truth.lives import Life
from lsats_dagster_tests.truth.report import PROPERTY

# Size, seed, days. A small campus has 25 times as many people.
LIVES = [*(("tiny", seed, 30) for seed in range(1, 11)), ("small", 7, 3)] if depth.PROOF else [("tiny", 1, 10)]


@pytest.mark.deep
@pytest.mark.budget(25, "a whole hub, read and compared with itself on every day")
@pytest.mark.parametrize(("size", "seed", "days"), LIVES)
def test_every_day_is_as_it_is_in_truth(
    hub_in_memory: World, record_property: Callable[[str, object], None], size: str, seed: int, days: int
) -> None:
    """The hub is without fault. The peer's rules are not: a measure that could not tell the two apart would measure nothing."""
    story = Life(hub_in_memory, seed, size, days).live()
    record_property(PROPERTY, story.told())
    assert story.all_faults == []
    for entity in ENTITIES:
        ours, others = story.hub[entity.table].counts, story.peer[entity.table].counts
        assert ours["found"] == ours["expected"] > 0
        assert ours["left"] > 0
        assert others["wrong"] + others["missing"] > 0, f"the peer's rules join {entity.table} as well"
        assert others["lingering"] >= others["left"] > 0
