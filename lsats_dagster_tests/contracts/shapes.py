"""What records of each stream look like in the table suite, and which values may stand in their fields.

A new stream gets an entry in SHAPES; a test of the suite fails until it has one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NOBODY = "00000000-0000-0000-0000-000000000000"
NOT_SET = "0001-01-01T00:00:00Z"
# In place of a value: the record does not have the field at all.
ABSENT = object()

# Of signs that do not repeat, so that nothing makes it shorter: no index takes it.
LONG = "".join(chr(0x4E00 + i * 7919 % 20_000) for i in range(2_000))

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


@dataclass(frozen=True)
class Shape:
    """Records of one stream. `ordinary` makes a whole record of a key, every field filled.

    keys: the few entities of random histories. number: the key of the n-th of many. links: fields that join rows with
    others, and the colliding values that histories put there. others: further fields with telling values.
    """

    key_field: str
    keys: tuple[str, ...]
    number: Callable[[int], str]
    ordinary: Callable[[str], dict[str, Any]]
    links: Mapping[str, tuple[Any, ...]]
    others: Mapping[str, tuple[Any, ...]]

    @property
    def fields(self) -> list[str]:
        """The fields of an ordinary record without that of the key."""
        return [name for name in self.ordinary(self.keys[0]) if name != self.key_field]


def account(key: str) -> dict[str, Any]:
    number = int(key)
    return {
        "ID": number,
        "Name": f"Example Department {number}",
        "Code": f"{100_000 + number}",
        "IsActive": True,
        "Notes": f"Note {number}",
        "ParentID": 1 if number != 1 else 2,
        "ManagerUID": f"7c1e0a52-33b4-4d0f-9d0e-{number:012d}",
        "CreatedDate": "2019-03-04T15:20:00Z",
        "ModifiedDate": "2025-06-01T08:00:00.1234567Z",
        "Address1": "1 Example Street",
        "Address2": "Floor 2",
        "Address3": "Room 3",
        "Address4": "Box 4",
        "City": "Sampleton",
        "StateAbbr": "MI",
        "StateName": "Michigan",
        "PostalCode": "00000",
        "Country": "US",
        "Phone": "555-0100",
        "Fax": "555-0101",
        "Url": "https://department.example",
    }


def account_detail(key: str) -> dict[str, Any]:
    return account(key) | {"Attributes": [{"ID": 501, "Name": "Region", "Value": "2", "Choices": [{"ID": 2}]}]}


def department(key: str) -> dict[str, Any]:
    return {
        "DeptId": key,
        "DeptDescription": f"Example Department {int(key) - 100_000}",
        "DeptGroup": "EXAMPLE_COLLEGE",
        "DeptGroupDescription": "College of Examples",
        "DeptGroupCampus": "EX_CAMPUS",
        "DeptGroupCampusDescr": "Example Campus",
        "DeptGroupVPArea": "EX_VP_AREA",
        "DeptGroupVPAreaDescr": "Example Executive Area",
    }


def user(key: str) -> dict[str, Any]:
    number = int(key[-12:])
    return {
        "UID": key,
        "AlternateID": f"person{number}",
        "ExternalID": f"{number:08d}",
        "UserName": f"person{number}@example.edu",
        "FirstName": f"First{number}",
        "LastName": f"Last{number}",
        "FullName": f"First{number} Last{number}",
        "PrimaryEmail": f"person{number}@example.edu",
        "DefaultAccountID": number,
        "DefaultAccountName": f"Example Department {number}",
        "ReportsToUID": uid(1),
        "IsActive": True,
        "IsEmployee": True,
        "Title": "Example Keeper",
        "WorkPhone": "555-0100",
        "EndDate": NOT_SET,
    }


def user_detail(key: str) -> dict[str, Any]:
    return user(key) | {
        "Attributes": [],
        "Applications": [],
        "GroupIDs": [401, 402],
        "OrgApplications": [],
        "Permissions": [],
    }


def asset(key: str) -> dict[str, Any]:
    number = int(key)
    return {
        "ID": number,
        "Tag": f"EX-{number}",
        "Name": f"EX-PC-{number}",
        "SerialNumber": f"SERIAL{number}",
        "AppID": 48,
        "FormID": 2448,
        "FormName": "Computer Form",
        "StatusID": 38,
        "StatusName": "Active",
        "ConfigurationItemID": 1000 + number,
        "OwningCustomerID": uid(number),
        "OwningDepartmentID": number,
        "PurchaseCost": 1249.5,
        "AcquisitionDate": "2022-08-15T04:00:00Z",
        "ModifiedDate": "2025-06-01T08:00:00.1234567Z",
    }


def asset_detail(key: str) -> dict[str, Any]:
    cards = {"ID": 3380, "Name": "MAC Address(es)", "Value": f"02:00:00:00:00:{int(key):02x}", "Choices": []}
    return asset(key) | {"Attributes": [cards], "Attachments": []}


def appointment(key: str) -> dict[str, Any]:
    employee, _, number = key.partition(":")
    return {
        "EmplId": employee,
        "EmplRcd": int(number),
        "UniqName": f"PERSON{int(employee)}",
        "Name": f"Last{int(employee)},First{int(employee)}",
        "FirstName": f"First{int(employee)}",
        "LastName": f"Last{int(employee)}",
        "DepartmentId": "100001",
        "Dept_Description": "Example Department 1",
        "SupervisorId": "00000001",
        "Jobcode": "102945",
        "UniversityJobTitle": "EXAMPLE KEEPER",
        "Work_City": "Sampleton",
    }


def award_part(key: str) -> dict[str, Any]:
    award, uniqname, department, role = key.split("-", 3)
    number = int(award.removeprefix("AWD"))
    return {
        "Award Id": award,
        "Project/Grant": f"F{number:06d}",
        "Award Title": f"Examples of kind {number}",
        "Person Role": role,
        "Person Last Name": f"Last{number}",
        "Person First Name": f"First{number}",
        "Person Uniqname": uniqname,
        "Person Appt Department Id": department,
        "Person Appt Department": f"Example Department {int(department) - 100_000}",
        "Person Appt School/College": "College of Examples",
        "Award Admin Department": "Example Department 1",
        "Award Admin School/College": "College of Examples",
        "Award Project Start Date": "9/1/2023",
        "Award Project End Date": "8/31/2027",
        "Pre NCE Project End Date": "8/31/2026",
        "Award Direct Dollars": "$650,000",
        "Award Indirect Dollars": "$350,000",
        "Award Total Dollars": "$1,000,000",
        "Facilities & Admin Rate (%)": "56",
        "Direct Sponsor Name": "Example Science Foundation",
        "Direct Sponsor Award Reference Number (Current Budget Period)": f"EX-{number}",
        "Direct Sponsor Category": "Federal",
        "Direct Sponsor Subcategory": "Example Agency",
        "Prime Sponsor Name": "Example Prime Foundation",
        "Prime Sponsor Award Reference Number": f"EP-{number}",
        "Prime Sponsor Category": "Foundation",
        "Prime Sponsor Subcategory": "Example Trust",
        "Award Publish Date": "10/14/2023",
        "Award Class": "Grant",
    }


def part(number: int, role: str = "UM Principal Investigator") -> str:
    return f"AWD{number:06d}-person{number}-{100_000 + number}-{role}"


def machine(key: str) -> dict[str, Any]:
    number = int(key.replace(":", ""), 16) % 2**32
    return {
        "idnt": f"{4000 + number}",
        "agid": "12",
        "Name": f"EX-PC-{number}",
        "MAC": key.upper(),
        "CPU": "Example Core e7-12700",
        "Mhz": "2100",
        "#": "12",
        "Sockets": "1",
        "RAM": "16128",
        "Disk": "476.3",
        "OEM SN": f"SERIAL{number}",
        "OS Family": "Windows",
        "OS": "Windows 11",
        "OS vers": "10.0.22631",
        "OS SN": f"OS-{number}",
        "OS Install Date": "2024-03-11 09:12:00",
        "Client": "8.0.1.2",
        "Owner": "Example Department 1",
    }


def machine_usage(key: str) -> dict[str, Any]:
    number = int(key.replace(":", ""), 16) % 200 + 1
    return {
        "MAC": key.upper(),
        "Free": "211.7",
        "% Used": "55.6",
        "% Free": "44.4",
        "Last Addr": f"192.0.2.{number}",
        "Last User": f"EXAMPLE\\person{number}",
        "Login": "console",
        "Last Session": "2026-01-09 17:20:11",
        "Last Startup": "2026-01-09 08:00:00",
        "Base Audit": "2023-01-10 09:00:00",
        "Last Audit": "2026-01-09 16:20:11",
    }


def card(number: int) -> str:
    digits = f"02{number:010x}"
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


def uid(number: int) -> str:
    return f"7c1e0a52-33b4-4d0f-9d0e-{number:012d}"


def login(key: str) -> dict[str, Any]:
    return {"Key": key, "EmplId": f"e{key[1:]}", "Alias": f"alias{key[1:]}", "Name": f"Example Person {key[1:]}"}


def job(key: str) -> dict[str, Any]:
    number = int(key[1:].partition(":")[0])
    return {"Key": key, "Name": f"Person {number}, Example", "Title": f"Team {number}", "Approver": "l1"}


def group(key: str) -> dict[str, Any]:
    number = int(key[1:])
    return {"Key": key, "Title": f"Example Group {number}", "Members": [f"l{number}", f"g{number % 4 + 1}"]}


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
        "ID", tuple("123456"), str, account, ACCOUNT_LINKS, ACCOUNT_OTHERS
    ),
    "tdx/department_detail": Shape(
        "ID",
        tuple("123456"),
        str,
        account_detail,
        ACCOUNT_LINKS,
        ACCOUNT_OTHERS | {"Attributes": ([], None, "none", [{"ID": 502, "Name": "Unit", "Value": "x"}])},
    ),
    "umich_api/department": Shape(
        "DeptId",
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
        "UID", tuple(map(uid, range(1, 6))), uid, user,
        {"AlternateID": ("person1", " PERSON2 ", "person1@example.edu", "", None), "DefaultAccountID": (1, 2, 0, 99, "2")},
        {"FullName": ("Renamed", " ", None), "IsActive": (True, False, None)},
    ),
    "tdx/user_detail": Shape(
        "UID", tuple(map(uid, range(1, 6))), uid, user_detail,
        {"AlternateID": ("person1", " PERSON2 ", None), "DefaultAccountID": (1, 2, 0)},
        {"GroupIDs": ([], [403], None, "none"), "FullName": ("Renamed", " ")},
    ),
    "tdx/asset": Shape(
        "ID", tuple("12345"), str, asset,
        {"OwningCustomerID": (uid(1), NOBODY, None), "OwningDepartmentID": (1, 2, 0), "SerialNumber": ("SERIAL1", "None", "")},
        {"Name": ("EX-PC-1", "Renamed", " ", None), "StatusID": (38, 41)},
    ),
    "tdx/asset_detail": Shape(
        "ID", tuple("12345"), str, asset_detail,
        {"OwningCustomerID": (uid(1), NOBODY), "SerialNumber": ("SERIAL1", "")},
        {"Name": ("Renamed", None), "Attributes": ([], None, "none", [{"ID": 3513, "Name": "Purchase Shortcode", "Value": "1"}])},
    ),
    "umich_api/user": Shape(
        "EmplId",
        ("00000001:0", "00000001:1", "00000002:0", "00000003:0", "00000004:0"),
        lambda number: f"{number:08d}:0",
        appointment,
        {"UniqName": ("PERSON1", "person2 ", "", None), "SupervisorId": ("00000002", "", None)},
        {"DepartmentId": ("100001", "100002", None), "Name": ("Renamed", " ", None)},
    ),
    "lab_awards/lab_award": Shape(
        "Award Id",
        (part(1), part(1, "UM Key Personnel"), part(2), part(3, "UM Co-Investigator"), part(4)),
        part,
        award_part,
        {},
        {
            "Award Total Dollars": ("$2,958,610", "($1,234)", "", "much"),
            "Award Project End Date": ("8/31/2020", "2026-08-31", "", "soon"),
            "Facilities & Admin Rate (%)": ("56", "26.0%", ""),
            "Award Title": ("Renamed", " ", ""),
        },
    ),
    "key_client/computer": Shape(
        "MAC",
        tuple(map(card, range(1, 7))),
        card,
        machine,
        {"Name": ("EX-PC-1", "ex-pc-1 ", "EX-PC-2", ""), "OEM SN": ("SERIAL1", "serial1", "N/A", "", "5.0")},
        {"#": ("8.0", "x", ""), "OS Install Date": ("3/11/2024", "", "soon"), "Owner": ("Renamed", " ", "")},
    ),
    "key_client/computer_usage": Shape(
        "MAC",
        tuple(map(card, range(1, 7))),
        card,
        machine_usage,
        {"Last Session": ("2026-01-10 08:00:00", "1/9/2026", "", "8"), "Last Audit": ("2026-01-11 08:00:00", "")},
        {"Last Addr": ("192.0.2.1", "none", ""), "Free": ("12.0", "x", ""), "Last User": ("EXAMPLE\\Person2", "person1", "")},
    ),
    # The invented ones (forms).
    "directory/login": Shape(
        "Key",
        tuple(f"l{number}" for number in range(1, 7)),
        lambda number: f"l{number}",
        login,
        {"EmplId": ("e3", "e1", " e1", None, "e2"), "Alias": ("alias1", "alias2", "alias3", "alias2 ", None)},
        {"Name": ("Renamed", "Example Person 1", " ", None)},
    ),
    "payroll/job": Shape(
        "Key",
        ("e1:0", "e1:1", "e2:0", "e3:0", "e4:0", "e6:0"),
        lambda number: f"e{number}:0",
        job,
        {"Title": ("Team 1", "Team 2", "Team 3", " Team 1", None), "Approver": ("l2", "l1", "l6", "nobody")},
        {"Name": ("Renamed", "Person 1, Example", " ")},
    ),
    "directory/group": Shape(
        "Key",
        tuple(f"g{number}" for number in range(1, 6)),
        lambda number: f"g{number}",
        group,
        {"Members": (["l1", "l2", "g2"], ["g3", "l6", "l6 "], [], ["g1"], None, ["g5", "nobody"])},
        {"Title": ("Example Group 1", "Renamed", " ")},
    ),
}  # fmt: skip

# What moves a table that no text moves: (stream, entity, field, two values of it). From one to the other no row comes or goes.
MOVED_BY: Mapping[str, tuple[str, str, str, tuple[Any, Any]]] = {
    "login_links": ("directory/login", "l1", "EmplId", ("e3", "e4")),
    "linked_logins": ("directory/login", "l3", "Alias", ("alias1", "alias4")),
    "effective_members": ("directory/group", "g1", "Members", (["l1", "l2", "g2", "nobody"], ["l1", "l2", "g2"])),
}
