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
from lsats_dagster.transforms import engine, steps
from lsats_dagster.transforms.definition import Definition, DefinitionError, Reach
from lsats_dagster_tests.contracts import inputs, interleavings, table_checks, test_departments
from lsats_dagster_tests.contracts.histories import Change, World

Check = Callable[[World], None]
Plant = Callable[[World, pytest.MonkeyPatch], None]


# More than any fault needs.
HISTORIES = 40
NOTHING = "select null::text where :since is null"


@pytest.fixture
def world(suite_world: World) -> Iterator[World]:
    inputs.pools(suite_world)
    definitions = suite_world.definitions
    yield suite_world.reset()
    suite_world.definitions = definitions


def redefine(world: World, table: str, **changes: Any) -> None:
    """Put a changed definition in place of the sound one; it passes for the one that is deployed."""
    sound = world.definition(table)
    changed = replace(sound, **changes)
    changed.__dict__["hash"] = sound.hash
    world.definitions = tuple(changed if definition is sound else definition for definition in world.definitions)


def with_reach(world: World, table: str, **reach: Reach) -> None:
    """Put other words about some inputs, named without their schema, in place of the sound ones."""
    sound = world.definition(table).reach
    redefine(world, table, reach={name: reach.get(name.partition(".")[2], sound[name]) for name in sound})


def without_classes(world: World, _patch: pytest.MonkeyPatch) -> None:
    """Who shared a value with a changed row, or shares it now, is not computed again."""
    redefine(world, "logins", classes=())


def one_class_only(world: World, _patch: pytest.MonkeyPatch) -> None:
    """The other class is looked at in rows that were not all computed."""
    redefine(world, "logins", classes=("alias",))


def without_contributors(_world: World, patch: pytest.MonkeyPatch) -> None:
    """The reach forgets which rows came from the changed row before: keys that it has left."""
    sound = engine.reach_query

    def reach_query(definition: Definition, name: str) -> str | None:
        reach = definition.reach[name]
        query = sound(replace(definition, kind="source"), name)
        return query if reach.gives or reach.joined or reach.query else NOTHING

    patch.setattr(engine, "reach_query", reach_query)


def without_losers(world: World, _patch: pytest.MonkeyPatch) -> None:
    """Only logins that were linked are contributors; two with one employee ID blocked each other, and left no trace."""
    sound = world.definition("workers").select
    linked = "'silver.logins', case when l.login_id is not null then array[l.login_id] end"
    changed = sound.replace("'silver.logins', p.login_keys", linked)
    assert changed != sound
    redefine(world, "workers", select=changed)


def without_joined(world: World, _patch: pytest.MonkeyPatch, *, table: str, name: str) -> None:
    """A row that another names by its key changes or arrives, and the other is not computed again."""
    gives = world.definition(table).reach[name].gives
    with_reach(world, table, **{name.partition(".")[2]: Reach(gives, query=NOTHING)})


def wrong_joined(world: World, _patch: pytest.MonkeyPatch) -> None:
    """Another column than the one that the SELECT joins by."""
    with_reach(world, "workers", logins=Reach(gives="empl_id", joined="worker_name = login_id"))


def order_of_writing(world: World, _patch: pytest.MonkeyPatch) -> None:
    """What was written last speaks, which no two hubs agree on: a refresh of each kind gives it, and a fresh hub does not."""
    sound = world.definition("teams").select
    changed = sound.replace(
        'partition by w.team order by w.empl_id collate "C"', "partition by w.team order by w.changed_seq desc"
    )
    assert changed != sound
    redefine(world, "teams", select=changed)


def step_ignores_identities(_world: World, patch: pytest.MonkeyPatch) -> None:
    """A step lets two that contradict each other meet."""
    sound = steps.linked_groups
    patch.setitem(engine.STEPS, "linked_groups", lambda nodes: sound((*node[:2], None, *node[3:]) for node in nodes))


def whole_table_as_keyed(world: World, _patch: pytest.MonkeyPatch) -> None:
    """A closure is computed for the groups whose own members changed, and not for those above them."""
    sound = world.definition("effective_members")
    keyed = (
        f"select * from ({sound.select}) s where cast(:keys as text[]) is null or group_id = any(cast(:keys as text[]))"
    )
    redefine(
        world, "effective_members", whole=False, scope="group_id", select=keyed,
        reach={"silver.memberships": Reach(gives="group_id")},
    )  # fmt: skip


def scope_is_not_the_key(world: World, _patch: pytest.MonkeyPatch) -> None:
    """The SELECT is asked for employees, and knows records by employee and number."""
    redefine(world, "jobs", scope="empl_id")


def watermark_after_reading(world: World, patch: pytest.MonkeyPatch) -> None:
    """The watermark is taken when the work is done, from a snapshot newer than that of the rows."""
    sound = engine.apply

    def apply(connection: Connection, definition: Definition, run: runs.Run, *, full: bool) -> engine.Scope:
        scope = sound(connection, definition, run, full=full)
        with world.admin.transaction() as now:
            found = engine.positions(now, definition)
            run.metadata["watermarks"] = {name: found[name] for name in definition.inputs}
        return scope

    patch.setattr(engine, "apply", apply)


