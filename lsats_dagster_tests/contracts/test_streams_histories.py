"""Random histories of a list stream against a model of the log: whatever happens in whatever order."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsats_dagster.database import Database
from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster_tests import depth
from lsats_dagster_tests.conftest import Hub, new_database
from lsats_dagster_tests.contracts.poison_cases import POISON_OF, good_record
from lsats_dagster_tests.contracts.stream_cases import (
    change_content,
    data_routes,
    expected,
    keys,
    other_values,
    quick,
    roomy,
    shown,
    source_of,
    stable,
)
from lsats_dagster_tests.contracts.stream_kinds import BY_CHANGES, BY_PARTS, LIST_KINDS, name, transport
from lsats_dagster_tests.contracts.stream_states import assert_runs_ended, log

EXAMPLES = 10 * depth.FACTOR
# What a history is made of; several of them happen before each read. The number chooses the record.
CHANGES = ("new", "change", "volatile", "delete", "restore", "poison", "poison without key", "cure", "reorder")
# daily: as the day brings it, which for some is a look at what changed.
READS = ("whole", "whole", "daily", "limited", "failed", "dry")
Step = tuple[list[tuple[str, int]], str]
STEPS = st.lists(
    st.tuples(st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 5)), max_size=4), st.sampled_from(READS)),
    min_size=1,
    max_size=6,
)


@dataclass
class Model:
    """The log that must come of what a perfect reader sees: contents by key of all that was ever stored."""

    live: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def due(self, truth: dict[str, str], *, may_remove: bool) -> dict[str, str]:
        """The change of each key that a whole read of `truth` must log."""
        changes = dict.fromkeys(truth.keys() - self.live.keys(), "new")
        changes |= dict.fromkeys(truth.keys() & self.gone, "returned")
        known = truth.keys() & self.live.keys() - self.gone
        changes |= {key: "changed" for key in known if truth[key] != self.live[key]}
        if may_remove:
            changes |= dict.fromkeys(self.live.keys() - self.gone - truth.keys(), "removed")
        return changes

    def apply(self, changes: dict[str, str], truth: dict[str, str]) -> None:
        for key, change in changes.items():
            if change == "removed":
                self.gone.add(key)
            else:
                self.gone.discard(key)
                self.live[key] = truth[key]


class History:
    """A hub and a campus that live through steps, beside the model."""

    def __init__(self, hub: Hub, stream: ListStream[Any]) -> None:
        self.hub, self.stream, self.campus = hub, stream, hub.campus
        self.routes = data_routes(hub, stream)
        self.model = Model()
        self.deleted: list[str] = []
        self.poison: list[str] = []
        # Records without a key: those that come now, and those of the last complete read that refused nothing.
        self.unkeyed = self.ordinary = 0
        self.stamps = 0
        # Made before the first read: the hub never sees it but as poison.
        self.bad, self.poisons = good_record(hub, stream), POISON_OF[source_of(stream).transport]

    def happen(self, change: str, number: int) -> None:
        present = keys(self.campus, self.stream)
        key, self.stamps = present[number], self.stamps + 1
        match change:
            case "new":
                self.campus.add(self.stream.name)
            case "change":
                change_content(self.campus, self.stream, key, f"Changed {self.stamps}")
            case "volatile" if volatile := sorted(self.stream.hash_rule.volatile):
                moved = other_values(self.campus, self.stream, key, volatile)
                self.campus.put(self.stream.name, key, moved, touch=False)
            case "delete" if len(self.deleted) < 8:
                self.campus.delete(self.stream.name, key)
                self.deleted.append(key)
            case "restore" if self.deleted:
                self.campus.restore(self.stream.name, self.deleted.pop(number % len(self.deleted)))
            case "poison":
                self._poisoned([poison.raw(self.bad) for poison in self.poisons if poison.has_key][:1], unkeyed=0)
            case "poison without key":
                unkeyed = [poison.raw(self.bad) for poison in self.poisons if not poison.has_key][:2]
                self._poisoned(unkeyed, unkeyed=len(unkeyed))
            case "cure":
                self._poisoned([], unkeyed=0)
            case "reorder":
                self.campus.reorder(self.stream.name, number)

    def _poisoned(self, records: list[str], *, unkeyed: int) -> None:
        self.campus.poison(self.stream.name, records)
        self.poison, self.unkeyed = records, unkeyed

    def _fail(self) -> None:
        """One run whose source fails half-way."""
        data_routes(self.hub, self.stream).fault_half_way(transport(self.stream).breaks, times=None)
        with pytest.raises(Exception, match=transport(self.stream).says):
            self.hub.run(self.stream, full=True)
        self.campus.clear_faults()

    def read(self, kind: str) -> None:
        """One run, and what must have come of it."""
        hub, stream = self.hub, self.stream
        truth = {k: json.dumps(p, sort_keys=True) for k, p in stable(stream, expected(hub, stream)).items()}
        before = log(hub, stream)
        if kind == "daily" and stream not in BY_CHANGES:
            kind = "whole"
        elif kind == "failed" and stream in BY_PARTS:
            # The next read leaves out what this one finished, whatever changes until then: so it follows at once.
            self._fail()
            kind = "whole"
        may_remove = kind in ("whole", "dry") and self.unkeyed <= self.ordinary
        if kind == "whole" and (may_remove or not self.model.live.keys() - self.model.gone - truth.keys()):
            self.ordinary = self.unkeyed
        due = self.model.due(truth, may_remove=may_remove)
        match kind:
            case "failed":
                self._fail()
            case "limited":
                hub.run(stream, limit=30)
            case "daily":
                hub.run(stream)
            case "dry":
                counts = hub.run(stream, dry_run=True, full=True).counts
                assert (counts.created + counts.updated + counts.removed, counts.failed) == (len(due), len(self.poison))
            case _:
                assert hub.run(stream, full=True).counts.failed == len(self.poison)
        rows = log(hub, stream)
        written = {key: change for key, change, _ in rows[len(before) :]}
        assert rows[: len(before)] == before
        assert len(written) == len(rows) - len(before), "a key changes once per run"
        if kind == "whole":
            assert written == due
        elif kind == "dry":
            assert written == {}
        else:
            # How far a partial read came is the source's affair; what it brought must be right.
            assert written.items() <= due.items()
        self.model.apply(written, truth)
        contents = {k: json.dumps(p, sort_keys=True) for k, p in stable(stream, shown(hub, stream)).items()}
        assert contents == {key: self.model.live[key] for key in self.model.live.keys() - self.model.gone}
        assert shown(hub, stream, present=False).keys() == self.model.gone


@pytest.mark.engine
@pytest.mark.deep
@pytest.mark.budget(10, "random histories of several reads each")
@pytest.mark.parametrize("stream", LIST_KINDS, ids=name)
def test_every_history_is_logged_as_the_model_says(
    stream: ListStream[Any], server: EmbeddedPostgres, campus_process: Campus
) -> None:
    # A fixed seed: a suite that passes today passes tomorrow.
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(steps=STEPS)
    def lives(steps: list[Step]) -> None:
        campus_process.reset()
        hub = quick(Hub(Database(new_database(server)), roomy(campus_process)))
        hub.batch_size = 25
        try:
            history = History(hub, stream)
            for changes, kind in steps:
                for change, number in changes:
                    history.happen(change, number)
                history.read(kind)
            history.happen("cure", 0)
            history.read("whole")
            history.read("whole")
            assert_runs_ended(hub)
        finally:
            hub.database.dispose()
            for client in hub.clients.values():
                client.close()

    lives()
