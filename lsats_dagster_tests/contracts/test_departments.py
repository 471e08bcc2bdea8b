"""What silver.departments and the two tables it is made from must do (silver_consolidated_tables.md sections 2 and 21)."""

from typing import Any

import pytest

from lsats_dagster_tests.conftest import DEFINITIONS
from lsats_dagster_tests.contracts import departments_oracle, table_checks
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records import NOBODY
from lsats_dagster_tests.contracts.shapes import ABSENT, LONG

TDX, DETAIL, UMICH = "tdx/department", "tdx/department_detail", "umich_api/department"
CODE = "100041"


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world.reset()


def live(world: World, *changes: Change, details: bool = False) -> None:
    """Something happens, everything is read, every table is refreshed incrementally; the oracle agrees."""
    world.apply(*changes)
    # A detail is gone when two runs were told so.
    for name in (TDX, UMICH, *((DETAIL, DETAIL) if details else ())):
        world.read(name)
    world.refresh_all()
    departments_oracle.check(world)
    departments_oracle.check_circles(world)


def row(world: World, key: Any, table: str = "departments") -> Any:
    column = {"departments": "dept_id", "tdx_departments": "tdx_id", "umapi_departments": "dept_id"}[table]
    (found,) = world.rows(f"select * from silver.{table} where {column} = :key", key=key)
    return found


def account(number: int, **fields: Any) -> list[Change]:
    return [Change(TDX, str(number)), *(Change(TDX, str(number), name, value) for name, value in fields.items())]


def department(code: str, **fields: Any) -> list[Change]:
    return [Change(UMICH, code), *(Change(UMICH, code, name, value) for name, value in fields.items())]


def test_s1_a_change_of_one_source_keeps_the_other(world: World) -> None:
    live(world, *account(41), *department(CODE))
    before = row(world, CODE)
    live(world, Change(TDX, "41", "Name", "Renamed in TeamDynamix"), Change(TDX, "41", "Notes", "Moved"))
    after = row(world, CODE)
    assert after.description == "Moved"
    assert after.source_systems == before.source_systems == ["tdx", "umich_api"]
    kept = ("department_name", "college_name", "campus_name", "vp_area_name", "dept_group", "hierarchical_path")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    assert None not in [getattr(after, name) for name in kept]
    live(world, Change(UMICH, CODE, "DeptGroupDescription", "College of Others"))
    assert (row(world, CODE).tdx_id, row(world, CODE).description) == (41, "Moved")
    assert row(world, CODE).college_name == row(world, CODE).college_group == "College of Others"


def test_s2_two_accounts_with_one_code(world: World) -> None:
    live(world, *account(41), *account(43, Code=CODE, IsActive=False))
    found = row(world, CODE)
    assert (found.tdx_ids, found.tdx_id, found.is_active) == ([41, 43], 41, True)
    assert found.source_keys == {"silver.tdx_departments": ["41", "43"]}
    assert "several_tdx_accounts" in found.quality_flags
    assert {name for number in (41, 43) for name in row(world, number, "tdx_departments").quality_flags} & {
        "duplicate_dept_code"
    } == set(), "only active accounts are duplicates"


def test_the_active_account_is_preferred_and_then_the_lowest(world: World) -> None:
    live(world, *account(41, IsActive=False), *account(43, Code=CODE), *account(47, Code=CODE))
    assert (row(world, CODE).tdx_id, row(world, CODE).is_active) == (43, True)
    assert all("duplicate_dept_code" in row(world, key, "tdx_departments").quality_flags for key in (43, 47))
    live(world, Change(TDX, "43", None))
    assert (row(world, CODE).tdx_id, row(world, CODE).tdx_ids) == (47, [41, 47])
    assert "duplicate_dept_code" not in row(world, 47, "tdx_departments").quality_flags
    live(world, Change(TDX, "43"), Change(TDX, "47", "IsActive", False))
    assert row(world, CODE).tdx_id == 43


def test_an_account_moves_to_another_code(world: World) -> None:
    """The new department has it at once; the old one is no longer there, with the moment of bronze."""
    live(world, *account(41), *account(42))
    live(world, Change(TDX, "41", "Code", "100099"))
    assert row(world, "100099").tdx_id == 41
    left = row(world, CODE)
    moment = world.rows("select changed_at from bronze.tdx_departments where external_id = '41'")[0].changed_at
    assert (left.is_present, left.removed_at) == (False, moment)
    live(world, Change(TDX, "41", "Code", "100042"))
    assert row(world, "100042").tdx_ids == [41, 42]
    live(world, Change(TDX, "41", "Code", CODE))
    assert (row(world, CODE).is_present, row(world, CODE).removed_at, row(world, "100042").tdx_ids) == (
        True,
        None,
        [42],
    )


