"""What people must do, by the names of the scenarios (silver_consolidated_tables.md 21, field cases), and whose a record is."""

from collections.abc import Iterator

import pytest

from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.people_aids import (
    APPOINTMENT,
    AWARD,
    DEEP,
    DEPARTMENT,
    PERSON,
    UNIT,
    USER,
    account,
    ad_account,
    appointment,
    decide,
    department,
    gone,
    live,
    person,
    record,
    refresh,
    said,
    tdx_user,
    unlinked,
    user,
)
from lsats_dagster_tests.contracts.records import uid
from lsats_dagster_tests.contracts.records_directories import guid


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    yield shared_world.reset()
    shared_world.empty("curated.person_links")


def test_s5_a_user_of_teamdynamix_without_names_has_those_of_active_directory(world: World) -> None:
    nameless = {"FirstName": None, "LastName": " ", "MiddleName": None, "FullName": "", "PrimaryEmail": ""}
    live(world, account(1), tdx_user(1, **nameless), ad_account(1, umichadOU=[]))
    found = user(world, "person1")
    assert (found.first_name, found.last_name, found.full_name) == ("First1", "Last1", "Last1, First1")
    assert (found.preferred_name, found.primary_email) == ("First1 Last1", "person1@example.edu")
    assert (found.field_sources["first_name"], found.field_sources["primary_email"]) == ("active_directory",) * 2
    assert (found.quality_flags, found.data_quality_score) == ([], 1)


def test_s6_a_student_of_teamdynamix_alone_has_the_department_of_the_account(world: World) -> None:
    live(
        world, account(41), [*department("100041")], tdx_user(1, DefaultAccountID=41, IsEmployee=False),
        tdx_user(2, DefaultAccountID=0, IsEmployee=False),
    )  # fmt: skip
    found = user(world, "person1")
    assert (found.department_id, found.department_name) == ("100041", "Example Department 41")
    assert found.field_sources["department_id"] == "tdx"
    assert (user(world, "person2").department_id, user(world, "person2").department_name) == (None, None)
    # The name is that of the department, whatever the account is called.
    live(world, [Change(DEPARTMENT, "100041", "DeptDescription", "Renamed in HR")])
    assert user(world, "person1").department_name == "Renamed in HR"


def everything() -> list[list[Change]]:
    """Somebody with several records in each source, and those who stand in relation to them."""
    return [
        account(1), account(2), department("100001"),
        tdx_user(1), tdx_user(2, AlternateID="person1"), tdx_user(5, AlternateID=""),
        tdx_user(3, IsActive=False, AlternateID=" PERSON1"),
        appointment(1, 0), appointment(1, 1, UniqName="", DepartmentId="100002"), appointment(2, UniqName="PERSON1"),
        appointment(4, UniqName=None), tdx_user(4),
        person(1), person(2, uid=["person1"]), ad_account(1), ad_account(2, uid=["person1"], userAccountControl=514),
        said(AWARD, "AWD000001-person1-100001-UM Principal Investigator", {}), said(UNIT, guid(1), {"dn": f"OU=person1,{DEEP}"}),
    ]  # fmt: skip


def test_s20_any_order_of_the_records_makes_the_same_rows(world: World) -> None:
    tables = ("employee_links", "person_records", "users", "unlinked_records")
    columns = "entity_hash, source_keys, quality_flags, data_quality_score, is_present"
    made = []
    for order in (1, -1):
        world.reset()
        world.apply(*(change for some in everything() for change in some))
        for stream in list(dict.fromkeys(change.stream for some in everything() for change in some))[::order]:
            world.read(stream, records=world.sources[stream].shown()[::order])
        refresh(world)
        made.append([world.rows(f"select {columns} from silver.{table} order by entity_hash") for table in tables])
    assert made[0] == made[1]
    assert all(made[0])
    assert len(user(world, "person1").supervisor_ids) == 3


