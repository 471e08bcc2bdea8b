"""The silver engine's own decisions: full or incremental, what it refuses, what its checks say, what it leaves behind."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.runs import Check, Run
from lsats_dagster.transforms import engine
from lsats_dagster.transforms.definition import Definition, Reach, parse
from lsats_dagster.transforms.engine import OutdatedTableError
from lsats_dagster.transforms.tables import deploy
from lsats_dagster_tests.conftest import new_database
from lsats_dagster_tests.contracts import table_checks
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.hubs import FEW_TABLES

TDX, UMICH = "tdx/department", "umich_api/department"
MANY = [str(code) for code in range(200_001, 200_001 + engine.FULL_FROM_KEYS + 1)]


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    definitions = shared_world.definitions
    yield shared_world.reset()
    shared_world.definitions = definitions


def put(world: World, stream: str, keys: list[str], **fields: Any) -> None:
    """Records of one list, with these fields, as its next read brings them."""
    world.apply(*(Change(stream, key) for key in keys))
    world.apply(*(Change(stream, key, name, value) for key in keys for name, value in fields.items()))
    world.read(stream)


def found(run: Run, name: str) -> Check:
    return next(check for check in run.checks if check.name == name)


def with_reach(world: World, table: str, query: str, gives: str | None = None) -> Definition:
    """The definition of a table, with a written reach query; it passes for the one that is deployed."""
    sound = world.definition(table)
    changed = replace(sound, reach=dict.fromkeys(sound.reach, Reach(gives, query=query)))
    changed.__dict__["hash"] = sound.hash
    world.definitions = tuple(changed if definition is sound else definition for definition in world.definitions)
    return changed


def test_full_from_the_limit_on(world: World) -> None:
    """Five in a hundred rows, but at least FULL_FROM_KEYS of them."""
    put(world, UMICH, MANY)
    world.refresh("umapi_departments")
    put(world, UMICH, MANY[1:], DeptDescription="Renamed")
    assert world.refresh("umapi_departments").mode == "incremental"
    put(world, UMICH, MANY, DeptDescription="Renamed again")
    assert world.refresh("umapi_departments").mode == "full"


@pytest.mark.parametrize(("changed", "mode"), [(2, "incremental"), (3, "full")])
def test_full_from_a_share_of_the_table_on(
    world: World, monkeypatch: pytest.MonkeyPatch, changed: int, mode: str
) -> None:
    monkeypatch.setattr(engine, "FULL_FROM_KEYS", 1)
    put(world, UMICH, MANY[:40])
    world.refresh("umapi_departments")
    put(world, UMICH, MANY[:changed], DeptDescription="Renamed")
    assert world.refresh("umapi_departments").mode == mode


def test_no_more_keys_are_fetched_than_the_decision_needs(world: World) -> None:
    put(world, UMICH, MANY[:2])
    world.refresh("umapi_departments")
    put(world, UMICH, MANY[:1], DeptDescription="Renamed")
    definition = with_reach(world, "umapi_departments", "select generate_series(1, 20000)::text where :since > 0")
    fetched: list[int] = []

    def note(_connection: Any, cursor: Any, *_: Any) -> None:
        fetched.append(cursor.rowcount)

    event.listen(world.database._engine, "after_cursor_execute", note)
    try:
        assert world.refresh(definition.table).mode == "full"
    finally:
        event.remove(world.database._engine, "after_cursor_execute", note)
    assert max(fetched) == engine.FULL_FROM_KEYS + 1


def test_keys_that_no_row_has_are_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong reach query loses updates in silence otherwise."""
    caplog.set_level(logging.WARNING, "lsats_dagster")
    put(world, UMICH, MANY[:2])
    assert world.refresh("umapi_departments").metadata["keys_without_rows"] == 0
    put(world, UMICH, MANY[:1], DeptDescription="Renamed")
    with_reach(world, "umapi_departments", "select 'everything' where :since > 0 union select 'nothing'")
    run = world.refresh("umapi_departments")
    assert run.metadata["keys_without_rows"] == 2
    assert "no row has one of the 2 reached keys" in caplog.text
    caplog.clear()
    world.definitions = FEW_TABLES
    put(world, UMICH, MANY[1:2], DeptDescription="Renamed")
    assert world.refresh("umapi_departments").metadata["keys_without_rows"] == 0
    assert caplog.text == ""