def test_an_account_without_code_makes_no_department(world: World) -> None:
    live(world, *account(41, Code=" "), *account(42, ParentID=41), *account(44, Code=ABSENT))
    assert world.rows("select dept_id from silver.departments order by 1") == [("100042",)]
    for number in (41, 44):
        found = row(world, number, "tdx_departments")
        assert found.dept_id is None
        assert "missing_dept_code" in found.quality_flags
    child = row(world, "100042")
    assert child.parent_dept_id is None
    assert "parent_without_code" in child.quality_flags


def test_what_the_newer_of_search_and_detail_lacks_is_as_the_older_says(world: World) -> None:
    live(world, *account(1, Fax=ABSENT), Change(DETAIL, "1", "Fax", "555-0199"), details=True)
    live(world, Change(TDX, "1", "Phone", "555-0111"), Change(TDX, "1", "City", None))
    location = row(world, 1, "tdx_departments").location_info
    assert (location["fax"], location["phone"], location.get("city")) == ("555-0199", "555-0111", None)
    live(world, Change(DETAIL, "1", "Fax", ABSENT), Change(DETAIL, "1", "Phone", "555-0122"), details=True)
    location = row(world, 1, "tdx_departments").location_info
    assert (location.get("fax"), location["phone"]) == (None, "555-0122")


def test_a_detail_that_is_gone_speaks_no_louder_than_before(world: World) -> None:
    """The newer payload counts, not the newer tombstone: a removed account keeps its last values."""
    live(world, *account(3), *account(1, Name="By search"), Change(DETAIL, "1", "Name", "By detail"), details=True)
    live(world, Change(TDX, "1", "Name", "By newer search"))
    live(world, *account(2, Name="By search"), Change(DETAIL, "2", "Name", "By newer detail"), details=True)
    live(world, Change(TDX, "1", "Name", "By newest search"))
    live(world, Change(TDX, "1", None), Change(TDX, "2", None))
    live(world, Change(DETAIL, "1", None), Change(DETAIL, "2", None), details=True)
    assert (
        world.rows("select 1 from enriched.tdx_department_details where is_present and external_id in ('1', '2')") == []
    )
    assert row(world, 1, "tdx_departments").department_name == "By newest search"
    assert row(world, 2, "tdx_departments").department_name == "By newer detail"


def test_a_code_that_no_index_takes_is_flagged(world: World) -> None:
    live(world, *account(41, Code=LONG), *account(42), *department(CODE, DeptGroup=LONG, DeptGroupCampusDescr=LONG))
    found = row(world, 41, "tdx_departments")
    assert (found.dept_id, "bad_code:dept_id" in found.quality_flags) == (None, True)
    assert (row(world, CODE).dept_group, row(world, CODE).campus_name) == (None, LONG)
    assert row(world, "100042").tdx_id == 42


def test_a_parent_that_is_not_there_is_flagged(world: World) -> None:
    """Also for accounts that no department shows."""
    live(world, *account(41, ParentID=0), *account(42, ParentID=41, Code=" "), *account(43, ParentID=999))
    flagged = "select tdx_id from silver.tdx_departments where 'unknown_parent' = any(quality_flags) order by 1"
    assert world.rows(flagged) == [(43,)]
    live(world, Change(TDX, "41", None), *account(999, ParentID=0))
    assert world.rows(flagged) == [(42,)]


def test_only_active_accounts_are_duplicates(world: World) -> None:
    live(world, *account(41), *account(43, Code=CODE, IsActive=None), *account(44, Code=CODE, IsActive=False))
    flagged = "select tdx_id from silver.tdx_departments where 'duplicate_dept_code' = any(quality_flags) order by 1"
    assert world.rows(flagged) == []
    live(world, Change(TDX, "43", "IsActive", ABSENT))
    assert world.rows(flagged) == [(41,), (43,)]


def test_an_account_is_active_unless_it_says_otherwise(world: World) -> None:
    live(world, *account(41, IsActive=ABSENT), *account(42, IsActive=None), *account(43, IsActive="perhaps"))
    silent, null, unreadable = (row(world, number, "tdx_departments") for number in (41, 42, 43))
    assert (silent.is_active, null.is_active, unreadable.is_active) == (True, None, None)
    assert ["missing_active_status" in found.quality_flags for found in (silent, null, unreadable)] == [
        False,
        True,
        True,
    ]


