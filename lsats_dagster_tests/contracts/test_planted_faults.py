"""Faults planted one at a time: the checks that the suites use must turn red for each of them.

A check that no fault can fail proves nothing. Each fault is a real one: a definition written wrongly, or a step of the silver
engine done wrongly; streams have theirs in `test_planted_stream_faults`. `test_sound` runs the same checks on the sound engine.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from lsats_dagster import runs
from lsats_dagster.runs import protocol
from lsats_dagster.transforms import engine
from lsats_dagster.transforms.definition import Definition, DefinitionError
from lsats_dagster_tests.contracts import interleavings, table_checks, test_departments
from lsats_dagster_tests.contracts.histories import ORDINARY, World

Check = Callable[[World], None]
Plant = Callable[[World, pytest.MonkeyPatch], None]


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    definitions = shared_world.definitions
    yield shared_world.reset()
    shared_world.definitions = definitions


def redefine(world: World, table: str, **changes: Any) -> None:
    """Put a changed definition in place of the sound one; it passes for the one that is deployed."""
    sound = world.definition(table)
    changed = replace(sound, **changes)
    changed.__dict__["hash"] = sound.hash
    world.definitions = tuple(changed if definition is sound else definition for definition in world.definitions)


def reach_new_keys_only(world: World, _patch: pytest.MonkeyPatch, *, table: str) -> None:
    """The reach queries forget which rows came from the changed input before: keys that an entity has left."""
    own_keys = {
        "silver.tdx_departments": "select dept_id from silver.tdx_departments where changed_seq > :since",
        "bronze.tdx_departments": "select external_id from bronze.tdx_departments where seq > :since",
        "enriched.tdx_department_details": "select external_id from enriched.tdx_department_details where seq > :since",
    }
    redefine(world, table, reaches={**world.definition(table).reaches, **by_input(world, table, own_keys)})


def by_input(world: World, table: str, reaches: dict[str, str]) -> dict[str, str]:
    return {name: reaches[name] for name in world.definition(table).inputs if name in reaches}


def watermark_after_reading(world: World, patch: pytest.MonkeyPatch) -> None:
    """The watermark is taken when the work is done, from a snapshot newer than that of the rows."""
    sound = engine.apply

    def apply(connection: Connection, definition: Definition, run: runs.Run, *, full: bool) -> engine.Scope:
        scope = sound(connection, definition, run, full=full)
        with world.admin.transaction() as now:
            run.metadata["watermarks"] = {name: engine.input_position(now, name)[0] for name in definition.inputs}
        return scope

    patch.setattr(engine, "apply", apply)


def watermark_by_clock(world: World, patch: pytest.MonkeyPatch) -> None:
    """Changed means: later than the last refresh, by the clock (the rule of silver_source_tables.md 3.2, L-1)."""
    sound = engine.input_position

    def input_position(connection: Connection, name: str) -> tuple[int, Any]:
        now = connection.exec_driver_sql("select extract(epoch from clock_timestamp()) * 1000000").scalar_one()
        return int(now), sound(connection, name)[1]

    patch.setattr(engine, "input_position", input_position)
    for definition in world.definitions:
        keys = {name: definition.scope if name.startswith("silver.") else "external_id" for name in definition.inputs}
        clocks = {name: "updated_at" if name.startswith("silver.") else "changed_at" for name in definition.inputs}
        redefine(
            world,
            definition.table,
            reaches={
                name: f"select {keys[name]} from {name} where {clocks[name]} > to_timestamp(:since / 1000000.0)"
                for name in definition.inputs
            },
        )


def only_changed_rows_of_every_input(world: World, _patch: pytest.MonkeyPatch) -> None:
    """An incremental refresh takes of each input only what changed since the last one (operations.md section 3)."""
    restricted = world.definition("departments").select
    for name in ("silver.umapi_departments", "silver.tdx_departments"):
        since = (
            f"select coalesce(max((metadata -> 'watermarks' ->> '{name}')::bigint), 0) from meta.ingestion_runs "
            "where entity_type = 'departments' and status = 'completed'"
        )
        sound = f"select * from {name}\n"
        assert sound in restricted
        changed = f"select * from {name} where cast(:keys as text[]) is null or changed_seq > ({since})"
        restricted = restricted.replace(sound, f"select * from ({changed}) as changed_rows\n")
    redefine(world, "departments", select=restricted)


def inputs_made_anew_unseen(_world: World, patch: pytest.MonkeyPatch) -> None:
    """A refresh does not ask when the tables that it reads were made."""
    sound = engine.check_deployed

    def check_deployed(connection: Connection, definition: Definition) -> dict[str, str]:
        return {definition.name: sound(connection, definition)[definition.name]}

    patch.setattr(engine, "check_deployed", check_deployed)


def reached_without_ancestors(world: World, _patch: pytest.MonkeyPatch) -> None:
    """A change reaches no account above: a circle is flagged, or not any more, only where it was changed."""
    reaches = world.definition("tdx_departments").reaches
    cut = {name: reach.replace("union\nselect tdx_id::text from ancestors", "") for name, reach in reaches.items()}
    assert all(cut[name] != reach for name, reach in reaches.items())
    redefine(world, "tdx_departments", reaches=cut)


def score_ignores_flags(_world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "score", lambda definition: "1.00")


def one_deduction_is_not_applied(world: World, _patch: pytest.MonkeyPatch) -> None:
    """One flag costs nothing in the engine, though the reviewed file says what it costs."""
    deductions = world.definition("departments").deductions
    assert deductions["no_umapi_data"][0] != "0.00"
    redefine(world, "departments", deductions={**deductions, "no_umapi_data": ("0.00", "")})


def no_lock(_world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(protocol, "take_lock", lambda connection, name, wait_seconds: None)


def live_random_histories(world: World) -> None:
    """The ordinary histories of the table that all others lead to."""
    for number in range(ORDINARY):
        table_checks.check_history(world, world.definition("departments"), number)


def on_rich_world(check: Callable[[World, Definition], None], table: str) -> Check:
    """A check of one table in a rich world."""

    def run(world: World) -> None:
        world.fill()
        check(world, world.definition(table))

    return run


def scores(world: World, definition: Definition) -> None:
    world.refresh_all()
    table_checks.check_scores(world, definition)


@dataclass(frozen=True)
class Fault:
    name: str
    plant: Plant
    check: Check
    # The suite itself is the control of what takes long.
    control: bool = True


FAULTS = [
    Fault(
        "departments: reached by new keys only",
        partial(reach_new_keys_only, table="departments"),
        live_random_histories,
        control=False,
    ),
    Fault(
        "departments: reached by new keys only, scenario",
        partial(reach_new_keys_only, table="departments"),
        test_departments.test_an_account_moves_to_another_code,
    ),
    Fault(
        "tdx_departments: reached by new keys only",
        partial(reach_new_keys_only, table="tdx_departments"),
        live_random_histories,
        control=False,
    ),
    Fault(
        "watermark taken after reading",
        watermark_after_reading,
        on_rich_world(interleavings.check_committed_meanwhile, "departments"),
    ),
    Fault(
        "watermark by clock",
        watermark_by_clock,
        on_rich_world(interleavings.check_committed_late, "umapi_departments"),
    ),
    Fault(
        "only changed rows of every input",
        only_changed_rows_of_every_input,
        live_random_histories,
        control=False,
    ),
    Fault(
        "only changed rows of every input, scenario S1",
        only_changed_rows_of_every_input,
        test_departments.test_s1_a_change_of_one_source_keeps_the_other,
    ),
    Fault("inputs made anew are not seen", inputs_made_anew_unseen, live_random_histories, control=False),
    Fault(
        "tdx_departments: reached without ancestors", reached_without_ancestors, live_random_histories, control=False
    ),
    Fault("the score ignores flags", score_ignores_flags, on_rich_world(scores, "departments")),
    Fault("one deduction is not applied", one_deduction_is_not_applied, on_rich_world(scores, "departments")),
    Fault("no lock", no_lock, on_rich_world(interleavings.check_two_at_once, "departments")),
]


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.control], ids=lambda fault: fault.name)
def test_sound(world: World, fault: Fault) -> None:
    fault.check(world)


@pytest.mark.budget(10, "histories until one finds the fault")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_planted(world: World, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    fault.plant(world, monkeypatch)
    with pytest.raises(AssertionError):
        fault.check(world)


def test_a_flag_without_its_row_in_the_reviewed_file(world: World) -> None:
    """The engine itself refuses: no row of that table is written."""
    world.fill()
    definition = world.definition("tdx_departments")
    without = {flag: cost for flag, cost in definition.deductions.items() if flag != "bad_date"}
    redefine(world, "tdx_departments", deductions=without)
    with pytest.raises(DefinitionError, match="bad_date"):
        world.refresh("tdx_departments")
    assert world.rows("select 1 from silver.tdx_departments") == []
