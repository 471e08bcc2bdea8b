"""silver.employee_links and person_records computed once more, in Python and row by row, from their inputs.

Written from the decisions on people, not from the SQL: whose a record is, by what that was found, and who stands in the way.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from lsats_dagster_tests.contracts.histories import World

Row = dict[str, Any]
Decisions = dict[tuple[str, str], Row]
SYSTEMS = {
    "tdx_users": "tdx", "umapi_employees": "umich_api", "mcommunity_users": "mcommunity_ldap", "ad_users": "active_directory",
}  # fmt: skip
KEY_OF: dict[str, Callable[[Row], str]] = {
    "tdx_users": lambda row: str(row["tdx_user_uid"]),
    "umapi_employees": lambda row: f"{row['empl_id']}:{row['empl_rcd']}",
    "mcommunity_users": lambda row: str(row["uid_number"]),
    "ad_users": lambda row: str(row["ad_user_guid"]),
}
T, U, M, A = SYSTEMS


def stored(world: World, table: str) -> list[Row]:
    return [dict(row._mapping) for row in world.rows(f"select * from silver.{table}")]


def decisions(world: World) -> Decisions:
    rows = world.rows("select * from curated.person_links")
    return {(row.source_table, row.record_key): dict(row._mapping) for row in rows}


def own_name(decided: Decisions, table: str, row: Row) -> str | None:
    """The login name that people gave a record; else its own."""
    decision = decided.get((table, KEY_OF[table](row)))
    name: str | None = decision["uniqname"] if decision else said_name(row)
    return name


def said_name(row: Row) -> str | None:
    """The login name of a record, unless its own login says that it is another's."""
    name: str | None = row["uniqname"]
    return None if "uniqname_of_another" in row["quality_flags"] else name


def speaking(rows: Iterable[Row]) -> list[Row]:
    """Those that are present; all, when none is."""
    found = list(rows)
    return [row for row in found if row["is_present"]] or found


def moments(rows: list[Row]) -> Row:
    is_present = any(row["is_present"] for row in rows)
    return {
        "is_present": is_present,
        "first_seen_at": min(row["first_seen_at"] for row in rows),
        "removed_at": None if is_present else max(row["removed_at"] for row in rows),
    }


def link(employee: str, appointments: list[Row], users: list[Row], decided: Decisions) -> Row:
    """What employee_links must say of one employee. users: those of TeamDynamix with this employee ID."""
    heard = speaking(appointments)
    of_people = [decided[U, KEY_OF[U](row)] for row in heard if (U, KEY_OF[U](row)) in decided]
    by_hand = {decision["uniqname"] for decision in of_people} - {None}
    is_decided = bool(by_hand) or len(of_people) == len(heard)
    names = by_hand or {own_name(decided, U, row) for row in heard} - {None}
    method = "manual" if is_decided else "appointment"
    keys = {"silver.umapi_employees": {KEY_OF[U](row) for row in appointments}}
    keys |= {"silver.tdx_users": {KEY_OF[T](row) for row in users}} if users else {}
    known = speaking(users)
    if not names and not is_decided:
        names, method = {own_name(decided, T, row) for row in known} - {None}, "tdx"
    one = next(iter(names)) if len(names) == 1 else None
    return moments(appointments) | {
        "empl_id": employee,
        "uniqname": one,
        "method": method if one or is_decided else None,
        "candidates": sorted(names),
        "tdx_user_uid": known[0]["tdx_user_uid"] if len(known) == 1 else None,
        "source_keys": keys,
        "source_systems": ["tdx", "umich_api"] if "silver.tdx_users" in keys else ["umich_api"],
        "quality_flags": {"no_uniqname"} if not names else {"several_candidates"} if not one else set(),
    }


def check_links(world: World) -> None:
    decided = decisions(world)
    appointments, users = by(stored(world, U), "empl_id"), by(stored(world, T), "external_id")
    should = {empl: link(empl, rows, users.get(empl, []), decided) for empl, rows in appointments.items()}
    compare(world, "employee_links", ("empl_id",), should)


def check_records(world: World) -> None:
    decided = decisions(world)
    links = {row["empl_id"]: row for row in stored(world, "employee_links")}
    should = {}
    for table in SYSTEMS:
        for row in stored(world, table):
            key = KEY_OF[table](row)
            employee = links.get(row["empl_id"] if table == U else row.get("external_id"))
            # Of several users with one employee ID nobody is asked.
            asks = table == U or (table == T and employee and employee["tdx_user_uid"] == row["tdx_user_uid"])
            asks = asks and said_name(row) is None and (table, key) not in decided
            should[table, key] = record(table, row, employee if asks else None, decided.get((table, key)))
    compare(world, "person_records", ("source_table", "record_key"), should)


def record(table: str, row: Row, employee: Row | None, decision: Row | None) -> Row:
    """What person_records must say of one record. employee: its employee, where that is asked."""
    owner, method = said_name(row), "own" if said_name(row) else None
    if decision:
        owner, method = decision["uniqname"], "manual"
    elif employee:
        owner, method = employee["uniqname"], employee["method"]
    candidates = (employee["candidates"] or []) if employee and owner is None else []
    if decision and said_name(row) not in (None, owner):
        candidates = [said_name(row)]
    reason = None
    if owner is None:
        conflict = (table == A and row["account_type"] == "conflict") or row["uniqname"] is not None
        reason = (
            "manual" if method == "manual"
            else "several_candidates" if len(candidates) > 1
            else "name_conflict" if conflict else "no_uniqname"
        )  # fmt: skip
    keys = {f"silver.{table}": {KEY_OF[table](row)}}
    keys |= {"silver.employee_links": {employee["empl_id"]}} if employee else {}
    return {
        "source_system": row["source_systems"][0],
        "uniqname": owner,
        "method": method,
        "unlinked_reason": reason,
        "candidates": candidates,
        "decided_by": decision["author"] if decision else None,
        "decision_reason": decision["reason"] if decision else None,
        "source_keys": keys,
        "source_systems": row["source_systems"],
        "quality_flags": ({"unlinked"} if owner is None else set()) | ({"linked_by_hand"} if decision else set()),
    } | {name: row[name] for name in ("first_seen_at", "is_present", "removed_at")}


def by(rows: Iterable[Row], column: str) -> dict[Any, list[Row]]:
    """Rows by a column; those without a value are left out."""
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        if row[column] is not None:
            found[row[column]].append(row)
    return dict(found)


def compare(world: World, table: str, key: tuple[str, ...], should: dict[Any, Row]) -> None:
    """The stored table is what this module computes; a key that nothing gives any more is not present."""
    for row in stored(world, table):
        name = tuple(row[column] for column in key) if len(key) > 1 else row[key[0]]
        if name not in should:
            assert not row["is_present"], f"{table} {name} is present, and nothing gives it"
            continue
        row["quality_flags"] = set(row["quality_flags"])
        row["source_keys"] = {source: set(keys) for source, keys in row["source_keys"].items()}
        expected = should.pop(name)
        unlike = {column: (row[column], value) for column, value in expected.items() if row[column] != value}
        assert unlike == {}, f"{table} {name}: (stored, expected) {unlike}"
    assert should == {}, f"{table}: rows that are missing"