def test_s21_a_record_that_its_source_removed_is_gone_with_the_next_refresh(world: World) -> None:
    # Others stay: nobody believes a source that shows nothing at all.
    live(
        world,
        account(1),
        *(made for number in (1, 2) for made in (tdx_user(number), person(number), appointment(number))),
    )
    live(world, gone(APPOINTMENT, "00000001:0"))
    found = user(world, "person1")
    assert (found.is_present, found.umich_empl_id, found.is_employee) == (True, None, True)
    assert found.source_systems == ["mcommunity_ldap", "tdx"]
    assert found.job_title == "Lab Manager", "an ended appointment gives no title"
    assert found.source_keys["silver.umapi_employees"] == ["00000001:0"]
    live(world, gone(USER, uid(1)), gone(PERSON, "1"))
    found = user(world, "person1")
    assert (found.is_present, found.is_active, found.is_employee) == (False, False, False)
    assert found.removed_at == max(
        row.removed_at for row in world.rows("select removed_at from silver.person_records where uniqname = 'person1'")
    )
    assert (found.last_name, found.umich_empl_id) == ("Last1", "00000001"), "it keeps its last values"
    live(world, person(1))
    found = user(world, "person1")
    assert (found.is_present, found.removed_at, found.source_systems) == (True, None, ["mcommunity_ldap"])


def test_n7_a_login_name_that_is_used_again_is_another_person(world: World) -> None:
    first = {
        "uid": ["jrivers"],
        "sAMAccountName": "jrivers",
        "cn": "jrivers",
        "sn": "Rivers",
        "umichadHidePersonalInfo": "TRUE",
    }
    live(world, ad_account(1, **first))
    live(world, ad_account(1, uid=["jstone"], sAMAccountName="jstone", cn="jstone"))
    assert user(world, "jrivers").is_present is False
    live(world, ad_account(2, uid=["jrivers"], sAMAccountName="jrivers", cn="jrivers", sn="Riverson"))
    old, new = user(world, "jstone"), user(world, "jrivers")
    assert (str(old.ad_object_guid), old.last_name, old.is_private) == (guid(1), "Rivers", True)
    assert (str(new.ad_object_guid), new.last_name, new.is_private) == (guid(2), "Riverson", False)
    assert new.source_keys["silver.ad_users"] == [guid(2)]
    seen = world.rows("select ad_user_guid, first_seen_at from silver.ad_users order by 1")
    assert (old.first_seen_at, new.first_seen_at) == tuple(row.first_seen_at for row in seen)


def test_an_appointment_without_login_name_has_that_of_another_or_of_the_one_user_with_this_employee_id(
    world: World,
) -> None:
    live(
        world, appointment(1, 0), appointment(1, 1, UniqName=None), appointment(2, UniqName=" "), tdx_user(2),
        appointment(3, UniqName="1x"),
    )  # fmt: skip
    assert record(world, "umapi_employees", "00000001:1")[3:5] == ("person1", "appointment")
    assert record(world, "umapi_employees", "00000002:0")[3:5] == ("person2", "tdx")
    assert user(world, "person2").umich_empl_id == "00000002"
    assert record(world, "umapi_employees", "00000003:0").unlinked_reason == "no_uniqname"
    assert unlinked(world) == [("umapi_employees", "00000003:0", "no_uniqname")]
    # It finds its person, and is lost again.
    live(world, tdx_user(3, ExternalID="00000003"))
    assert (user(world, "person3").umich_empl_id, unlinked(world)) == ("00000003", [])
    live(world, [Change(USER, uid(3), "ExternalID", "00000009")])
    assert user(world, "person3").umich_empl_id is None
    assert unlinked(world) == [("umapi_employees", "00000003:0", "no_uniqname")]


def test_two_users_with_one_employee_id_link_nobody_and_both_are_named(world: World) -> None:
    live(world, appointment(1, UniqName=None), tdx_user(1), tdx_user(2, ExternalID="00000001"))
    (link,) = world.rows("select * from silver.employee_links")
    assert (link.uniqname, link.method, link.candidates) == (None, None, ["person1", "person2"])
    assert link.source_keys["silver.tdx_users"] == [uid(1), uid(2)]
    found = record(world, "umapi_employees", "00000001:0")
    assert (found.unlinked_reason, found.candidates) == ("several_candidates", ["person1", "person2"])
    assert found.source_keys["silver.employee_links"] == ["00000001"]
    assert unlinked(world) == [("umapi_employees", "00000001:0", "several_candidates")]
    live(world, [Change(USER, uid(2), "ExternalID", "")])
    assert user(world, "person1").umich_empl_id == "00000001"


