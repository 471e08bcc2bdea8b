"""What records of each stream look like in the table suite, and which values may stand in their fields.

A new stream gets an entry in SHAPES; a test of the suite fails until it has one.
"""

from collections.abc import Mapping
from typing import Any

from lsats_dagster_tests.contracts.records import (
    NOBODY,
    NOT_SET,
    account,
    account_detail,
    appointment,
    asset,
    asset_detail,
    attribute,
    award,
    card,
    card_usage,
    department,
    group,
    job,
    login,
    mac,
    uid,
    user,
    user_detail,
)
from lsats_dagster_tests.contracts.shape import ABSENT as ABSENT
from lsats_dagster_tests.contracts.shape import LONG as LONG
from lsats_dagster_tests.contracts.shape import Shape
from lsats_dagster_tests.contracts.shapes_directories import DIRECTORIES_MOVED_BY, DIRECTORY_SHAPES

# Values that no field should hold, and that any field may hold: none of them may fail a refresh.
HOSTILE: tuple[Any, ...] = (
    ABSENT, None, "", " ", "\t\n", "\u00a0", "None", "null", "N/A", "x",
    "\u00fcn\u00ef\u00e7\u00f8d\u00e9 \U0001f642", "x" * 5_000, LONG,
    0, -1, 1, 8, 8.0, 8.5, "8", " 8 ", "8.0", "8.", "+8", "-8", "8e0", "0x10", "\u0668", 2**31 - 1, 2**31, 2**53 + 1,
    10**30, "99999999999", 1e300, float("nan"), float("inf"),
    True, False, "TRUE", "f", "Yes", "n", "maybe",
    1.0, 0.0, 100015.0, "\uff18", "\u200b8\u2003", "\ufefftrue\u3000", "\u0085", "e\u0301", "&#39; &amp; &", "8\u200b8",
    [], [""], ["a", None], [None, " ", " b ", "c"], [8.0], [True], [[1], {"b": None}],
    {}, {"a": {"b": []}}, "{}", "[]", "{a,b}", '{"a": 1}',
    "a\x00b", "\x00", "\ud800", "\\", "'; select 1; --", "%s %(keys)s :keys :since", "a -> b",
    NOT_SET, "0001-01-01T00:00:00", "0000-01-01T00:00:00Z", "0002-01-01T00:00:00+15:59", "2024-05-06T07:08:09",
    "2024-05-06T07:08:09Z", " 2024-05-06T07:08:09.1234567Z ", "2024-05-06T07:08:09-04:00", "2024-05-06t07:08z",
    "2024-05-06 07:08:09+0530", "2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z", "2024-05-06T25:00:00Z",
    "2024-05-06T07:08:09+99:99", "9998-12-31T23:59:59-12:00", "9999-12-31T23:59:59.9999999Z", "2024-05-06", "05/06/2024", "now",
    "infinity", "-infinity", "epoch", "294277-01-01T00:00:00Z", "2024-05-06T07:08:09." + "1" * 300,
    NOBODY, "{" + NOBODY + "}", "3F2B8A1C-0D4E-4F6A-8B7C-9D0E1F2A3B4C", "{3f2b8a1c-0d4e-4f6a-8b7c-9d0e1f2a3b4c}",
    "{3f2b8a1c-0d4e-4f6a-8b7c-9d0e1f2a3b4c", "3f2b8a1c0d4e4f6a8b7c9d0e1f2a3b4c", "3f2b8a1c-0d4e-4f6a-8b7c-9d0e1f2a3b4g",
)  # fmt: skip
# Those of them that no record may hold: it is quarantined.
UNSTORABLE = ("\ud800",)


CODES = (
    "100001", "100002", "100003", "100001 ", " 100002", 100003, 100003.0, "\u200b100001", "100002\u3000", "10000\uff11",
    "", "100009",
)  # fmt: skip
ACCOUNT_LINKS = {
    "Code": CODES,
    "ParentID": (1, 2, 3, "2", 0, 99, "bad"),
    "IsActive": (True, False, "false", None, ABSENT),
}
ACCOUNT_OTHERS = {
    "Name": ("Example Department 1", "EXAMPLE DEPARTMENT 2", "Renamed", "R&#101;named", "E\u0301cole", " ", None),
    "ManagerUID": (NOBODY, "7c1e0a52-33b4-4d0f-9d0e-5b1f6c2a9e10", "nobody", None),
    "CreatedDate": (NOT_SET, "2026-01-01T00:00:00Z", "yesterday"),
    "ModifiedDate": ("2025-06-02T08:00:00Z", "2025-06-03T08:00:00Z", "2018-01-01T00:00:00Z", "soon"),
    "City": ("Elsewhere", "", None),
}