def watermark_by_clock(world: World, patch: pytest.MonkeyPatch) -> None:
    """Changed means: later than the last refresh, by the clock (the rule of silver_source_tables.md 3.2, L-1)."""
    sound = engine.positions

    def positions(connection: Connection, definition: Definition) -> dict[str, int]:
        now = connection.exec_driver_sql("select extract(epoch from clock_timestamp()) * 1000000").scalar_one()
        return {
            **dict.fromkeys(definition.inputs, int(now)),
            definition.name: sound(connection, definition)[definition.name],
        }

    patch.setattr(engine, "positions", positions)
    for definition in world.definitions:
        clocks = {name: "updated_at" if name.startswith("silver.") else "changed_at" for name in definition.inputs}
        redefine(
            world,
            definition.table,
            reach={
                name: Reach(
                    query=f"select {reach.gives} from {name} where {clocks[name]} > to_timestamp(:since / 1000000.0)"
                )
                for name, reach in definition.reach.items()
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


def score_ignores_flags(_world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "score", lambda definition: "1.00")


def one_deduction_is_not_applied(world: World, _patch: pytest.MonkeyPatch) -> None:
    """One flag costs nothing in the engine, though the reviewed file says what it costs."""
    deductions = world.definition("departments").deductions
    assert deductions["no_umapi_data"][0] != "0.00"
    redefine(world, "departments", deductions={**deductions, "no_umapi_data": ("0.00", "")})


def no_lock(_world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(protocol, "take_lock", lambda connection, name, wait_seconds: None)


def histories_of(table: str) -> Check:
    """The ordinary histories of one table."""

    def live(world: World) -> None:
        for number in range(HISTORIES):
            table_checks.check_history(world, world.definition(table), number)

    return live


def on_rich_world(check: Callable[[World, Definition], None], table: str) -> Check:
    """A check of one table in a rich world."""

    def run(world: World) -> None:
        world.fill()
        check(world, world.definition(table))

    return run


def scores(world: World, definition: Definition) -> None:
    world.refresh_all()
    table_checks.check_scores(world, definition)


def against_a_fresh_hub(world: World) -> None:
    """Of two employees of one team the second changes, and a third leaves what it was in."""
    world.arrive()
    world.apply(Change("payroll/job", "e2:0", "Title", "Team 1"))
    world.apply(Change("directory/group", "g1", "Members", ["l1", "l2", "g2"]))
    for changes in (
        (),
        (Change("directory/login", "l2", "Name", "Renamed"), Change("directory/group", "g1", "Members", ["l1", "g2"])),
    ):
        world.apply(*changes)
        world.read_all()
        world.refresh_all()
    lost = world.rows("select 1 from silver.memberships where not is_present")
    assert len(lost) == 1, "nothing that a fresh hub has not"
    table_checks.check_same_as_fresh(world)


@dataclass(frozen=True)
class Fault:
    name: str
    plant: Plant
    check: Check
    # The suite itself is the control of what takes long.
    control: bool = True


def in_histories(name: str, plant: Plant, table: str) -> Fault:
    """A fault that the histories of a table find; test_tables_histories is their control."""
    return Fault(f"{table}: {name}", plant, histories_of(table), control=False)


FAULTS = [
    in_histories("without classes", without_classes, "logins"),
    in_histories("classes closed over one column", one_class_only, "logins"),
    *(
        in_histories("without contributors", without_contributors, table)
        for table in ("departments", "workers", "login_links", "teams")
    ),
    Fault(
        "departments: without contributors, scenario",
        without_contributors,
        test_departments.test_an_account_moves_to_another_code,
    ),
    in_histories("contributors without those that were blocked", without_losers, "workers"),
    *(
        in_histories(f"without joined, {name}", partial(without_joined, table=table, name=name), table)
        for table, name in (
            ("departments", "silver.tdx_departments"),
            ("workers", "silver.logins"),
            ("jobs", "bronze.logins"),
            ("memberships", "silver.logins"),
            ("memberships", "bronze.groups"),
            ("teams", "silver.login_links"),
        )
    ),
    in_histories("wrong joined", wrong_joined, "workers"),
    Fault("teams: the order of writing", order_of_writing, against_a_fresh_hub),
    in_histories("a step ignores identities", step_ignores_identities, "linked_logins"),
    in_histories("a whole table as a keyed one", whole_table_as_keyed, "effective_members"),
    in_histories("the scope is not the key", scope_is_not_the_key, "jobs"),
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
    in_histories("only changed rows of every input", only_changed_rows_of_every_input, "departments"),
    Fault(
        "only changed rows of every input, scenario S1",
        only_changed_rows_of_every_input,
        test_departments.test_s1_a_change_of_one_source_keeps_the_other,
    ),
    in_histories("inputs made anew are not seen", inputs_made_anew_unseen, "departments"),
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
