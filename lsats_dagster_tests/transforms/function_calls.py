"""Whole calls of cleaning functions of directories and of people, each with what it gives."""

from typing import Any

CALLS_OF_DIRECTORIES: list[tuple[str, Any]] = [
    ("clean.says_no_time(null)", False),
    ("clean.group_scope(-2147483646)", "global"), ("clean.group_scope(-2147483644)", "domain_local"),
    ("clean.group_scope(8)", "universal"),
    ("clean.group_scope(1)", None), ("clean.group_scope(null)", None),
    ("clean.account_uniqname('\"JRivers \"', '\"x\"', '\"y\"')", "jrivers"),
    ("clean.account_uniqname('\"\"', '\"svc-x\"', '\"y\"')", "svc-x"),
    ("clean.account_uniqname(null, '\"$x\"', '\"y\"')", "y"), ("clean.account_uniqname(null, null, null)", None),
    ("clean.account_uniqname('\"jrivers\"', '\"jrivers\"', '\"jrivers\\nCNF:3f1d9c2e\"')", None),
    ("clean.both_texts('[\"a\", \"b\"]', '[\"b\", \" c\"]')", ["a", "b", "c"]),
    ("clean.both_texts('[\"b\", \"b\"]', null)", ["b", "b"]),
    ("clean.both_texts(null, '\"a\"')", ["a"]),
    ("clean.ranged('{\"M;range=10-*\": [\"c\"], \"m;range=2-9\": [\"b\", \"a\"], \"m\": []}', 'm')", ["b", "a", "c"]),
    ("clean.ranged('{\"member\": [\"a\"], \"memberOf;range=0-1\": \"x\"}', 'member')", None),
]  # fmt: skip
CALLS_OF_PEOPLE: list[tuple[str, Any]] = [
    ("clean.person_type(true, null)", "employee"), ("clean.person_type(false, null)", "other"),
    ("clean.person_type(false, '[]')", "other"),
    ("clean.person_type(false, '[\"Alumni\", \"Example Biology - Faculty and Staff\"]')", "employee"),
    ("clean.person_type(false, '[\"Example Biology - faculty and STAFF\"]')", "employee"),
    ("clean.person_type(false, '[\"Alumni\", \"Example Biology - Student\"]')", "student"),
    ("clean.person_type(false, '[\"Example Biology - Students\"]')", "student"),
    ("clean.person_type(false, '[\"Student Life - Affiliate\"]')", "affiliate"),
    ("clean.person_type(false, '[\"Alumni\"]')", "alumni"),
    ("clean.person_type(false, '[\"The \\\"Examples\\\" - Alumni\", \"alumni\"]')", "alumni"),
    ("clean.person_type(false, '[\"Alumni\", \"Retirees\"]')", "affiliate"),
    ("clean.person_type(false, '[\"Friends of Alumni\"]')", "affiliate"),
    ("clean.account_type('testa', false, null)", "person"), ("clean.account_type('svc-test1', false, 'service')", "test"),
    ("clean.account_type('test', true, 'service')", "person"), ("clean.account_type('jrivers', false, 'person')", "person"),
    ("clean.account_type('lsa.svc2', false, null)", "service"), ("clean.account_type('printer', false, 'service')", "service"),
    ("clean.differ('Rivers', 'RIVERS')", False), ("clean.differ('Rivers', 'Stone')", True),
    ("clean.differ('O&#39;Neil', $$O'Neil$$)", False), ("clean.differ('Rivers', null)", None),
    ("clean.sorted('{b,a,NULL,B,a}')", ["B", "a", "b"]), ("clean.sorted('{NULL}')", None), ("clean.sorted('{}')", None),
    ("clean.sorted(null)", None),
]  # fmt: skip