def test_where_appointments_have_a_login_name_no_user_is_asked(world: World) -> None:
    live(world, appointment(1), tdx_user(2, ExternalID="00000001"))
    (link,) = world.rows("select * from silver.employee_links")
    assert (link.uniqname, link.method, link.candidates) == ("person1", "appointment", ["person1"])


def test_a_user_without_login_name_is_known_by_the_employee_id_that_nobody_else_has(world: World) -> None:
    nameless = tdx_user(1, AlternateID="person1@example.edu")
    live(
        world,
        nameless,
        appointment(1),
        person(1),
        tdx_user(2, AlternateID="person3@example.edu", ExternalID="00000003"),
    )
    found = record(world, "tdx_users", uid(1))
    assert (found.uniqname, found.method, found.source_keys["silver.employee_links"]) == (
        "person1", "appointment", ["00000001"],
    )  # fmt: skip
    assert str(user(world, "person1").tdx_user_uid) == uid(1)
    assert unlinked(world) == [("tdx_users", uid(2), "no_uniqname")]
    live(world, [Change(USER, uid(2), "ExternalID", "00000001")])
    assert unlinked(world) == [("tdx_users", uid(1), "no_uniqname"), ("tdx_users", uid(2), "no_uniqname")]
    live(world, gone(USER, uid(2)))
    assert record(world, "tdx_users", uid(1)).uniqname == "person1"


def test_a_login_name_is_of_those_whose_own_login_does_not_say_otherwise(world: World) -> None:
    taken = tdx_user(1, AlternateID="PERSON2")
    live(world, taken, tdx_user(2), appointment(1), person(1), person(2))
    assert str(user(world, "person2").tdx_user_uid) == uid(2)
    assert record(world, "tdx_users", uid(1)).uniqname == "person1", "by the employee ID"
    live(world, gone(APPOINTMENT, "00000001:0"), [Change(USER, uid(1), "ExternalID", "")], appointment(3))
    assert unlinked(world) == [("tdx_users", uid(1), "name_conflict")]
    live(world, gone(USER, uid(2)), tdx_user(3))
    # Also of those who are gone.
    assert record(world, "tdx_users", uid(1)).uniqname is None
    live(world, [Change(USER, uid(1), "UserName", "person2@example.edu")])
    assert record(world, "tdx_users", uid(1)).uniqname == "person2"


def test_appointments_of_one_employee_under_two_login_names_decide_nothing(world: World) -> None:
    live(
        world,
        appointment(1, 0, UniqName="A"),
        appointment(1, 1, UniqName="B"),
        appointment(1, 2, UniqName=None),
        tdx_user(1),
    )
    assert (user(world, "a").umich_empl_ids, user(world, "b").umich_empl_ids) == (["00000001"],) * 2
    assert record(world, "umapi_employees", "00000001:2").candidates == ["a", "b"]
    # An ended one has no say while another is there.
    live(world, gone(APPOINTMENT, "00000001:1"))
    assert record(world, "umapi_employees", "00000001:2").uniqname == "a"


def test_a_conflict_of_active_directory_belongs_to_nobody(world: World) -> None:
    live(world, ad_account(1), ad_account(2, cn="person1\nCNF:3f1d9c2e", uid=["person1"]))
    assert user(world, "person1").source_keys["silver.ad_users"] == [guid(1)]
    assert unlinked(world) == [("ad_users", guid(2), "name_conflict")]


