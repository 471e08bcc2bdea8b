"""What silver.users must do with what sources say of one person (silver_consolidated_tables.md section 3)."""

import pytest

from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.people_aids import (
    AD_ACCOUNT,
    APPOINTMENT,
    AWARD,
    DEEP,
    PERSON,
    UNIT,
    USER,
    account,
    ad_account,
    appointment,
    department,
    gone,
    live,
    person,
    said,
    tdx_user,
    user,
)
from lsats_dagster_tests.contracts.records import uid
from lsats_dagster_tests.contracts.records_directories import LABS, guid
from lsats_dagster_tests.contracts.shapes import ABSENT


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world.reset()


def test_whose_appointment_ended_is_an_employee_only_where_teamdynamix_says_so(world: World) -> None:
    live(
        world, appointment(1), person(1, ou=["Alumni"]), appointment(2), tdx_user(2, IsEmployee=True, IsActive=False),
        appointment(3),
    )  # fmt: skip
    assert [user(world, f"person{n}").is_employee for n in (1, 2)] == [True, True]
    live(world, gone(APPOINTMENT, "00000001:0"), gone(APPOINTMENT, "00000002:0"))
    assert [user(world, f"person{n}").is_employee for n in (1, 2)] == [False, True]
    assert [user(world, f"person{n}").is_active for n in (1, 2)] == [False, False]
    assert (user(world, "person1").person_type, user(world, "person1").department_ids) == ("alumni", [])


def test_the_primary_appointment_gives_everything_of_the_job(world: World) -> None:
    """The lowest record number that is there, of the lowest employee ID."""
    live(
        world, department("100001"), department("100002"), appointment(9), tdx_user(9, ExternalID="00000009"),
        appointment(1, 0, DepartmentId="100001"),
        appointment(
            1, 2, DepartmentId="100002", UniversityJobTitle=None, DepartmentJobTitle="Second", Jobcode="222", FirstName="Other",
            SupervisorId="00000009", Work_Phone="555-0222", Work_City="Elsewhere",
        ),
        appointment(1, 10, DepartmentId=None),
    )  # fmt: skip
    live(world, gone(APPOINTMENT, "00000001:0"))
    found = user(world, "person1")
    assert (found.department_id, found.department_name, found.primary_job_code) == (
        "100002",
        "Example Department 2",
        "222",
    )
    assert (found.job_title, found.department_job_title, found.first_name) == ("Second", "Second", "Other")
    assert (found.work_phone, found.work_phone_extension, found.work_city) == ("555-0222", "12", "Elsewhere")
    assert (found.primary_supervisor_id, found.primary_supervisor_uniqname) == ("00000009", "person9")
    assert found.department_ids == [{"dept_id": "100002", "dept_name": "Example Department 1", "empl_rcd": 2}]
    assert [job["empl_rcd"] for job in found.job_codes] == [2, 10]
    assert found.supervisor_ids == [
        {"empl_id": "00000009", "empl_rcd": 2, "uniqname": "person9"},
        {"empl_id": "00000001", "empl_rcd": 10, "uniqname": "person1"},
    ]


def test_a_supervisor_who_gets_another_login_name_is_shown_by_it(world: World) -> None:
    live(world, appointment(1, SupervisorId="00000002"), appointment(2, UniqName=None, SupervisorId=None), tdx_user(2))
    assert user(world, "person1").primary_supervisor_uniqname == "person2"
    live(world, [Change(USER, uid(2), "AlternateID", "renamed")])
    assert user(world, "person1").primary_supervisor_uniqname == "renamed"
    live(world, [Change(USER, uid(2), "AlternateID", None)])
    assert user(world, "person1").primary_supervisor_uniqname is None
    assert "supervisor_without_uniqname" in user(world, "person1").quality_flags
    live(world, gone(APPOINTMENT, "00000002:0"))
    assert "unknown_supervisor" in user(world, "person1").quality_flags


def test_a_supervisor_who_comes_later_is_shown(world: World) -> None:
    live(world, appointment(1, SupervisorId="00000002"))
    assert "unknown_supervisor" in user(world, "person1").quality_flags
    live(world, appointment(2, SupervisorId=None))
    assert user(world, "person1").primary_supervisor_uniqname == "person2"


def test_an_address_comes_from_one_source_as_a_whole(world: World) -> None:
    nowhere = dict.fromkeys(("Work_Address1", "Work_Address2", "Work_State", "Work_Postal"), "")
    live(world, tdx_user(1), appointment(1, **nowhere, Work_City="Elsewhere"))
    found = user(world, "person1")
    assert (found.work_city, found.work_address_line1, found.work_postal_code) == ("Elsewhere", None, None)
    live(world, [Change(APPOINTMENT, "00000001:0", "Work_City", None)])
    found = user(world, "person1")
    assert (found.work_city, found.work_address_line1, found.work_postal_code) == (
        "Sampleton",
        "1 Example Street",
        "00000",
    )
    assert found.field_sources["work_city"] == "tdx"