def test_children_follow_the_code_of_their_parent(world: World) -> None:
    live(world, *account(41, ParentID=0), *account(42, ParentID=41))
    assert row(world, "100042").parent_dept_id == CODE
    assert row(world, CODE).parent_dept_id is None
    assert "unknown_parent" not in row(world, CODE).quality_flags
    live(world, Change(TDX, "41", "Code", "100098"))
    assert row(world, "100042").parent_dept_id == "100098"
    live(world, Change(TDX, "41", "Code", "100042"))
    assert row(world, "100042").parent_dept_id is None
    live(world, Change(TDX, "41", None))
    assert "unknown_parent" in row(world, "100042").quality_flags


@pytest.mark.parametrize(("lost", "passed"), [(10, True), (11, False)])
def test_attributes_that_a_lost_right_empties_turn_a_check_red(world: World, lost: int, passed: bool) -> None:
    """silver_source_tables.md section 7, detail retained. Then the next run compares with what is there."""
    numbers = range(101, 141)
    accounts = [change for number in numbers for change in account(number)]
    live(world, *accounts, *(Change(DETAIL, str(number)) for number in numbers), details=True)
    world.apply(*(Change(DETAIL, str(number), "Attributes", []) for number in numbers[:lost]))
    world.read(DETAIL, "full")
    for full, expected in ((False, passed), (False, True), (True, True)):
        run = world.refresh("tdx_departments", full=full)
        (volume,) = (check for check in run.checks if check.name == "volume")
        assert volume.passed is expected
        assert volume.numbers["rows with attributes"] == len(numbers) - lost


def test_an_empty_name_falls_back(world: World) -> None:
    live(world, *account(41, Name="Known to TeamDynamix"), *department(CODE, DeptDescription=" "))
    found = row(world, CODE)
    assert (found.department_name, found.field_sources["department_name"]) == ("Known to TeamDynamix", "tdx")
    live(world, Change(UMICH, CODE, "DeptDescription", "Known to HR"))
    found = row(world, CODE)
    assert (found.department_name, found.field_sources["department_name"]) == ("Known to HR", "umich_api")
    assert "name_mismatch" in found.quality_flags


def test_hr_does_not_say_what_an_account_leaves_open(world: World) -> None:
    live(world, *department(CODE), *account(41, IsActive="perhaps"))
    found = row(world, CODE)
    assert (found.is_active, found.field_sources.get("is_active")) == (None, None)
    assert "missing_active_status" in found.quality_flags


def test_a_department_was_first_seen_when_its_first_source_showed_it(world: World) -> None:
    live(world, *department(CODE))
    before = row(world, CODE).first_seen_at
    live(world, *account(41), Change(UMICH, "100042"))
    live(world, Change(UMICH, CODE, None))
    assert (row(world, CODE).is_present, row(world, CODE).first_seen_at) == (True, before)


def test_an_account_that_comes_back_with_another_code_has_left_the_first(world: World) -> None:
    """The first code is not reached by it any more, so nothing there may come from it."""
    live(world, *account(41))
    live(world, *department(CODE))
    live(world, Change(TDX, "41", None), *account(42))
    live(world, Change(TDX, "41"), Change(TDX, "41", "Code", "100099"))
    table_checks.check_same_as_full(world, world.definition("departments"))


def test_readers_see_every_column(world: World) -> None:
    (definition,) = (d for d in DEFINITIONS if d.table == "departments")
    shown = {name for (name,) in world.rows(
        "select attname from pg_attribute where attrelid = 'silver.v_departments'::regclass and attnum > 0"
    )}  # fmt: skip
    assert {column.name for column in definition.business_columns} <= shown


def test_activity_without_an_account_is_presence_in_hr(world: World) -> None:
    live(world, *department(CODE), *department("100042"))
    assert (row(world, CODE).is_active, row(world, CODE).field_sources["is_active"]) == (True, "umich_api")
    assert float(row(world, CODE).data_quality_score) == 0.9
    live(world, *account(41, IsActive=False))
    assert (row(world, CODE).is_active, row(world, CODE).field_sources["is_active"]) == (False, "tdx")
    live(world, Change(UMICH, CODE, None), Change(TDX, "41", None))
    assert row(world, CODE).is_active is False


