"""What the tests of the directories of the campus share: their streams, and what is so in each of them on every day."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster.demo.campus.world import World
from lsats_dagster.sources import active_directory, mcommunity
from lsats_dagster.sources.active_directory import COLLEGE, OF_LOGINS, OF_ONE_CONTROLLER, OF_PASSWORDS

Records = dict[str, dict[str, Any]]

PEOPLE, MAIL_GROUPS = "mcommunity_ldap/user", "mcommunity_ldap/group"
AD_USERS, AD_GROUPS, UNITS, COMPUTERS = (
    "active_directory/user", "active_directory/group", "active_directory/organizational_unit", "active_directory/computer",
)  # fmt: skip
DECLARED: Mapping[str, Attributes] = {
    PEOPLE: mcommunity.PERSON, MAIL_GROUPS: mcommunity.GROUP, AD_USERS: active_directory.ACCOUNT,
    AD_GROUPS: active_directory.GROUP, UNITS: active_directory.UNIT, COMPUTERS: active_directory.COMPUTER,
}  # fmt: skip
KEYS = {PEOPLE: "uidNumber", MAIL_GROUPS: "gidNumber"}
BRANCHES = [f"OU={name},{COLLEGE}" for name in ("Research and Instrumentation", "Workstations")]
# What a hub takes for no content.
VOLATILE = {
    AD_USERS: {*OF_ONE_CONTROLLER, *OF_LOGINS, *OF_PASSWORDS, "lastLogonTimestamp"},
    COMPUTERS: {*OF_ONE_CONTROLLER, *OF_LOGINS, *OF_PASSWORDS},
}
UNESCAPED_COMMA = re.compile(r"(?<!\\),")


def truth_of(world: World) -> dict[str, Records]:
    return {stream: world.stream(stream).truth() for stream in DECLARED}


def content(stream: str, record: dict[str, Any]) -> dict[str, Any]:
    volatile = VOLATILE.get(stream, set(OF_ONE_CONTROLLER))
    return {n: sorted(v) if isinstance(v, list) else v for n, v in record.items() if n not in volatile}


def parent_of(dn: str) -> str:
    return UNESCAPED_COMMA.split(dn, maxsplit=1)[1]


def names_of(records: Records) -> set[str]:
    return {record["dn"] for record in records.values()}


def check(truth: dict[str, Records]) -> None:
    """What is so on every day."""
    for streams in ((PEOPLE, MAIL_GROUPS), (AD_USERS, AD_GROUPS, UNITS, COMPUTERS)):
        names = Counter(record["dn"].lower() for stream in streams for record in truth[stream].values())
        assert names.most_common(1)[0][1] == 1, "a name is there once"
    logins = Counter(r["sAMAccountName"] for stream in (AD_USERS, AD_GROUPS, COMPUTERS) for r in truth[stream].values())
    assert logins.most_common(1)[0][1] == 1, "and a login"
    for stream, declared in DECLARED.items():
        for key, record in truth[stream].items():
            assert key == str(record[KEYS.get(stream, "objectGUID")])
            assert record.keys() <= {"dn", *declared.names}
            assert all(isinstance(record[name], list) and record[name] for name in declared.several if name in record)
            assert not any(isinstance(record[name], list | dict) for name in declared.one if name in record)
            assert all(len(set(value)) == len(value) for value in record.values() if isinstance(value, list))
    units = names_of(truth[UNITS])
    for record in truth[UNITS].values():
        assert record["dn"] in BRANCHES or parent_of(record["dn"]) in units
    assert {parent_of(record["dn"]) for record in truth[COMPUTERS].values()} <= units
    check_links(truth)


def check_links(truth: dict[str, Records]) -> None:
    objects = [record for stream in (AD_USERS, AD_GROUPS, COMPUTERS) for record in truth[stream].values()]
    belongs: dict[str, set[str]] = {record["dn"]: set() for record in objects}
    for group in truth[AD_GROUPS].values():
        for member in group.get("member", []):
            belongs[member].add(group["dn"])
    assert {record["dn"]: set(record.get("memberOf", [])) for record in objects} == belongs
    managed: dict[str, set[str]] = {record["dn"]: set() for record in truth[AD_USERS].values()}
    for stream in (AD_GROUPS, UNITS, COMPUTERS):
        for record in truth[stream].values():
            if "managedBy" in record:
                managed[record["managedBy"]].add(record["dn"])
    assert {record["dn"]: set(record.get("managedObjects", [])) for record in truth[AD_USERS].values()} == managed
    people, groups = names_of(truth[PEOPLE]), names_of(truth[MAIL_GROUPS])
    for group in truth[MAIL_GROUPS].values():
        assert set(group.get("member", [])) <= people
        assert set(group.get("umichDirectMember", [])) <= set(group.get("member", []))
        assert set(group.get("umichDirectGroupMember", [])) <= groups
        assert set(group.get("owner", [])) <= people | groups


def new_world() -> World:
    return World(7, "tiny")