def test_several_records_of_a_source_one_speaks(world: World) -> None:
    live(
        world, tdx_user(1, IsActive=False, WorkCity="One"), tdx_user(2, AlternateID="person1", UserName=None, WorkCity="Two"),
        tdx_user(3, AlternateID="person1", UserName=None, WorkCity="Three"),
        person(2, uid=["person1"]), person(1, loginShell="/bin/one"),
        ad_account(1, userAccountControl=514), ad_account(2, uid=["person1"], title="Second"),
    )  # fmt: skip
    found = user(world, "person1")
    assert (str(found.tdx_user_uid), found.ldap_uid_number, str(found.ad_object_guid)) == (uid(2), 1, guid(2))
    assert found.ad_account_disabled is False
    several = {"several_tdx_users", "several_mcommunity_entries", "several_ad_accounts"}
    assert several < set(found.quality_flags)
    live(world, gone(USER, uid(2)), gone(PERSON, "1"), gone(AD_ACCOUNT, guid(2)))
    found = user(world, "person1")
    assert (str(found.tdx_user_uid), found.ldap_uid_number, str(found.ad_object_guid)) == (uid(3), 2, guid(1))


def test_who_asks_for_privacy_anywhere_keeps_it(world: World) -> None:
    live(
        world, tdx_user(1, IsConfidential=True), person(1), tdx_user(2, IsConfidential="who knows"),
        ad_account(3, umichadHidePersonalInfo="yes"), tdx_user(3), tdx_user(4, IsConfidential=None), ad_account(4),
    )  # fmt: skip
    assert [user(world, f"person{n}").is_private for n in range(1, 5)] == [True, True, True, False]
    live(world, gone(USER, uid(1)), gone(AD_ACCOUNT, guid(3)))
    assert [user(world, f"person{n}").is_private for n in range(1, 5)] == [True, True, True, False]


def test_principal_investigators_by_award_and_by_unit(world: World) -> None:
    def award(number: int, role: str = "UM Principal Investigator") -> str:
        return f"AWD{number:06d}-person{number}-100001-{role}"

    def unit(number: int, depth: str = DEEP) -> list[Change]:
        return said(UNIT, guid(number), {"dn": f"OU=person,{depth}", "ou": [f"person{'abcdefgh'[number]}"]})

    live(
        world, *(tdx_user(n, AlternateID=f"person{n}", IsEmployee=False) for n in (1, 2)),
        *(tdx_user(n, AlternateID=f"person{'abcdefgh'[n]}", IsEmployee=n == 3) for n in (3, 4, 5)),
        said(AWARD, award(1), {}), said(AWARD, award(2, "UM Key Personnel"), {}), unit(3), unit(4),
        unit(5, f"OU=EHTS,OU=Current,{LABS}"),
    )  # fmt: skip
    rows = world.rows("select uniqname, is_pi, pi_source from silver.users order by 1")
    assert [tuple(row) for row in rows] == [
        ("person1", True, "award"), ("person2", False, None), ("persond", True, "ou"), ("persone", False, None),
        ("personf", False, None),
    ]  # fmt: skip
    assert user(world, "persone").source_keys["silver.ad_organizational_units"] == [guid(4)], "it kept out nobody else"
    live(world, [Change(USER, uid(4), "IsEmployee", True)], gone(AWARD, award(1)), said(AWARD, award(2), {}))
    assert [user(world, name).pi_source for name in ("person1", "person2", "persone")] == [None, "award", "ou"]


def test_accounts_of_services_and_tests_are_told_from_persons(world: World) -> None:
    live(
        world, ad_account(1, uid=ABSENT, sAMAccountName="svc-kiln", cn="svc-kiln", mail=None),
        ad_account(2, uid=["lsa-test1"]), ad_account(3), tdx_user(4, AlternateID="testa"), person(5, uid=["test"]),
    )  # fmt: skip
    rows = world.rows("select uniqname, account_type from silver.users order by 1")
    assert [tuple(row) for row in rows] == [
        ("lsa-test1", "test"), ("person3", "person"), ("svc-kiln", "service"), ("test", "person"), ("testa", "person"),
    ]  # fmt: skip
    assert "missing_email" not in user(world, "svc-kiln").quality_flags


def test_what_is_missing_costs_where_it_is_expected(world: World) -> None:
    nothing = {"DepartmentId": None, "UniversityJobTitle": None, "DepartmentJobTitle": None, "SupervisorId": None}
    live(
        world, appointment(1, **nothing), person(2, umichTitle=None), ad_account(2, userAccountControl=514, title=None)
    )
    assert user(world, "person1").quality_flags == [
        "missing_email", "missing_department", "missing_job_title", "no_tdx_record",
    ]  # fmt: skip
    assert float(user(world, "person1").data_quality_score) == 0.45
    assert user(world, "person2").quality_flags == [
        "missing_department", "missing_job_title", "not_umapi_employee", "no_tdx_record", "ad_disabled",
    ]  # fmt: skip
    live(world, said(AWARD, "AWD000001-person1-100001-UM Principal Investigator", {}))
    assert "missing_job_title" not in user(world, "person1").quality_flags


def test_sources_that_contradict_one_another_are_flagged(world: World) -> None:
    live(
        world, account(1), account(2), department("100001"), department("100002"),
        tdx_user(1, LastName="LAST1", DefaultAccountID=2), appointment(1),
        tdx_user(2, LastName="Stone", PrimaryEmail="pat@example.edu"), person(2, ou=[]),
    )  # fmt: skip
    assert user(world, "person1").quality_flags == ["department_mismatch"]
    assert user(world, "person2").quality_flags == ["name_mismatch", "email_mismatch"]
