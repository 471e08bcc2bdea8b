"""silver.departments computed once more, in Python and row by row, from the two tables it is merged from.

Written from the specification (silver_consolidated_tables.md section 2 and the decisions on departments), not from the
SQL: value, winner of each field, flags and moments. The circles of silver.tdx_departments are computed here too.
"""

from collections import defaultdict
from typing import Any

from lsats_dagster_tests.contracts import readings
from lsats_dagster_tests.contracts.histories import World

Row = dict[str, Any]
# field -> where it comes from, in order of precedence: (source, field of that source)
PRECEDENCE: dict[str, tuple[tuple[str, str], ...]] = {
    "department_name": (("umich_api", "department_name"), ("tdx", "department_name")),
    "description": (("tdx", "dept_notes"),),
    "is_active": (("tdx", "is_active"), ("umich_api", "is_present_without_account")),
    "college_name": (("umich_api", "college_name"),),
    "college_group": (("umich_api", "college_name"),),
    "campus_name": (("umich_api", "campus_name"),),
    "vp_area_name": (("umich_api", "vp_area_name"),),
    "vp_area": (("umich_api", "vp_area_name"),),
    "dept_group": (("umich_api", "dept_group"),),
    "dept_group_campus": (("umich_api", "dept_group_campus"),),
    "dept_group_vp_area": (("umich_api", "dept_group_vp_area"),),
    "hierarchical_path": (("umich_api", "hierarchical_path"),),
    "tdx_id": (("tdx", "tdx_id"),),
    "tdx_ids": (("tdx", "tdx_ids"),),
    "tdx_manager_uid": (("tdx", "manager_uid"),),
    "tdx_created_date": (("tdx", "tdx_created_date"),),
    "tdx_modified_date": (("tdx", "tdx_modified_date"),),
    "location_info": (("tdx", "location_info"),),
    "parent_dept_id": (("tdx", "parent_dept_id"),),
    "parent_tdx_id": (("tdx", "parent_id"),),
}
WITHOUT_ANY: dict[str, Any] = {"tdx_ids": [], "location_info": {}}


# `sources` for readers of the older name: its words, in its order (silver_consolidated_tables.md).
OLDER_WORDS = {"umich_api": "umapi", "tdx": "tdx"}


def preferred(accounts: list[Row]) -> Row | None:
    """The account to write back to: active ones first, those without a state last, then the lowest id."""
    rank = {True: 0, False: 1, None: 2}
    return min(accounts, key=lambda row: (rank[row["is_active"]], row["tdx_id"]), default=None)


def flags(row: Row, umich: Row | None, tdx: Row | None, parent: Row | None) -> set[str]:
    """The quality flags of one department."""
    names = [source["department_name"] for source in (umich, tdx) if source and source["department_name"]]
    in_circle = tdx is not None and "parent_circle" in tdx["quality_flags"]
    raised = {
        "no_tdx_data": tdx is None,
        "no_umapi_data": umich is None,
        "missing_dept_name": row["department_name"] is None,
        "missing_active_status": row["is_active"] is None,
        "missing_campus": row["campus_name"] is None,
        "missing_college": row["college_name"] is None,
        "missing_vp_area": row["vp_area_name"] is None,
        "several_tdx_accounts": len(row["tdx_ids"]) > 1,
        "name_mismatch": len(set(map(readings.comparable, names))) > 1,
        "unknown_parent": tdx is not None and tdx["parent_id"] is not None and parent is None,
        "parent_without_code": parent is not None and parent["dept_id"] is None,
        "parent_has_same_code": parent is not None and parent["dept_id"] == row["dept_id"],
        "parent_circle": in_circle,
        "bad_code:dept_id": readings.code(row["dept_id"]) is None,
    }
    return {name for name, is_raised in raised.items() if is_raised}