SHAPES: Mapping[str, Shape] = {
    "tdx/department": Shape(
        ("ID",), tuple("123456"), str, account, ACCOUNT_LINKS, ACCOUNT_OTHERS
    ),
    "tdx/department_detail": Shape(
        ("ID",),
        tuple("123456"),
        str,
        account_detail,
        ACCOUNT_LINKS,
        ACCOUNT_OTHERS | {"Attributes": ([], None, "none", [{"ID": 502, "Name": "Unit", "Value": "x"}])},
    ),
    "umich_api/department": Shape(
        ("DeptId",),
        tuple(str(code) for code in range(100_001, 100_006)),
        lambda number: f"{100_000 + number}",
        department,
        {},
        {
            "DeptDescription": ("Example Department 1", "Renamed", "\u00c9cole", " ", None),
            "DeptGroup": ("OTHER_COLLEGE", " "),
            "DeptGroupDescription": ("College of Others", " ", None),
            "DeptGroupCampusDescr": (" ", "Other Campus"),
            "DeptGroupVPAreaDescr": ("", "Other Area"),
        },
    ),
    "tdx/user": Shape(
        ("UID",), tuple(map(uid, range(1, 6))), uid, user,
        {
            "AlternateID": ("person1", " PERSON2 ", "person1@example.edu", "", None),
            "DefaultAccountID": (1, 2, 0, 99, "2"),
        },
        {
            "FullName": ("Renamed", " ", None), "IsActive": (True, False, None, ABSENT),
            "UserName": ("person1", "PERSON2@example.edu"), "PrimaryEmail": ("PERSON1@example.edu", "", None),
            "ReportsToUID": (uid(2), NOBODY, "nobody"), "MiddleName": ("", "Other"), "LastName": ("Other", None),
            "EndDate": (NOT_SET, "soon"),
        },
    ),
    "tdx/user_detail": Shape(
        ("UID",), tuple(map(uid, range(1, 6))), uid, user_detail,
        {"AlternateID": ("person1", " PERSON2 ", None), "DefaultAccountID": (1, 2, 0)},
        {
            "FullName": ("Renamed", " "), "GroupIDs": ([], [403], None, "none"), "Attributes": ([], None, "none"),
            "LocationName": ("None", "Other Hall"), "Permissions": (None, {}),
        },
    ),
    "tdx/asset": Shape(
        ("ID",), tuple("12345"), str, asset,
        {"Tag": ("EX-1", " EX-2", "", None), "SerialNumber": ("SERIAL1", "serial 1", "None", "")},
        {
            "Name": ("EX-PC-1", "Renamed", " ", None), "StatusID": (38, 41, "x"), "OwningCustomerID": (uid(1), NOBODY, None),
            "OwningDepartmentID": (1, 2, 0), "PurchaseCost": (0, "12.345"), "FormName": ("Other Form", None),
        },
    ),
    "tdx/asset_detail": Shape(
        ("ID",), tuple("12345"), str, asset_detail,
        {"Tag": ("EX-1", "EX-2", None), "SerialNumber": ("SERIAL1", "")},
        {
            "Name": ("Renamed", None),
            "Attributes": (
                [], None, "none", [attribute(3513, "purchase shortcode ", " 1 ")],
                [attribute(3380, "MAC Address(es)", "none"), attribute(3392, "Support Group(s)", "1, x")],
            ),
            "Attachments": ([], None),
        },
    ),
    "umich_api/user": Shape(
        ("EmplId", "EmplRcd"),
        ("00000001:0", "00000001:1", "00000001:2", "00000002:0", "00000002:1", "00000003:0"),
        lambda number: f"{number:08d}:0",
        appointment,
        {"SupervisorId": ("00000002", "", None), "UniqName": ("PERSON3", "PERSON1", "person2 ", "", None)},
        {
            "Name": ("Renamed", " ", None), "DepartmentId": ("100001", 2, None), "FirstName": ("Other", " ", None),
            "Work_City": ("Elsewhere", "", None),
        },
    ),
    "lab_awards/lab_award": Shape(
        ("Award Id", "Person Uniqname", "Person Appt Department Id", "Person Role"),
        (
            "AWD000001-person1-100001-UM Principal Investigator", "AWD000001-person1-100001-UM Key Personnel",
            "AWD000001-person1-100002-UM Principal Investigator", "AWD000002-person2-100001-UM Key Personnel",
            "AWD000003-person3-100003-UM Principal Investigator",
        ),
        lambda number: f"AWD{number:06d}-person{number}-100001-UM Principal Investigator",
        award,
        {"Award Total Dollars": ("$60,000", "($1,234)", "free", "")},
        {
            "Award Title": ("Renamed", " "), "Award Project End Date": ("8/31/68", "2020-01-01", "", "soon"),
            "Award Project Start Date": ("9/22/2023 12:00:00 AM", "1/1/2040"),
            "Facilities & Admin Rate (%)": ("0.56", "56 %", "x"),
        },
    ),
    "key_client/computer": Shape(
        ("MAC",), tuple(map(mac, range(1, 7))), mac, card,
        {"Name": ("EX-PC-1", "ex-pc-2 ", "EX-PC-2", "", None), "OEM SN": ("SERIAL1", "serial2 ", "N/A", "", "12345.0")},
        {"Owner": ("Other", ""), "#": ("8.0", "many"), "OS Install Date": ("7/18/2024", "8")},
    ),
    "key_client/computer_usage": Shape(
        ("MAC",), tuple(map(mac, range(1, 7))), mac, card_usage,
        {"Last Session": ("2025-04-22 20:01:21", "2025-04-23 20:01:21", "2024-01-01 08:00:00", "", "8")},
        {
            "Last User": ("EXAMPLE\\Person1", "", "no name"), "Last Addr": ("192.0.2.1", "192.0.2.2/24, x", ""),
            "Last Audit": ("2025-04-23 21:00:00", ""), "Base Audit": ("2022-01-01 08:00:00", "soon"), "Free": ("8.0", "x"),
        },
    ),
    **DIRECTORY_SHAPES,
    # The invented ones (forms).
    "directory/login": Shape(
        ("Key",),
        tuple(f"l{number}" for number in range(1, 7)),
        lambda number: f"l{number}",
        login,
        {"EmplId": ("e3", "e1", " e1", None, "e2"), "Alias": ("alias1", "alias2", "alias3", "alias2 ", None)},
        {"Name": ("Renamed", "Example Person 1", " ", None)},
    ),
    "payroll/job": Shape(
        ("Key",),
        ("e1:0", "e1:1", "e2:0", "e3:0", "e4:0", "e6:0"),
        lambda number: f"e{number}:0",
        job,
        {"Title": ("Team 1", "Team 2", "Team 3", " Team 1", None), "Approver": ("l2", "l1", "l6", "nobody")},
        {"Name": ("Renamed", "Person 1, Example", " ")},
    ),
    "directory/group": Shape(
        ("Key",),
        tuple(f"g{number}" for number in range(1, 6)),
        lambda number: f"g{number}",
        group,
        {"Members": (["l1", "l2", "g2"], ["g3", "l6", "l6 "], [], ["g1"], None, ["g5", "nobody"])},
        {"Title": ("Example Group 1", "Renamed", " ")},
    ),
}  # fmt: skip

# What moves a table that no text moves: (stream, entity, field, two values of it). From one to the other no row comes or goes.
MOVED_BY: Mapping[str, tuple[str, str, str, tuple[Any, Any]]] = {
    **DIRECTORIES_MOVED_BY,
    **dict.fromkeys(
        ("employee_links", "person_records", "unlinked_records"),
        ("umich_api/user", "00000001:1", "UniqName", ("PERSON2", "PERSON3")),
    ),
    "login_links": ("directory/login", "l1", "EmplId", ("e3", "e4")),
    "linked_logins": ("directory/login", "l3", "Alias", ("alias1", "alias4")),
    "effective_members": ("directory/group", "g1", "Members", (["l1", "l2", "g2", "nobody"], ["l1", "l2", "g2"])),
}