def test_s21_removed_from_one_source_and_then_from_both(world: World) -> None:
    """One refresh after the read that found it gone; a source that lost it speaks only when no other has it."""
    live(world, *account(41), *account(42), *department(CODE), *department("100042"))
    live(world, Change(UMICH, CODE, None))
    found = row(world, CODE)
    assert (found.is_present, found.source_systems, found.college_name) == (True, ["tdx"], None)
    live(world, Change(TDX, "41", None))
    found = row(world, CODE)
    assert (found.is_present, found.source_systems) == (False, ["tdx", "umich_api"])
    assert found.college_name == "College of Examples"
    assert world.rows("select 1 from silver.v_departments where dept_id = :code", code=CODE) == []
    live(world, Change(UMICH, CODE))
    assert (row(world, CODE).is_present, row(world, CODE).removed_at) == (True, None)


def test_detail_arrives_late_and_goes(world: World) -> None:
    live(world, *account(41))
    assert "not_enriched" in row(world, 41, "tdx_departments").quality_flags
    live(world, Change(DETAIL, "41", "Attributes", []), details=True)
    found = row(world, 41, "tdx_departments")
    assert (found.is_enriched, found.attributes) == (True, [])
    assert "not_enriched" not in found.quality_flags, "no attributes at all is no lack of detail"
    live(world, Change(DETAIL, "41", "Attributes", [{"ID": 1, "Value": "2", "Choices": [{"ID": 2}]}]),
         Change(TDX, "41", "ModifiedDate", "2026-01-01T00:00:00Z"), details=True)  # fmt: skip
    assert row(world, 41, "tdx_departments").attributes == [{"ID": 1, "Value": "2"}]
    live(world, Change(DETAIL, "41", None), Change(TDX, "41", "Notes", "Asks for the detail again"), details=True)
    found = row(world, 41, "tdx_departments")
    assert (found.is_enriched, found.attributes, found.is_present) == (False, [], True)


def test_a_removed_account_keeps_its_last_detail(world: World) -> None:
    live(world, *account(41), *account(42), Change(DETAIL, "41", "Attributes", [{"ID": 1, "Value": "2"}]), details=True)
    before = row(world, 41, "tdx_departments")
    live(world, Change(TDX, "41", None), Change(DETAIL, "41", None), details=True)
    found = row(world, 41, "tdx_departments")
    assert (found.is_present, found.is_enriched, found.attributes) == (False, True, [{"ID": 1, "Value": "2"}])
    assert (found.quality_flags, found.entity_hash) == (before.quality_flags, before.entity_hash)
    live(world, Change(TDX, "41"), Change(DETAIL, "41"), details=True)
    assert row(world, 41, "tdx_departments").is_present


def test_the_newer_of_list_and_detail_speaks(world: World) -> None:
    live(world, *account(41))
    live(world, Change(DETAIL, "41", "Name", "By the detail"), details=True)
    assert row(world, 41, "tdx_departments").department_name == "By the detail"
    live(world, Change(TDX, "41", "Name", "By the list"))
    assert row(world, 41, "tdx_departments").department_name == "By the list"


def test_codes_are_trimmed_and_keep_their_zeros(world: World) -> None:
    live(world, *account(41, Code=" 000041\t"), *department("000041"), *account(42, Code=100041), *department(CODE))
    assert row(world, "000041").tdx_ids == [41]
    assert row(world, CODE).tdx_ids == [42]


def test_hierarchical_path_skips_what_is_missing(world: World) -> None:
    live(world, *department(CODE, DeptGroupVPAreaDescr=" ", DeptDescription=" Example "))
    assert row(world, CODE).hierarchical_path == "Example Campus -> College of Examples -> Example"
    live(world, *(Change(UMICH, CODE, name, " ") for name in
                  ("DeptGroupCampusDescr", "DeptGroupDescription", "DeptDescription")))  # fmt: skip
    assert row(world, CODE).hierarchical_path is None
    flags = {"missing_dept_name", "missing_campus", "missing_college", "missing_vp_area", "no_tdx_data"}
    assert set(row(world, CODE).quality_flags) == flags
    assert float(row(world, CODE).data_quality_score) == 0.1


def test_sentinels_are_no_values_and_no_faults(world: World) -> None:
    live(world, *account(41, ManagerUID=NOBODY, ParentID=0, CreatedDate="0001-01-01T00:00:00", Fax=" "))
    found = row(world, 41, "tdx_departments")
    assert (found.manager_uid, found.parent_id, found.tdx_created_date) == (None, None, None)
    assert "fax" not in found.location_info
    assert found.quality_flags == ["not_enriched"]


def test_a_moved_volatile_field_writes_nothing(world: World) -> None:
    live(world, *account(41))
    before = row(world, 41, "tdx_departments")
    live(world, Change(TDX, "41", "ModifiedDate", "2027-01-01T00:00:00Z"))
    assert row(world, 41, "tdx_departments") == before
