"""By which identifiers records belong together, once more in Python, from the records as they were served.

Written from the specification (silver_consolidated_tables.md 0.4 and 2 to 4, and what was decided on people and groups), not
from the SQL. Whoever is one in truth and shares none of these identifiers cannot be known as one.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from lsats_dagster_tests.contracts import readings
from lsats_dagster_tests.contracts.readings_directories import texts
from lsats_dagster_tests.truth.records import Known, Links, Payload, Record

BELOW_MIRRORS = re.compile(r"(?<!\\),\s*ou\s*=\s*mcommadsync\s*(?:,|\Z)", re.IGNORECASE)
# A controller renamed the object, because another one had its name.
CONFLICT = "\nCNF:"


def account_name(account: Payload) -> str | None:
    """The login name of an account of Active Directory; a conflict is a second object of somebody, and has none."""
    if CONFLICT in account["cn"]:
        return None
    names = (readings.uniqname(account.get(name)) for name in ("uid", "sAMAccountName", "cn"))
    return next(filter(None, names), None)


OWN_NAME: Mapping[str, Callable[[Payload], str | None]] = {
    "tdx_users": lambda user: readings.uniqname(user["AlternateID"]),
    "umapi_employees": lambda appointment: readings.uniqname(appointment["UniqName"]),
    "mcommunity_users": lambda person: readings.uniqname(person["uid"]),
    "ad_users": account_name,
}


def people(known: Known) -> Links:
    """By uniqname; employees and TDX users without one by the employee id, where it names one uniqname.

    A uniqname that several users have is none of those whose login says otherwise.
    """
    names = {record: name(payload) for table, name in OWN_NAME.items() for record, payload in known.of(table)}
    names |= dict.fromkeys(of_others(known.of("tdx_users"), names))
    employees = {record: readings.code(payload["EmplId"]) for record, payload in known.of("umapi_employees")}
    users = {record: readings.code(payload["ExternalID"]) for record, payload in known.of("tdx_users")}
    appointments_of, users_of = by_value(employees), by_value(users)

    def name_of(employee: str | None) -> str | None:
        found = {names[record] for record in speaking(known, appointments_of[employee])} - {None}
        if not found and len(alike := speaking(known, users_of[employee])) == 1:
            found = {names[alike[0]]}
        return found.pop() if len(found) == 1 else None

    for record, employee in (*employees.items(), *users.items()):
        is_alone = record in employees or len(speaking(known, users_of[employee])) == 1
        if names[record] is None and employee is not None and is_alone:
            names[record] = name_of(employee)
    return {record: name for record, name in names.items() if name is not None}


def of_others(users: Collection[tuple[Record, Payload]], names: Mapping[Record, str | None]) -> list[Record]:
    """Users whose uniqname another one has or had, and whose own login says that it is not theirs."""
    claims = by_value({record: names[record] for record, _ in users})
    return [
        record
        for record, user in users
        if len(claims[names[record]]) > 1 and user["UserName"].lower().partition("@")[0] != names[record]
    ]


def by_value(values: Mapping[Record, str | None]) -> dict[str | None, list[Record]]:
    found: dict[str | None, list[Record]] = defaultdict(list)
    for record, value in values.items():
        found[value].append(record)
    return found


def speaking(known: Known, records: list[Record]) -> list[Record]:
    """Those that are there; all, where none is."""
    return [record for record in records if record in known.present] or records


def departments(known: Known) -> Links:
    """By code."""
    codes = {record: readings.code(payload["Code"]) for record, payload in known.of("tdx_departments")}
    codes |= {record: readings.code(payload["DeptId"]) for record, payload in known.of("umapi_departments")}
    return {record: code for record, code in codes.items() if code is not None}


def groups(known: Known) -> Links:
    """A mirror by the number of its group; others by name, where it names one group in each directory."""
    in_ad, in_mcommunity = known.there("ad_groups"), known.there("mcommunity_groups")
    by_number = {str(payload["gidNumber"]): record for record, payload in in_mcommunity}
    joined: Links = {record: record for record, _ in (*in_ad, *in_mcommunity)}
    for record, payload in in_ad:
        mirrored = by_number.get(str(payload.get("gidNumber")))
        if mirrored and BELOW_MIRRORS.search(payload["dn"]):
            joined[record] = mirrored
    taken = {link for record, link in joined.items() if record != link}
    named = names((record, [payload["cn"]]) for record, payload in in_ad if joined[record] == record)
    called = names((record, payload["cn"]) for record, payload in in_mcommunity if record not in taken)
    couples = {(one, other) for name in named for one in named[name] for other in called.get(name, ())}
    for one, other in couples:
        if sum(one in couple for couple in couples) == 1 == sum(other in couple for couple in couples):
            joined[one] = other
    return joined


def names(found: Iterable[tuple[Record, list[str]]]) -> dict[str, list[Record]]:
    """Name, as names of groups are compared -> the groups that have it."""
    named: dict[str, list[Record]] = defaultdict(list)
    for record, spelled in found:
        for name in {name.lower() for name in texts(spelled)}:
            named[name].append(record)
    return named