def expected(hr: list[Row], accounts: list[Row]) -> dict[str, Row]:
    """dept_id -> the row that silver.departments must hold."""
    by_code: dict[str, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for source, rows in enumerate((hr, accounts)):
        for row in rows:
            by_code[row["dept_id"]][source].append(row)
    by_id = {row["tdx_id"]: row for row in accounts}
    return {code: department(code, *rows, by_id) for code, rows in by_code.items() if code is not None}


def department(code: str, rows: list[Row], mine: list[Row], accounts: dict[int, Row]) -> Row:
    """One department, from its rows in HR and its accounts; `accounts` are all there are."""
    is_present = any(row["is_present"] for row in (*rows, *mine))
    # While anyone still has the department, those who lost it give nothing.
    umich = next((row for row in rows if row["is_present"] or not is_present), None)
    speaking = [row for row in mine if row["is_present"] or not is_present]
    tdx, parent = preferred(speaking), None
    if tdx:
        above = accounts.get(tdx["parent_id"])
        parent = above if above and above["is_present"] else None
        code_of_parent = parent["dept_id"] if parent and parent["dept_id"] != code else None
        tdx = tdx | {"tdx_ids": sorted(row["tdx_id"] for row in speaking), "parent_dept_id": code_of_parent}
    if umich:
        umich = umich | {"is_present_without_account": None if tdx else umich["is_present"]}
    found: Row = {"dept_id": code, "department_code": code, "source_entity_id": code, "field_sources": {}}
    by_source = {"umich_api": umich, "tdx": tdx}
    for name, candidates in PRECEDENCE.items():
        found[name] = WITHOUT_ANY.get(name)
        for source, field in candidates:
            row = by_source[source]
            if row is not None and row[field] is not None:
                found[name] = row[field]
                if len(candidates) > 1:
                    found["field_sources"][name] = source
                break
    found["source_systems"] = sorted(name for name, row in by_source.items() if row)
    found["sources"] = [older for name, older in OLDER_WORDS.items() if by_source[name]]
    keys = {
        "silver.tdx_departments": [str(number) for number in sorted(row["tdx_id"] for row in mine)],
        "silver.umapi_departments": [row["dept_id"] for row in rows],
    }
    found["source_keys"] = {name: value for name, value in keys.items() if value}
    found["quality_flags"] = flags(found, umich, tdx, parent)
    found["is_present"] = is_present
    found["first_seen_at"] = min(row["first_seen_at"] for row in (*rows, *mine))
    found["removed_at"] = None if is_present else max(row["removed_at"] for row in (*rows, *mine))
    return found


def stored(world: World, table: str) -> list[Row]:
    return [dict(row._mapping) for row in world.rows(f"select * from silver.{table}")]


def check(world: World) -> None:
    """The stored table is what this module computes; a department that no source names any more is not present."""
    should = expected(stored(world, "umapi_departments"), stored(world, "tdx_departments"))
    actual = {
        row["dept_id"]: row | {"quality_flags": set(row["quality_flags"])} for row in stored(world, "departments")
    }
    assert {code for code, row in actual.items() if row["is_present"]} <= should.keys()
    for code, row in should.items():
        unlike = {name: (actual[code][name], value) for name, value in row.items() if actual[code][name] != value}
        assert not unlike, f"department {code}: (is, should be) {unlike}"


def check_circles(world: World) -> None:
    """An account that is there is flagged when its parents, all of them there, lead back to it; no other is."""
    rows = stored(world, "tdx_departments")
    parents = {row["tdx_id"]: row["parent_id"] for row in rows if row["is_present"]}

    def in_circle(account: int) -> bool:
        above, seen = parents.get(account), set()
        while above in parents and above not in seen and above != account:
            seen.add(above)
            above = parents[above]
        return account in parents and above == account

    flagged = {row["tdx_id"] for row in rows if "parent_circle" in row["quality_flags"]}
    assert flagged == {row["tdx_id"] for row in rows if in_circle(row["tdx_id"])}
