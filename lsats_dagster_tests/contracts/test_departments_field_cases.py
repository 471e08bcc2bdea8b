"""What other tools got wrong with values like these: invisible signs, decimal points, spellings of one name, circles."""

from typing import Any

import pytest

from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.test_departments import CODE, DETAIL, TDX, account, department, live, row


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world.reset()


@pytest.mark.parametrize(
    "said", ["\u200b100041", "100041\u2003", "\ufeff100041\u3000", 100041.0, [100041.0], "\u0085100041\u202f"]
)
def test_a_code_between_invisible_signs_or_with_a_decimal_point_is_the_code(world: World, said: Any) -> None:
    live(world, *account(41, Code=said, Name="\ufeffDept"), *department(CODE))
    assert world.rows("select dept_id, tdx_ids from silver.departments") == [(CODE, [41])]
    assert row(world, 41, "tdx_departments").department_name == "Dept"


@pytest.mark.parametrize("said", ["\uff11\uff10\uff10\uff10\uff14\uff11", "1000\u200b41", "10004\u0661", "1000\x0141"])
def test_a_code_that_only_looks_like_one_is_flagged(world: World, said: str) -> None:
    """It makes no row beside the right one."""
    live(world, *account(41, Code=said), *department(CODE))
    assert world.rows("select dept_id, tdx_ids from silver.departments") == [(CODE, [])]
    assert {"bad_code:dept_id", "missing_dept_code"} <= set(row(world, 41, "tdx_departments").quality_flags)


def test_a_key_of_hr_that_only_looks_like_a_code_is_flagged(world: World) -> None:
    live(world, *department(CODE), *department("\uff11\uff10\uff10\uff10\uff14\uff11"))
    flagged = "select count(*) from silver.{} where 'bad_code:dept_id' = any(quality_flags)"
    for table in ("umapi_departments", "departments"):
        assert world.rows(flagged.format(table)) == [(1,)]


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("e\u0301cole", "\u00c9cole", False),
        ("Women&#39;s Studies", "Women's Studies", False),
        ("Women&#x27;s &amp; Gender", "women's & gender", False),
        ("&Eacute;cole&nbsp;", "e\u0301cole", False),
        ("Women&amp;#39;s", "Women's", True),
        ("Women&#39;s", "Womens", True),
        ("A &unknown; B", "A B", True),
    ],
)
def test_names_that_differ_in_form_only_are_equal(world: World, one: str, other: str, differ: bool) -> None:
    live(world, *account(41, Name=one, ParentID=0), *department(CODE, DeptDescription=other))
    found = row(world, CODE)
    assert ("name_mismatch" in found.quality_flags) is differ
    assert (found.department_name, found.data_quality_score) == (other, 1)


def circle(world: World) -> list[int]:
    """The accounts that are flagged to stand in a circle."""
    flagged = "select tdx_id from silver.tdx_departments where 'parent_circle' = any(quality_flags) order by 1"
    return [number for (number,) in world.rows(flagged)]


def test_accounts_whose_parents_form_a_circle_are_flagged(world: World) -> None:
    """Every member, also where another one was changed; not those below, nor a circle through an account that is gone."""
    live(world, *account(9, ParentID=10), *account(10, ParentID=9), *account(11, ParentID=9), *account(12, ParentID=11))
    assert circle(world) == [9, 10]
    live(world, Change(TDX, "10", "ParentID", 0))
    assert circle(world) == []
    live(world, Change(TDX, "10", "ParentID", 12))
    assert circle(world) == [9, 10, 11, 12]
    live(world, Change(TDX, "12", "ParentID", 12), *account(13, ParentID=12))
    assert circle(world) == [12], "its own parent"
    live(world, Change(TDX, "12", "ParentID", 11), Change(TDX, "11", None))
    assert circle(world) == []
    live(world, Change(TDX, "11"))
    assert circle(world) == [9, 10, 11, 12]
    assert {"parent_circle"} <= set(row(world, "100012").quality_flags)
    assert "parent_circle" not in row(world, "100013").quality_flags


def test_a_circle_that_only_the_detail_closes(world: World) -> None:
    live(world, *account(1, ParentID=2), *account(2, ParentID=3), *account(3, ParentID=0))
    assert circle(world) == []
    parents = (("1", 2), ("2", 3), ("3", 1))
    live(world, *(Change(DETAIL, key, "ParentID", parent) for key, parent in parents), details=True)
    assert circle(world) == [1, 2, 3]
    world.apply(Change(TDX, "3", "Notes", "Asks for the detail again"))
    live(world, Change(DETAIL, "3", "ParentID", 0), details=True)
    assert circle(world) == []


def test_an_account_of_a_circle_is_touched_for_another_reason(world: World) -> None:
    """It shares the code of one that changed: the rest of its circle is looked at with it."""
    live(world, *account(9, ParentID=10), *account(10, ParentID=9), *account(44, Code="100009", ParentID=0))
    live(world, Change(TDX, "44", "IsActive", False))
    assert circle(world) == [9, 10]
