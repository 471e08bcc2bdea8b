"""silver.users computed once more, in Python and row by row, from its inputs.

Written from the specification (silver_consolidated_tables.md section 3 and the decisions on people), not from the SQL: which
record speaks, value and winner of each field, flags and moments.
"""

import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from lsats_dagster_tests.contracts import readings
from lsats_dagster_tests.contracts.histories import World
from lsats_dagster_tests.contracts.links_oracle import KEY_OF, SYSTEMS, Row, by, compare, moments, speaking, stored

T, U, M, A = SYSTEMS
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
# field -> where it comes from, in order of precedence: (table, its column)
PRECEDENCE: dict[str, tuple[tuple[str, str], ...]] = {
    "tdx_user_uid": ((T, "tdx_user_uid"),), "umich_empl_id": ((U, "empl_id"),),
    "ldap_uid_number": ((M, "uid_number"), (A, "uid_number")), "ldap_gid_number": ((M, "gid_number"), (A, "gid_number")),
    "ad_object_guid": ((A, "ad_user_guid"),), "ad_sam_account_name": ((A, "sam_account_name"),),
    "ad_object_sid": ((A, "object_sid"),), "ad_account_locked": ((A, "is_locked"),), "ad_last_logon": ((A, "last_logon"),),
    "ad_last_logon_timestamp": ((A, "last_logon_timestamp"),), "ad_pwd_last_set": ((A, "pwd_last_set"),),
    "ad_parent_ou_dn": ((A, "parent_ou_dn"),), "ad_primary_group_id": ((A, "primary_group_id"),),
    "tdx_security_role_id": ((T, "security_role_id"),), "tdx_is_confidential": ((T, "is_confidential"),),
    "first_name": ((T, "first_name"), (U, "first_name"), (M, "first_name"), (A, "first_name")),
    "last_name": ((T, "last_name"), (U, "last_name"), (M, "last_name"), (A, "last_name")),
    "primary_email": ((T, "primary_email"), (M, "primary_email"), (A, "primary_email")),
    "work_phone": ((T, "work_phone"), (U, "work_phone"), (M, "work_phone"), (A, "work_phone")),
    "mobile_phone": ((T, "mobile_phone"), (A, "mobile_phone")),
    "department_id": ((U, "department_id"), (T, "department_id")),
    "job_title": (
        (U, "university_job_title"), (U, "department_job_title"), (M, "umich_title"), (T, "title"), (A, "title"),
    ),
    "department_job_title": ((U, "department_job_title"),), "primary_job_code": ((U, "jobcode"),),
    "primary_supervisor_id": ((U, "supervisor_id"),), "reports_to_uid": ((T, "reports_to_uid"),),
    "mcommunity_ou_affiliations": ((M, "ou"),), "ad_ou_root": ((A, "ou_root"),), "ad_ou_organization": ((A, "ou_organization"),),
    "ad_ou_department": ((A, "ou_department"),), "ad_ou_full_path": ((A, "ou_full_path"),),
    "ad_group_memberships": ((A, "member_of"),), "tdx_group_ids": ((T, "group_ids"),), "tdx_external_id": ((T, "external_id"),),
    "tdx_beid": ((T, "beid"),), "tdx_security_role_name": ((T, "security_role_name"),),
    "home_directory": ((M, "home_directory"), (A, "home_directory")), "login_shell": ((M, "login_shell"), (A, "login_shell")),
    "tdx_is_employee": ((T, "is_employee"),),
}  # fmt: skip
# field -> (column of HR, column of TeamDynamix): the address of one of them as a whole.
ADDRESS = {
    "work_address_line1": ("work_address_line1", "work_address"), "work_address_line2": ("work_address_line2", None),
    "work_city": ("work_city", "work_city"), "work_state": ("work_state", "work_state"),
    "work_postal_code": ("work_postal_code", "work_zip"), "work_country": ("work_country", "work_country"),
}  # fmt: skip
LISTS = ("mcommunity_ou_affiliations", "ad_ou_full_path", "ad_group_memberships", "tdx_group_ids")
DEEP = 8


def preference(table: str, row: Row) -> tuple[Any, ...]:
    """The order in which records of one source speak: the least is first."""
    key = KEY_OF[table](row)
    mine: tuple[Any, ...] = ()
    if table == T:
        mine = ({True: 0, False: 1, None: 2}[row["is_active"]],)
    if table == A:
        primary = {True: 0, False: 1, None: 2}[row["is_primary_account"]]
        enabled = {True: 0, False: 1, None: 2}[row["is_enabled"]]
        changed = -((row["when_changed"] or LONG_AGO) - LONG_AGO).total_seconds()
        mine = (primary, enabled, changed)
    return (not row["is_present"], *mine, len(key), key)