def test_keys_of_rows_that_are_gone_already_are_keys_of_rows(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """An account that has left its department stays one that shaped it, whatever becomes of the account."""
    caplog.set_level(logging.WARNING, "lsats_dagster")
    put(world, TDX, ["1"])
    world.refresh_all()
    put(world, TDX, ["1"], Code=None)
    assert world.refresh_all()["departments"].counts.removed == 1
    put(world, TDX, ["1"], Name="Renamed")
    run = world.refresh_all()["departments"]
    assert (run.mode, run.metadata["affected"], run.metadata["keys_without_rows"]) == ("incremental", 1, 0)
    assert caplog.text == ""


def test_a_written_reach_adds_to_the_others(world: World) -> None:
    put(world, UMICH, MANY[:3])
    world.refresh("umapi_departments")
    put(world, UMICH, MANY[:1], DeptDescription="Renamed")
    with_reach(world, "umapi_departments", f"select '{MANY[1]}' where :since > 0", gives="external_id")
    run = world.refresh("umapi_departments")
    assert (run.mode, run.metadata["affected"], run.counts.processed) == ("incremental", 2, 2)


def test_what_is_made_from_a_table_that_was_made_anew_is_filled_anew(world: World) -> None:
    """Rows that the new definition does not give left no trace, so that no reach could find what was made from them."""
    world.arrive()
    world.read_all()
    world.refresh_all()
    before = table_checks.all_rows(world, world.definition("departments"))
    world.redefine("umapi_departments")
    with pytest.raises(
        OutdatedTableError, match=r"silver/departments: silver/umapi_departments was emptied.*refresh it"
    ):
        world.refresh("departments")
    assert table_checks.all_rows(world, world.definition("departments")) == before
    world.refresh("umapi_departments")
    assert world.refresh("departments").mode == "full"
    table_checks.check_same_as_full(world, world.definition("departments"))
    assert world.refresh("departments").mode == "incremental"


CURATED = """/*
row = "One flag."
description = "What flags cost."
key = ["flag"]

[columns]
flag = ["text", "Flag"]
meaning = ["text", "Meaning"]

[inputs."curated.flag_deductions"]
*/
select
    f.flag, f.meaning, '{}'::jsonb as source_keys, array['curated'] as source_systems, array[]::text[] as quality_flags,
    now() as first_seen_at, true as is_present, null::timestamptz as removed_at
from curated.flag_deductions f
where f.table_name = 'departments' and (cast(:keys as text[]) is null or f.flag = any(cast(:keys as text[])))
"""


def test_a_change_of_a_curated_input_is_seen(server: EmbeddedPostgres, tmp_path: Path) -> None:
    """People's changes move no cursor of ours: the content is the cursor."""
    path = tmp_path / "sql" / "silver" / "helpers" / "flag_costs.sql"
    path.parent.mkdir(parents=True)
    path.write_text(CURATED.replace("now()", "timestamptz '2026-01-01 00:00Z'"))
    definition = parse(path, {})
    world = World(new_database(server), (definition,))
    with world.admin.transaction() as connection:
        connection.exec_driver_sql("set local role lsats_owner")
        deploy(connection, definition)
    assert world.refresh("flag_costs").counts.created
    assert world.refresh("flag_costs").counts.processed == 0
    world.administer("update curated.flag_deductions set meaning = 'Otherwise' where flag = 'no_tdx_data'")
    run = world.refresh("flag_costs")
    assert (run.mode, run.counts.updated) == ("full", 1)
    assert world.rows("select meaning from silver.flag_costs where flag = 'no_tdx_data'") == [("Otherwise",)]
    world.dispose()


@pytest.mark.parametrize(("dangling", "passed"), [(2, True), (3, False)])
def test_dangling_references_turn_the_integrity_check_red(world: World, dangling: int, passed: bool) -> None:
    """More than two in a hundred; a red check, not a warning."""
    keys = [str(number) for number in range(101, 201)]
    put(world, TDX, keys, ParentID=0)
    put(world, TDX, keys[:dangling], ParentID=999)
    check = found(world.refresh("tdx_departments"), "integrity")
    assert (check.passed, check.severe, check.numbers["dangling"]) == (passed, True, dangling)


@pytest.mark.parametrize(("nameless", "passed"), [(15, True), (16, False)])
def test_poor_quality_warns(world: World, nameless: int, passed: bool) -> None:
    """Without name, campus, college and area a row has 0.20: with 15 such rows of 40 the mean is 0.70."""
    put(world, UMICH, MANY[:40])
    bare = dict.fromkeys(
        ("DeptDescription", "DeptGroupCampusDescr", "DeptGroupDescription", "DeptGroupVPAreaDescr"), " "
    )
    put(world, UMICH, MANY[:nameless], **bare)
    run = world.refresh("umapi_departments")
    assert run.quality_mean == pytest.approx(1 - 0.8 * nameless / 40)
    check = found(run, "quality")
    assert (check.passed, check.severe) == (passed, False)


@pytest.mark.parametrize(("gone", "passed"), [(2, True), (3, False)])
def test_a_table_that_lost_a_tenth_warns(world: World, gone: int, passed: bool) -> None:
    put(world, UMICH, MANY[:20])
    world.refresh("umapi_departments")
    world.apply(*(Change(UMICH, key, None) for key in MANY[:gone]))
    world.read(UMICH)
    check = found(world.refresh("umapi_departments"), "volume")
    assert (check.passed, check.severe) == (passed, False)
    assert (check.numbers["rows"], check.numbers["rows_before"]) == (20 - gone, 20)


def test_a_table_that_was_just_filled_has_statistics(server: EmbeddedPostgres) -> None:
    """Postgres takes it for empty otherwise, and joins it row by row."""
    world = World(new_database(server))
    world.administer("alter table silver.umapi_departments set (autovacuum_enabled = off)")
    put(world, UMICH, MANY[:20])
    columns = "select attname from pg_stats where schemaname = 'silver' and tablename = 'umapi_departments'"
    assert world.rows(columns) == []
    world.refresh("umapi_departments")
    assert {name for (name,) in world.rows(columns)} == set(world.definition("umapi_departments").sought_by)
    world.dispose()
