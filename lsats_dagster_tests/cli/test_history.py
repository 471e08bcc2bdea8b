"""`lsats history`: what changed when of one row."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from lsats_dagster.local_time import local
from lsats_dagster_tests.cli.aids import Lsats, assert_wrong_use, environment, in_process
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records import uid

HR, TDX, DETAIL, USER = "umich_api/department", "tdx/department", "tdx/department_detail", "tdx/user_detail"
CODE = "100001"


@pytest.fixture
def world(url: str) -> Iterator[World]:
    world = World(url)
    yield world
    world.dispose()


@pytest.fixture
def lsats(url: str, tmp_path: Path) -> Lsats:
    """The command on the whole hub, without a source."""
    return lambda *words: in_process(*words, folder=tmp_path, variables=environment(tmp_path, DATABASE_URL=url))


def happens(world: World, *changes: Change) -> None:
    """One after another, each seen by a read of its own."""
    for change in changes:
        world.apply(change)
        world.read(change.stream, "full" if change.stream in (DETAIL, USER) else "whole")
    world.refresh_all()


def told(done: CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stdout + done.stderr
    versions: list[dict[str, Any]] = json.loads(done.stdout)
    return versions


def test_every_version_behind_a_merged_row_the_newest_first(world: World, lsats: Lsats) -> None:
    happens(
        world, Change(HR, "100002"), Change(HR, CODE), Change(TDX, "1"), Change(HR, CODE, "DeptDescription", "Renamed"),
        Change(TDX, "1", "Phone", "555-0199"), Change(HR, CODE, None), Change(HR, CODE, "DeptGroup", "OTHER"),
        # Of another department, and of no meaning.
        Change(HR, "100002", "DeptGroup", "OTHER"), Change(TDX, "1", "ModifiedDate", "2026-02-02T02:02:02Z"),
    )  # fmt: skip
    versions = told(lsats("history", "department", CODE, "--json"))
    assert [(v["stream"], v["key"], v["change"], v["differences"]) for v in versions] == [
        ("bronze/umapi_departments", CODE, "returned", [
            {"field": "DeptGroup", "before": "EXAMPLE_COLLEGE", "after": "OTHER"}]),
        ("bronze/umapi_departments", CODE, "removed", []),
        ("bronze/tdx_departments", "1", "changed", [{"field": "Phone", "before": "555-0100", "after": "555-0199"}]),
        ("bronze/umapi_departments", CODE, "changed", [
            {"field": "DeptDescription", "before": "Example Department 1", "after": "Renamed"}]),
        ("bronze/tdx_departments", "1", "new", []),
        ("bronze/umapi_departments", CODE, "new", []),
    ]  # fmt: skip
    assert [v["seq"] for v in versions] == sorted((v["seq"] for v in versions), reverse=True)


def test_fields_that_move_without_meaning_are_no_differences(world: World, lsats: Lsats) -> None:
    """TeamDynamix dates every change; the date alone is no version, and beside another field nothing to tell."""
    happens(world, Change(TDX, "1"))
    world.apply(Change(TDX, "1", "ModifiedDate", "2026-02-02T02:02:02Z"))
    happens(world, Change(TDX, "1", "City", "Elsewhere"))
    newest, _ = told(lsats("history", "tdx_departments", "1", "--json"))
    assert [difference["field"] for difference in newest["differences"]] == ["City"]


def test_of_lists_what_came_and_went_and_of_objects_the_inner_field(world: World, lsats: Lsats) -> None:
    happens(world, Change("tdx/user", uid(1)), Change(USER, uid(1), "GroupIDs", [401, 402]))
    happens(world, Change(USER, uid(1), "GroupIDs", [402, 403]))
    newest = told(lsats("history", "tdx_users", uid(1), "--json"))[0]
    assert newest["differences"] == [{"field": "GroupIDs", "before": [401], "after": [403]}]
    happens(world, Change(USER, uid(1), "Permissions", {"read": True, "write": {"own": True}}))
    happens(world, Change(USER, uid(1), "Permissions", {"read": True, "write": {"own": False}}))
    newest = told(lsats("history", "tdx_users", uid(1), "--json"))[0]
    assert newest["differences"] == [{"field": "Permissions.write.own", "before": True, "after": False}]
    # Another order is none.
    happens(world, Change(USER, uid(1), "GroupIDs", [403, 402]), Change(USER, uid(1), "Title", "Other"))
    newest = told(lsats("history", "tdx_users", uid(1), "--json"))[0]
    assert [difference["field"] for difference in newest["differences"]] == ["Title"]


def test_people_read_lines_by_the_clock_of_the_university(world: World, lsats: Lsats) -> None:
    happens(world, Change(HR, CODE), *(Change(HR, CODE, "DeptDescription", f"Name {number}") for number in range(3)))
    done = lsats("history", "silver/departments", CODE, "--limit", "2")
    assert done.returncode == 0, done.stderr
    title, first, change, *rest = done.stdout.splitlines()
    assert title == f"📊 silver/departments {CODE}: 4 versions of what it is made from"
    (moment,) = world.rows("select max(ingested_at) as moment from bronze.raw_entities")
    assert first == f"{local(moment.moment)}  bronze/umapi_departments {CODE}: changed"
    assert change == "   DeptDescription: Name 1 -> Name 2"
    assert rest[-1] == "The newest 2 of 4: `--limit 4` shows all"
    whole = lsats("history", "silver/departments", CODE).stdout
    assert len(re.findall(r": (?:new|changed)$", whole, re.MULTILINE)) == 4
    assert "The newest" not in whole


def test_a_key_that_is_not_there_brings_near_ones(world: World, lsats: Lsats) -> None:
    happens(world, Change(HR, CODE))
    done = lsats("history", "department", CODE[:-1])
    assert (done.returncode, f"   {CODE}  Example Department 1" in done.stdout.splitlines()) == (1, True)
    assert_wrong_use(lsats("history", "building", CODE), "building", "departments")