def person_type(is_employed: bool, affiliations: list[str] | None) -> str:
    def any_like(pattern: str) -> bool:
        return any(re.search(pattern, text, re.IGNORECASE) for text in affiliations or ())

    if is_employed or any_like(r"\bfaculty and staff$"):
        return "employee"
    if not affiliations:
        return "other"
    if any_like(r"\bstudents?$"):
        return "student"
    only_alumni = all(re.fullmatch(r"(.* - )?alumni", text, re.IGNORECASE | re.DOTALL) for text in affiliations)
    return "alumni" if only_alumni else "affiliate"


def account_type(name: str, is_somebody: bool, directory_type: str | None) -> str:
    parts = re.split("[.-]", name)
    if is_somebody:
        return "person"
    if any(re.fullmatch("test(ing)?[0-9]*", part) for part in parts):
        return "test"
    is_service = any(re.fullmatch("(svc|service)[0-9]*", part) for part in parts)
    return "service" if directory_type == "service" or is_service else "person"


class Inputs:
    """All that users is made from."""

    def __init__(self, world: World) -> None:
        self.sources = {table: {KEY_OF[table](row): row for row in stored(world, table)} for table in SYSTEMS}
        self.records = by(stored(world, "person_records"), "uniqname")
        self.employees = {row["empl_id"]: row for row in stored(world, "employee_links") if row["is_present"]}
        self.departments = {row["dept_id"]: row for row in stored(world, "departments")}
        self.awards = by([row for row in stored(world, "lab_awards") if row["is_present"]], "person_uniqname")
        deep = [
            row
            for row in stored(world, "ad_organizational_units")
            if row["is_present"] and row["ou_depth"] is not None and row["ou_depth"] >= DEEP
        ]
        self.units = by(deep, "extracted_uniqname")


def check(world: World) -> None:
    inputs = Inputs(world)
    should = {}
    for name, records in inputs.records.items():
        known = [row for row in records if row["record_key"] in inputs.sources.get(row["source_table"], {})]
        if known:
            should[name] = user(name, known, inputs)
    compare(world, "users", ("uniqname",), should)


def user(name: str, records: list[Row], inputs: Inputs) -> Row:
    """One row of users."""
    found = moments(records)
    mine: dict[str, list[Row]] = defaultdict(list)
    for row in records:
        mine[row["source_table"]].append(inputs.sources[row["source_table"]][row["record_key"]])
    speaks: dict[str, Row | None] = {}
    for table in SYSTEMS:
        first = min(mine[table], key=lambda row, table=table: preference(table, row), default=None)  # type: ignore[misc]
        speaks[table] = first if first and (first["is_present"] or not found["is_present"]) else None
    u, m = speaks[U], speaks[M]
    said = {table: row or defaultdict(lambda: None) for table, row in speaks.items()}
    found |= {"uniqname": name, "source_entity_id": name, "field_sources": {}, "ou_department_ids": []}
    for field, offers in PRECEDENCE.items():
        take(found, field, [(SYSTEMS[table], said[table][column]) for table, column in offers])
    for field in LISTS:
        found[field] = found[field] if found[field] is not None else []
    of_hr = any(said[U][own] is not None for own, _ in ADDRESS.values() if own != "work_country")
    for field, (own, other) in ADDRESS.items():
        offers = [("umich_api", said[U][own])] + ([("tdx", None if of_hr else said[T][other])] if other else [])
        take(found, field, offers)
    location = said[U]["work_location"] or {}
    found["work_address_line3"] = location.get("address3")
    phone = said[U]["work_phone"]
    is_hrs = phone is not None and said[T]["work_phone"] in (None, phone)
    found["work_phone_extension"] = location.get("phone_extension") if is_hrs else None
    first, last = found["first_name"], found["last_name"]
    found["full_name"] = f"{last}, {first}" if first and last else said[M]["full_name"] or said[A]["full_name"]
    shown = said[T]["preferred_name"] or said[M]["preferred_name"]
    found["preferred_name"] = shown or " ".join(filter(None, (first, last))) or None
    found |= employment(mine[U] if u else [], inputs)
    found["person_type"] = person_type(u is not None, m["ou"] if m else said[A]["umichad_ou"])
    found["account_type"] = account_type(name, bool(u or m), said[A]["account_type"])
    found["is_employee"] = found["is_present"] and bool(said[U]["is_present"] or said[T]["is_employee"])
    found["is_active"] = found["is_present"] and bool(
        said[U]["is_present"] or said[T]["is_active"] or said[A]["is_enabled"]
        or (m and found["person_type"] not in ("alumni", "other"))
    )  # fmt: skip
    found["ad_account_disabled"] = None if said[A]["is_enabled"] is None else not said[A]["is_enabled"]
    found["is_private"] = any(row["is_confidential"] for row in mine[T]) or any(
        row["hide_personal_info"] for row in mine[A]
    )
    awards, units = inputs.awards.get(name, []), inputs.units.get(name, [])
    by_what = ["award"] if any(row["is_pi_role"] for row in awards) else []
    by_what += ["ou"] if units and (found["is_employee"] or awards) else []
    found |= {"pi_source": "+".join(by_what) or None, "is_pi": bool(by_what)}
    department = inputs.departments.get(found["department_id"])
    found["department_name"] = department["department_name"] if department else None
    supervisor = inputs.employees.get(said[U]["supervisor_id"])
    found["primary_supervisor_uniqname"] = supervisor["uniqname"] if supervisor else None
    found["source_systems"] = sorted(SYSTEMS[table] for table in SYSTEMS if speaks[table])
    found["source_keys"] = contributors(records, awards, units, mine[U] if u else [], inputs)
    found["quality_flags"] = flags(found, speaks, mine, department, supervisor)
    if any(row["method"] == "manual" for row in records):
        found["quality_flags"].add("linked_by_hand")
    return found


