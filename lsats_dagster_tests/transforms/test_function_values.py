"""What the cleaning functions make of every example value of silver_source_tables.md, section 2, and of rubbish."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import md5
from typing import Any

import pytest
from sqlalchemy import Connection, text

from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster_tests.conftest import new_database
from lsats_dagster_tests.contracts.shapes import ABSENT, HOSTILE
from lsats_dagster_tests.transforms.function_calls import CALLS_OF_DIRECTORIES, CALLS_OF_PEOPLE

RSN = (
    "CN=BIO-PC1,OU=Standard,OU=Biology,OU=RSN,OU=Workstations,OU=LSA,OU=Organizations,OU=UMICH,DC=ad,DC=example,DC=edu"
)
CURRENT = (
    "CN=PSY-PC1,OU=psyc-x,OU=Psychology,OU=EHTS,OU=Current,OU=Research and Instrumentation,OU=LSA,OU=Organizations,"
    "OU=UMICH,DC=ad"
)
RSN_PATH = ["Standard", "Biology", "RSN", "Workstations", "LSA", "Organizations", "UMICH"]


def moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


# function -> (arguments as Python has them, JSON for jsonb) -> what it gives
TEXT: dict[str, list[tuple[Any, Any]]] = {
    "rdns": [
        (None, []), ("", []), (" ", []), ("cn=x, ou=Lab,ou=UMICH", ["cn=x", "ou=Lab", "ou=UMICH"]),
        (" cn=x,ou=Lab ,ou=UMICH ", ["cn=x", "ou=Lab", "ou=UMICH"]), ("cn=x,,ou=a b", ["cn=x", "", "ou=a b"]),
        (r"CN=Doe\, Jane, OU=People,OU=UMICH", [r"CN=Doe\, Jane", "OU=People", "OU=UMICH"]),
        (r"CN=back\\,OU=slash", [r"CN=back\\", "OU=slash"]),
    ],
    "rdn_value": [
        ("CN=x", "x"), (r"CN=Doe\, Jane", "Doe, Jane"), (r"CN=a\0Ab", "a\nb"), (r"CN=Ren\C3\A9e", "Ren\u00e9e"),
        (r"CN=a\\b", r"a\b"), ("CN=a=b", "a=b"), ("CN=", None), (None, None), (r"CN=broken\C3", r"broken\C3"), ("CN=x\\", "x\\"),
    ],
    "ou_path": [
        (RSN, RSN_PATH), ("CN=Doe\\, Jane,OU=People,OU=UMICH", ["People", "UMICH"]), ("CN=Domain Admins,CN=Users,DC=x", []),
        ("cn=x,ou=Lab,ou=UMICH", ["Lab", "UMICH"]), ("CN=pc1,DC=adsroot,DC=edu", []), (None, []), ("", []),
        ("OU=Standard,OU=Biology,OU=UMICH", ["Standard", "Biology", "UMICH"]), (r"CN=x,OU=A\, B,OU=UMICH", ["A, B", "UMICH"]),
    ],
    "privacy": [
        ("TRUE", True), ("no", False), ("who knows", True), (" ", None), (None, None), ("\u200b", None), ("0", False),
    ],
    "parent_dn": [
        (RSN, RSN.partition(",")[2]), (r"CN=Doe\, Jane,OU=People,OU=UMICH", "OU=People,OU=UMICH"), ("DC=edu", None), (None, None),
    ],
    "dn_uniqname": [
        ("uid=JRivers,ou=People,dc=umich", "jrivers"), ("CN = ablee , OU=People,OU=UMICH", "ablee"),
        ("CN=x,OU=Old,OU=People,OU=UMICH", "x"), ("uid=no name,ou=People,dc=x", None), ("CN=Doe\\, Jane,OU=People", None),
        ("CN=zz,OU=NotPeople,DC=x", None), ("CN=zz,OU=x,DC=People", None), ("uid=jrivers", None), (None, None),
        ("uid=" + "x" * 50 + ",ou=People", "x" * 50), ("uid=" + "x" * 51 + ",ou=People", None), ("uid=1x,ou=People", None),
        *((f"{word}={name},{unit}=People,dc=x", name if name in ("a", "a.b-9", "x" * 50) else None)
          for word, unit in (("uid", "ou"), ("CN", "OU"))
          for name in ("a", "a.b-9", "x" * 50, "x" * 51, "", "1a", "-a", "a b", "a=b", "a\\", "a_b", "\u00e9")),
        ("CN=AbleE,OU=People,DC=x", "ablee"), (r"uid=a\,ou=People,dc=x", None), ("uid=a,ou=Peoples,dc=x", None),
    ],
    "listed_name": [
        ("CN=A,OU=b", "cn=a,ou=b"), ("", ""), (None, None), ("X" * 2000, "x" * 2000),
        ("X" * 2001, "x" * 100 + "~" + md5(b"x" * 2001).hexdigest()),
        ("\u00c9" * 1001, "\u00e9" * 100 + "~" + md5("\u00e9".encode() * 1001).hexdigest()),
    ],
    "group_name": [
        ("IChem-Lab", "ichem-lab"), ("Women&#39;s", "women's"), ("E\u0301cole", "\u00e9cole"), ("&nbsp;", None), (None, None),
    ],
    "directory_time": [
        ("2024-07-18T14:14:17+00:00", moment(2024, 7, 18, 14, 14, 17)), ("20240718141417.0Z", moment(2024, 7, 18, 14, 14, 17)),
        ("20240718141417Z", moment(2024, 7, 18, 14, 14, 17)), ("133657892570000000", moment(2024, 7, 18, 15, 14, 17)),
        ("0", None), ("9223372036854775807", None), ("1601-01-01T00:00:00+00:00", None), ("16010101000000.0Z", None),
        ("9999-12-31T23:59:59.999999+00:00", None), ("99991231235959Z", None), ("20241318141417Z", None), ("soon", None),
        ("", None), (None, None), ("99999999999999999999", None),
        ("134126793300000000", moment(2026, 1, 12, 8, 15, 30)), ("2650466880000000000", None), ("2650467743990000000", None),
        ("2650467924000000010", None), ("2650152384000000000", None),
        ("2650152383990000000", moment(9998, 12, 31, 23, 59, 59)),
        ("-1", None), ("2026011208Z", moment(2026, 1, 12, 8)), ("202601120815Z", moment(2026, 1, 12, 8, 15)),
        ("20260112081530Z", moment(2026, 1, 12, 8, 15, 30)), ("20260112081530,5Z", moment(2026, 1, 12, 8, 15, 30, 500_000)),
        ("20260112081530-0500", moment(2026, 1, 12, 13, 15, 30)), ("20260112081530+05", moment(2026, 1, 12, 3, 15, 30)),
        ("20260112-0500", None), ("20260230000000Z", None), ("20260112081530", None),
        ("2026-01-12T08:15:30Z", moment(2026, 1, 12, 8, 15, 30)),
        ("2026-02-30T08:15:30Z", None), ("20xx-01-12T08:15:30Z", None),
        ("2026-01-12T08:15:30.25+01:00", moment(2026, 1, 12, 7, 15, 30, 250_000)),
    ],
    "generalized_time": [
        ("2026011208Z", "2026-01-12T08:00:00Z"), ("202601120815-0500", "2026-01-12T08:15:00-0500"),
        ("20260112081530,25Z", "2026-01-12T08:15:30.25Z"), ("2026-01-12T08:15:30Z", None), ("202601120815.5Z", None),
        ("", None), (None, None),
    ],
    "bigint": [
        ("8", 8), (" 8.0 ", 8), ("-8", -8), ("9223372036854775807", 2**63 - 1), ("9223372036854775808", None),
        ("-9223372036854775808", -(2**63)), ("133900000000000000", 133900000000000000), ("8.5", None), ("x", None), ("", None),
        (None, None),
    ],
    "ticks": [
        ("2026-01-12T08:15:30Z", 134126793300000000), ("134126793300000000", 134126793300000000),
        ("20260112081530Z", 134126793300000000),
        ("0", 0), ("9223372036854775807", 2**63 - 1), ("soon", None), ("", None), (None, None),
    ],
    "is_conflict": [
        ("jrivers\nCNF:3f1d9c2e-7a10-4a5c-8f37-0c2b9f6e1a55", True), ("CN=jrivers\\0ACNF:3f1d9c2e,OU=People", True),
        ("jrivers", False), ("CNF:x", False), ("", False), (None, False),
    ],
    "uniqname_candidate": [
        ("Rivers-Lab", "rivers"), ("psyc-jrivers", "jrivers"), ("jrivers", "jrivers"), ("Example Core Facility", None),
        ("ab-lab", None), ("PSYC-JRivers", "jrivers"), ("riversriv-lab", None), ("chemistr-jrivers", None), ("abcdefghi", None),
        ("ab", None), ("jrivers2", None), ("lab", "lab"), ("", None), (None, None),
    ],
    "is_structural_name": [("Standard", True), ("current", True), ("jrivers", False), ("psyc-current", False), (None, None)],
    "iso_time": [("1601-01-01T00:00:00Z", None), ("1602-01-01T00:00:00Z", moment(1602, 1, 1)), ("9999-01-01T00:00:00Z", None)],
    "is_no_directory_time": [
        ("2650466880000000000", True), ("2650467924000000010", True), ("2650152384000000000", False), ("-1", False),
        ("0.0", True), ("0", True), ("000000000000000000", True), ("9223372036854775807", True),
        ("1601-01-01T00:00:00+00:00", True),
        ("16010101000000.0Z", True), ("9999-12-31T23:59:59.999999+00:00", True), (None, True), (" ", True),
        ("soon", False), ("133657892570000000", False),
    ],
    "matching_email": [
        ("Jrivers@example.edu", "jrivers@example.edu"), ("a@b@c", None), ("a", None), ("a b@c", None), ("", None), (None, None),
    ],
    "mac": [
        ("00:1a:2B:3c:4D:5e", "001A2B3C4D5E"), ("001A.2B3C.4D5E", "001A2B3C4D5E"), ("00-1A-2B-3C-4D-5E", "001A2B3C4D5E"),
        ("00_1A_2B_3C_4D_5E", "001A2B3C4D5E"), ("00:1A:2B:3C:4D", None), ("00:00:00:00:00:00", None), ("ff:ff:ff:ff:ff:ff", None),
        ("", None), (None, None), ("none", None), ("0g:1A:2B:3C:4D:5E", None), ("0::1A:2B:3C:4D:5E", None),
        (" 00:1A:2B:3C:4D:5E ", "001A2B3C4D5E"),
    ],
    "serial": [
        (" abc1234 ", "ABC1234"), ("abc", None), ("0000", None), ("00000000", None), ("none", None), ("N/A", None),
        ("Unknown", None), ("To be filled by O.E.M.", None), ("Default string", None), ("System Serial Number", None), ("", None),
        (None, None), ("1234", "1234"), ("5cg 0000 xyz", "5CG0000XYZ"), ("a b", None),
    ],
    "decimal": [
        ("60000", Decimal(60000)), (" 12.50 ", Decimal("12.50")), ("-1", Decimal(-1)), (".5", Decimal("0.5")),
        ("1e3", Decimal(1000)), ("1,000", None), ("NaN", None), ("", None), (None, None), ("1e999", None),
        ("5.", Decimal(5)), (".", None), ("1.2.3", None), ("\u0668", None), ("9" * 15, Decimal("9" * 15)), ("9" * 16, None),
    ],
    "money": [
        ("$60,000.00", Decimal("60000.00")), ("60000", Decimal("60000.00")), ("(1,234.5)", Decimal("-1234.50")),
        ("-5", Decimal("-5.00")), (" $ 1 000 ", Decimal("1000.00")), ("(5", None), ("5)", None), ("free", None), ("", None),
        (None, None), ("$0.005", Decimal("0.01")),
    ],
    "day": [
        ("9/22/2023", date(2023, 9, 22)), ("08/31/2026", date(2026, 8, 31)), ("9/22/68", date(2068, 9, 22)),
        ("9/22/69", date(1969, 9, 22)), ("9/22/00", date(2000, 9, 22)), ("2023-09-22", date(2023, 9, 22)),
        ("9/22/2023 12:00:00 AM", date(2023, 9, 22)), ("2023-09-22T00:00:00", date(2023, 9, 22)), ("2/30/2023", None),
        ("13/1/2023", None), ("9/22/0000", None), ("9/22/9999", None), ("22.9.2023", None), ("", None), (None, None),
    ],
    "local_time": [
        ("2025-04-22 20:01:21", moment(2025, 4, 23, 0, 1, 21)), ("1/20/2025", moment(2025, 1, 20, 5)),
        ("4/22/2025 8:00 AM", moment(2025, 4, 22, 12)), ("2024-07-18T14:14:17Z", moment(2024, 7, 18, 14, 14, 17)),
        ("8", None), ("soon", None), ("", None), (None, None),
    ],
    "day_and_time": [("9/22/2023 2:14 PM", "2023-9-22 2:14 PM"), ("2023-09-22", "2023-09-22"), ("x", None), (None, None)],
    "day_text": [("9/22/2023", "2023-9-22"), ("2/30/23", "2023-2-30"), ("x", None), (None, None)],
}  # fmt: skip
JSON: dict[str, list[tuple[Any, Any]]] = {
    "texts": [
        (None, []), ("", []), (" ", []), (" a ", ["a"]), (8.0, ["8"]), (True, ["true"]), ([], []), (["a", "b"], ["a", "b"]),
        ([" a", None, "", "b "], ["a", "b"]), (["b", "a", "b"], ["b", "a", "b"]), (["a\u00a0"], ["a"]),
        ([8, "x"], ["8", "x"]),
        (["a, b", "c"], ["a, b", "c"]), (['say "a"', "b\\c"], ['say "a"', "b\\c"]), (["a", ""], ["a"]),
        (["\u00e9", " "], ["\u00e9"]),
        (["cn=x,ou=y", "cn=z,ou=y"], ["cn=x,ou=y", "cn=z,ou=y"]), (["a\n"], ["a"]), ({"a": 1}, ['{"a": 1}']),
        (["a", " b"], ["a", "b"]),
        (["a", "b\t", "c"], ["a", "b", "c"]), (['", "'], ['", "']), (["a]"], ["a]"]),
    ],
    "lines": [(["a ", "", "b"], "a\nb"), ("a ", "a"), ([], None), (None, None), ({"a": 1}, None), (8.0, "8")],
    "joined_texts": [(["a", " b"], "a\nb"), ([None], None)],
    "distinct_texts": [(["b", "a ", "b", ""], ["b", "a"]), ([], [])],
    "dn": [
        (" CN=x,OU=y ", "CN=x,OU=y"), ("x", None), ("", None), (None, None), (["CN=x"], "CN=x"),
        ("CN=" + "x" * 1997, "CN=" + "x" * 1997),
        ("CN=" + "x" * 1998, None), ("CN=" + "\u00e9" * 999, None),
    ],
    "says_no_time": [
        (None, True), ("", False), (" ", False), (0, True), ("0", True), (9223372036854775807, True),
        ("1601-01-01T00:00:00+00:00", True), ("2026-01-12T08:15:30Z", False), ("soon", False), ([], False),
    ],
    "people_among": [
        (
            ["uid=JRivers,ou=People,dc=umich", "CN=ablee, OU=People,OU=UMICH", "uid=jrivers,ou=People,dc=x",
             "cn=Sub,ou=User Groups,dc=x", "CN=PC1,OU=Workstations,OU=LSA", "CN=x,OU=Old,OU=People,OU=UMICH",
             "CN=Doe\\, Jane,OU=People", "uid=no name,ou=People,dc=x", "CN=zz,OU=NotPeople,DC=x", "", None],
            ["ablee", "jrivers", "x"],
        ),
        ("uid=jrivers,ou=People", []), (None, []), ([], []),
    ],
    "groups_among": [
        (
            ["CN=G1,OU=Users and Groups,OU=LSA", "cn=sub,ou=User Groups,ou=Groups,dc=x", "CN=g1,OU=users and groups,OU=LSA",
             "CN=jrivers,OU=People,OU=UMICH", "CN=PC1,OU=Workstations,OU=LSA", "CN=G2,OU=Groups", "CN=Groups,OU=x"],
            ["cn=g1,ou=users and groups,ou=lsa", "cn=g2,ou=groups", "cn=sub,ou=user groups,ou=groups,dc=x"],
        ),
        (None, []), ([], []),
    ],
    "thumbprints": [
        ("AAEC", ["ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc"]),
        (["", "no base64", "AAE", "AAEC"], ["ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc"]), (None, []),
        ([], []),
    ],
    "cleaned_texts": [([" a", None, [], {"b": 1}], ["a", "[]", '{"b": 1}']), ([], [])],
    "split_texts": [
        ("a, b;c\nd", ["a", "b", "c", "d"]), (["a;b", " c "], ["a", "b", "c"]), ("00 1A 2B", ["00 1A 2B"]),
        (None, []), (",;", []), ("a b\nc", ["a b", "c"]), ("a b", ["a b"]), (" ", []), (7.0, ["7"]),
    ],
    "choices": [
        ("41, 42", [41, 42]), (["None", "0", "x", 7.0], [None, 7]), ("None", []), (8, [8]), (None, []), (["42", "41"], [42, 41]),
    ],
    "macs": [
        ("00:1a:2b:3c:4d:5e, 00-1A-2B-3C-4D-5E; 00 1A 2B 3C 4D 5F", ["001A2B3C4D5E", "001A2B3C4D5F"]), ("none", []), (None, []),
        (["00:1A:2B:3C:4D:5F\n00:1A:2B:3C:4D:5E"], ["001A2B3C4D5E", "001A2B3C4D5F"]),
    ],
    "ips": [
        ("10.0.0.1, 10.0.0.1/24;2001:db8::1", ["10.0.0.1", "2001:db8::1"]), ("10.0.0.999", []), (None, []),
        (["x", "10.0.0.2"], ["10.0.0.2"]),
    ],
    "uniqname": [
        ("JRivers", "jrivers"), (" a.b-c1 ", "a.b-c1"), ("1abc", None), ("a" * 50, "a" * 50), ("a" * 51, None), ("a_b", None),
        ("", None), (None, None), (["jrivers", "x"], "jrivers"), (8, None),
    ],
    "email": [(" JRivers@Example.edu ", "jrivers@example.edu"), ("", None), (["A@b"], "a@b"), (None, None)],
    "department_code": [("168170", "168170"), (8170, "008170"), ("8170 ", "008170"), ("AB12", "AB12"), ("", None), (None, None),
                        ("4100.0", "004100"), ("175000.00", "175000"), ("0", "000000")],
    "cell_code": [("12345.0", "12345"), (12345.0, "12345"), ("007", "007"), ("1.5", "1.5"), ("A.0", "A.0"), (" x ", "x"),
                  ("", None), (None, None)],
    "tdx_text": [("None", None), (" None ", None), ("none", "none"), ("x", "x"), (None, None)],
}  # fmt: skip
ATTRIBUTES = json.dumps([
    {"ID": 5}, {"ID": 6, "Name": " Function ", "Value": "1"}, {"ID": 7, "Name": "FUNCTION", "Value": "2"},
    {"ID": 10896, "Name": "Whoever pays", "Value": "3"}, "rubbish", {"Name": None},
])  # fmt: skip
# Whole calls: of two arguments, or of other types.
CALLS: list[tuple[str, Any]] = [
    ("clean.has_bit(514, 2)", True), ("clean.has_bit(512, 2)", False), ("clean.has_bit(null, 2)", None),
    ("clean.has_bit(66048, 65536)", True), ("clean.has_bit(262656, 262144)", True), ("clean.has_bit(8389120, 8388608)", True),
    ("clean.account_kind(512)", "user"), ("clean.account_kind(4096)", "workstation"),
    ("clean.account_kind(532480)", "domain_controller"), ("clean.account_kind(2)", None), ("clean.account_kind(null)", None),
    (f"clean.from_root(clean.ou_path('{RSN}'), 1)", "UMICH"), (f"clean.from_root(clean.ou_path('{RSN}'), 5)", "RSN"),
    (f"clean.from_root(clean.ou_path('{RSN}'), 8)", None), ("clean.from_root('{}', 1)", None),
    (f"clean.status_levels(clean.ou_path('{RSN}'))", 0), (f"clean.status_levels(clean.ou_path('{CURRENT}'))", 1),
    ("clean.status_levels('{}')", 0), (f"clean.from_root(clean.ou_path('{CURRENT}'), 5)", "Current"),
    (f"clean.from_root(clean.ou_path('{CURRENT}'), 5 + 1)", "EHTS"),
    ("clean.zoned_time('2024-07-18T14:14:17Z', 'America/Detroit')", moment(2024, 7, 18, 14, 14, 17)),
    ("clean.zoned_time('2024-07-18 14:14:17', 'America/Detroit')", moment(2024, 7, 18, 18, 14, 17)),
    ("clean.zoned_time('7/18/2024 2:14:17 PM', 'America/Detroit')", moment(2024, 7, 18, 18, 14, 17)),
    ("clean.zoned_time('7/18/2024', 'America/Detroit')", moment(2024, 7, 18, 4)),
    ("clean.zoned_time('2024-07-18', 'UTC')", moment(2024, 7, 18)),
    ("clean.zoned_time('7/18/2024 25:00', 'UTC')", None), ("clean.zoned_time('', 'UTC')", None),
    ("clean.bad_integer('n', '8.0')", None), ("clean.bad_integer('n', ' ')", None), ("clean.bad_integer('n', null)", None),
    ("clean.bad_integer('n', 'x')", "bad_integer:n"), ("clean.bad_bigint('n', 'x')", "bad_integer:n"),
    ("clean.bad_bigint('n', '99999999999')", None), ("clean.bad_bigint('n', ' ')", None),
    ("clean.bad_decimal('n', 'x')", "bad_decimal:n"),
    ("clean.bad_decimal('n', '1.5')", None), ("clean.unparsed_amount('n', 'free')", "unparsed_amount:n"),
    ("clean.unparsed_amount('n', '$1')", None), ("clean.unparsed_amount('n', '')", None),
    ("clean.bad_uuid('n', 'x')", "bad_uuid:n"),
    ("clean.bad_uuid('n', '00000000-0000-0000-0000-000000000000')", None), ("clean.bad_uuid('n', null)", None),
    ("clean.bad_code('n', to_jsonb(repeat('x', 201)))", "bad_code:n"), ("clean.bad_code('n', '\"x\"')", None),
    ("clean.bad_code('n', '\" \"')", None), ("clean.invalid_uniqname('n', '\"1a\"')", "invalid_uniqname:n"),
    ("clean.invalid_uniqname('n', '\"ab\"')", None), ("clean.invalid_uniqname('n', 'null')", None),
    ("clean.bad_tdx_time('n', 'soon')", "bad_date:n"), ("clean.bad_tdx_time('n', '0001-01-01T00:00:00Z')", None),
    ("clean.bad_tdx_time('n', '2024-07-18T14:14:17Z')", None), ("clean.bad_directory_time('n', 'soon')", "bad_date:n"),
    ("clean.bad_directory_time('n', '-1')", "bad_date:n"), ("clean.bad_directory_time('n', '20260230000000Z')", "bad_date:n"),
    ("clean.bad_directory_time('n', '')", None), ("clean.bad_directory_time('n', '2650467743990000000')", None),
    ("clean.bad_directory_time('n', '0')", None), ("clean.bad_directory_time('n', '20240718141417.0Z')", None),
    ("clean.bad_zoned_time('n', 'soon')", "bad_date:n"), ("clean.bad_zoned_time('n', '7/18/2024')", None),
    ("clean.bad_day('n', '2/30/2023')", "bad_date:n"), ("clean.bad_day('n', '2023-09-22')", None),
    ("clean.bad_day('n', ' ')", None),
    ("clean.with_detail('{\"a\": 1, \"b\": 1}', 7, '{\"a\": 2, \"c\": 2}', 8)", {"a": 2, "b": 1, "c": 2}),
    ("clean.with_detail('{\"a\": 1, \"b\": 1}', 8, '{\"a\": 2, \"c\": 2}', 7)", {"a": 1, "b": 1, "c": 2}),
    ("clean.with_detail('{\"a\": 1}', 8, null, null)", {"a": 1}),
    ("clean.with_detail('{\"a\": [1]}', 7, '{\"a\": [1, 2], \"c\": 2}', 8)", {"a": [1, 2], "c": 2}),
    ("clean.with_detail('{\"a\": [1]}', 8, '{\"a\": [1, 2], \"c\": 2}', 7)", {"a": [1], "c": 2}),
    ("clean.with_detail('{\"a\": 1}', 7, '{\"a\": null}', 8)", {"a": None}),
    ("clean.with_detail('{\"a\": 1}', 7, '{}', 8)", {"a": 1}),
    ("clean.field_with_detail('1', 7, '2', 8)", 2), ("clean.field_with_detail('1', 8, '2', 7)", 1),
    ("clean.field_with_detail('1', 7, 'null', 8) = 'null'", True), ("clean.field_with_detail(null, 8, '2', 7)", 2),
    ("clean.field_with_detail('1', 7, null, 8)", 1), ("clean.field_with_detail('1', 8, null, null)", 1),
    ("clean.field_with_detail(null, 8, null, 7)", None),
    (f"(clean.attributes('{ATTRIBUTES}')).names", ["financial owner/responsible", None, "function", "function", None, None]),
    (f"(select clean.named(a.names, a.members, 'function') -> 'Value' from clean.attributes('{ATTRIBUTES}') a)", "1"),
    (f"(select a.members[1] -> 'Value' from clean.attributes('{ATTRIBUTES}') a)", "3"),
    ("(clean.attributes('{}')).names", None), ("(clean.attributes('[]')).members", None),
    ("(clean.attributes(null)).names", None),
    ("clean.named('{a,b,a}', array['1', '2', '3']::jsonb[], 'a')", 1), ("clean.named('{a}', array['1']::jsonb[], 'b')", None),
    ("clean.named(null, null, 'a')", None),
]  # fmt: skip
CALLS += [*CALLS_OF_DIRECTORIES, *CALLS_OF_PEOPLE]
FLAGGERS_OF_TEXT = (
    "bad_bigint", "bad_integer", "bad_decimal", "unparsed_amount", "bad_uuid", "bad_tdx_time", "bad_directory_time",
    "bad_zoned_time", "bad_day",
)  # fmt: skip
FLAGGERS_OF_JSON = ("bad_code", "invalid_uniqname")
# Functions of neither one text nor one JSON value.
OTHERS = (
    "zoned_time", "with_detail", "field_with_detail", "attributes", "named", "group_scope", "account_uniqname", "both_texts",
    "ranged", "person_type", "account_type", "differ", "sorted",
    "has_bit", "account_kind", "from_root", "status_levels", "rdns_with_escapes", "unescaped_name",
)  # fmt: skip


@pytest.fixture(scope="module")
def connection(server: EmbeddedPostgres) -> Iterator[Connection]:
    database = Database(new_database(server))
    with database.connect() as open_connection:
        yield open_connection
    database.dispose()


@pytest.mark.parametrize("function", TEXT)
def test_values_of_text(connection: Connection, function: str) -> None:
    cases = TEXT[function]
    found = connection.execute(
        text(f"select clean.{function}(v) from unnest(cast(:values as text[])) with ordinality u (v, n) order by n"),
        {"values": [value for value, _ in cases]},
    ).scalars()
    assert [(case, value) for (case, _), value in zip(cases, found, strict=True)] == cases


@pytest.mark.parametrize("function", JSON)
def test_values_of_json(connection: Connection, function: str) -> None:
    cases = JSON[function]
    found = connection.execute(
        text(
            f"select clean.{function}(v::jsonb) from unnest(cast(:values as text[])) with ordinality u (v, n) order by n"
        ),
        {"values": [json.dumps(value) for value, _ in cases]},
    ).scalars()
    assert [(case, value) for (case, _), value in zip(cases, found, strict=True)] == cases


def test_whole_calls(connection: Connection) -> None:
    found = connection.exec_driver_sql("select " + ", ".join(call for call, _ in CALLS)).one()
    assert [(call, value) for (call, _), value in zip(CALLS, found, strict=True)] == CALLS


RUBBISH = [value for value in HOSTILE if value is not ABSENT and value != "\ud800" and "\x00" not in str(value)]


@pytest.mark.parametrize("function", [*TEXT, "rdns_with_escapes", "unescaped_name", *FLAGGERS_OF_TEXT])
def test_no_text_is_an_error(connection: Connection, function: str) -> None:
    texts = [value if isinstance(value, str) else json.dumps(value) for value in RUBBISH]
    more = [part for case in TEXT.values() for part, _ in case if part] + [
        r"\C3\28",
        "CN=\\",
        ",,",
        "=",
        r"\\\,",
        "1" * 400,
    ]
    arguments = "'name', v" if function in FLAGGERS_OF_TEXT else "v"
    rows = connection.execute(
        text(f"select clean.{function}({arguments}) from unnest(cast(:values as text[])) v"), {"values": texts + more}
    ).all()
    assert len(rows) == len(texts) + len(more)


@pytest.mark.parametrize("function", [*JSON, *FLAGGERS_OF_JSON])
def test_no_json_is_an_error(connection: Connection, function: str) -> None:
    values = [json.dumps(value) for value in RUBBISH if not isinstance(value, float) or abs(value) < float("inf")]
    arguments = "'name', v::jsonb" if function in FLAGGERS_OF_JSON else "v::jsonb"
    lists = [value for value in values if value.startswith("[")] if function == "cleaned_texts" else values
    rows = connection.execute(
        text(f"select clean.{function}({arguments}) from unnest(cast(:values as text[])) v"), {"values": lists}
    ).all()
    assert len(rows) == len(lists)


def test_a_list_is_cleaned_alike_by_either_way(connection: Connection) -> None:
    """The quick look never takes a list for clean that is not."""
    signs = ["a", " ", '"', "\\", ",", ", ", "]", "[", "\u00a0", "\u00e9", "", "\t", '", "', "x y"]
    lists = [[one, other] for one in signs for other in signs] + [[one + other] for one in signs for other in signs]
    rows = connection.execute(
        text(
            "select v from unnest(cast(:values as text[])) v where clean.texts(v::jsonb) <> clean.cleaned_texts(v::jsonb)"
        ),
        {"values": [json.dumps(value) for value in lists]},
    ).all()
    assert rows == []