def test_what_people_decide_survives_a_full_rebuild_and_says_so(world: World) -> None:
    live(world, tdx_user(1), tdx_user(2), person(1), appointment(3, UniqName=None), appointment(3, 1, UniqName=None))
    decide(world, "tdx_users", uid(2), "person1")
    decide(world, "mcommunity_users", "1", None)
    decide(world, "umapi_employees", "00000003:0", "person3")
    for full in (False, True):
        refresh(world, full=full)
        linked = record(world, "tdx_users", uid(2))
        assert (linked.uniqname, linked.method, linked.decided_by) == ("person1", "manual", "keeper")
        assert linked.decision_reason == "Asked the person"
        assert user(world, "person1").source_keys["silver.tdx_users"] == [uid(1), uid(2)]
        assert "linked_by_hand" in user(world, "person1").quality_flags
        assert user(world, "person2").is_present is False
        assert user(world, "person1").ldap_uid_number is None
        assert unlinked(world) == [("mcommunity_users", "1", "manual")]
        # The other appointment of the employee follows.
        assert user(world, "person3").source_keys["silver.umapi_employees"] == ["00000003:0", "00000003:1"]
    assert len(world.rows("select 1 from curated.person_links")) == 3
    world.empty("curated.person_links")
    refresh(world)
    assert user(world, "person2").is_present
    assert unlinked(world) == [("umapi_employees", f"00000003:{number}", "no_uniqname") for number in (0, 1)]


def test_a_user_whom_people_took_away_stands_in_nobodys_way(world: World) -> None:
    live(world, appointment(1, UniqName=None), tdx_user(1), tdx_user(2, ExternalID="00000001"))
    decide(world, "tdx_users", uid(2), None)
    refresh(world)
    assert user(world, "person1").umich_empl_id == "00000001"


def test_an_alumnus_whom_only_mcommunity_has_is_not_active(world: World) -> None:
    live(
        world, person(1, ou=["Alumni"], umichTitle=None), person(2, ou=["Example Biology - Student"]), person(3, ou=[]),
        person(4, ou=["Alumni"]), ad_account(4), person(5), appointment(5),
    )  # fmt: skip
    rows = world.rows("select uniqname, person_type, is_active, quality_flags from silver.users order by 1")
    assert [tuple(row) for row in rows] == [
        ("person1", "alumni", False, []),
        ("person2", "student", True, ["mcom_only"]),
        ("person3", "other", False, ["mcom_only"]),
        ("person4", "alumni", True, []),
        ("person5", "employee", True, ["no_tdx_record", "unknown_department", "unknown_supervisor"]),
    ]
    # Nothing is missing where nothing is expected.
    assert user(world, "person1").data_quality_score == 1


def test_what_names_no_person_department_or_group_is_listed(world: World) -> None:
    live(world, account(1, Code=" "), tdx_user(1, AlternateID="person1@example.edu"), person(2))
    live(
        world, said("mcommunity_ldap/group", "1", {"cn": []}), said("active_directory/group", guid(1), {"cn": ""}),
    )  # fmt: skip
    assert unlinked(world) == [
        ("ad_groups", guid(1), "no_name"), ("mcommunity_groups", "1", "no_name"), ("tdx_departments", "1", "no_code"),
        ("tdx_users", uid(1), "no_uniqname"),
    ]  # fmt: skip
    live(world, account(1, Code="100001"), [Change(USER, uid(1), "AlternateID", "person1")])
    assert [row[0] for row in unlinked(world)] == ["ad_groups", "mcommunity_groups"]


@pytest.mark.parametrize(("table", "for_readers"), [("person_links", False), ("support_departments", True)])
def test_what_people_keep_is_written_by_no_refresh(world: World, table: str, for_readers: bool) -> None:
    rows = world.rows(
        "select has_table_privilege(role, :name, 'select') as reads, "
        "has_table_privilege(role, :name, 'insert, update, delete, truncate') as writes "
        "from unnest(array['lsats_writer', 'lsats_reader']) role",
        name=f"curated.{table}",
    )
    assert [tuple(row) for row in rows] == [(True, False), (for_readers, False)]


def test_the_support_departments_are_those_of_the_specification(world: World) -> None:
    codes = (
        "171210 171220 171230 171240 171245 211600 231640 309919 309921 309980 309981 309982 315834 380002 481207 481450 "
        "481477 676785"
    )
    rows = world.rows("select dept_id from curated.support_departments where reason = 'Support unit' order by 1")
    assert [row.dept_id for row in rows] == codes.split()