def take(found: Row, field: str, offers: list[tuple[str, Any]]) -> None:
    source, found[field] = next((offer for offer in offers if offer[1] is not None), (None, None))
    if len(offers) > 1 and source:
        found["field_sources"][field] = source


def employment(appointments: list[Row], inputs: Inputs) -> Row:
    """The columns that all appointments of a person make together."""
    rows = sorted(speaking(appointments), key=lambda row: preference(U, row)[1:])
    links = inputs.employees
    return {
        "umich_empl_ids": sorted({row["empl_id"] for row in rows}),
        "department_ids": [
            {"dept_id": row["department_id"], "dept_name": row["dept_description"], "empl_rcd": row["empl_rcd"]}
            for row in rows if row["department_id"] is not None
        ],
        "job_codes": [
            {"job_code": row["jobcode"], "dept_job_title": row["department_job_title"], "empl_rcd": row["empl_rcd"]}
            for row in rows if row["jobcode"] is not None
        ],
        "supervisor_ids": [
            {
                "empl_id": row["supervisor_id"], "empl_rcd": row["empl_rcd"],
                "uniqname": links.get(row["supervisor_id"], {}).get("uniqname"),
            }
            for row in rows if row["supervisor_id"] is not None
        ],
    }  # fmt: skip


def contributors(
    records: list[Row], awards: list[Row], units: list[Row], appointments: list[Row], inputs: Inputs
) -> dict[str, set[str]]:
    keys: dict[str, set[str]] = defaultdict(set)
    for row in records:
        keys["silver.person_records"].add(f"{row['source_table']}:{row['record_key']}")
        keys[f"silver.{row['source_table']}"].add(row["record_key"])
    keys["silver.lab_awards"] = {row["award_record_id"] for row in awards}
    keys["silver.ad_organizational_units"] = {str(row["object_guid"]) for row in units}
    supervisors = {row["supervisor_id"] for row in speaking(appointments)}
    keys["silver.employee_links"] = supervisors & inputs.employees.keys()
    return {name: found for name, found in keys.items() if found}


def flags(
    found: Row,
    speaks: dict[str, Row | None],
    mine: dict[str, list[Row]],
    department: Row | None,
    supervisor: Row | None,
) -> set[str]:
    t, u, m, a = (speaks[table] for table in SYSTEMS)
    is_person, is_employee = found["account_type"] == "person", found["person_type"] == "employee"
    is_alumni = found["person_type"] == "alumni"

    def differ(column: str, *rows: Row | None) -> bool:
        return len({readings.comparable(row[column]) for row in rows if row and row[column]}) > 1

    def several(table: str) -> bool:
        return sum(row["is_present"] for row in mine[table]) > 1

    raised = {
        "missing_email": is_person and found["primary_email"] is None,
        "missing_name": is_person and None in (found["first_name"], found["last_name"]),
        "missing_department": is_employee and found["department_id"] is None,
        "missing_job_title": is_employee and found["job_title"] is None and not found["is_pi"],
        "not_umapi_employee": is_employee and u is None,
        "no_tdx_record": is_employee and t is None,
        "ad_disabled": not is_alumni and found["ad_account_disabled"] is True,
        "mcom_only": not is_alumni and m is not None and t is u is a is None,
        "name_mismatch": differ("last_name", t, u, m, a),
        "email_mismatch": len({row["primary_email"] for row in (t, m, a) if row} - {None}) > 1,
        "department_mismatch": bool(
            t and u and t["department_id"] and u["department_id"] and t["department_id"] != u["department_id"]
        ),
        "unknown_department": found["department_id"] is not None and not (department and department["is_present"]),
        "unknown_supervisor": found["primary_supervisor_id"] is not None and supervisor is None,
        "supervisor_without_uniqname": supervisor is not None and supervisor["uniqname"] is None,
        "several_tdx_users": several(T),
        "several_mcommunity_entries": several(M),
        "several_ad_accounts": several(A),
        "several_employee_ids": len(found["umich_empl_ids"]) > 1,
    }
    return {name for name, is_raised in raised.items() if is_raised}
