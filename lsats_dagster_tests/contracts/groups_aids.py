"""What happens to groups in the two directories, in few words, and what the hub makes of it; for tests."""

from typing import Any

from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records_directories import GROUPS, MAIL_GROUPS, PEOPLE, UNIVERSITY, guid
from lsats_dagster_tests.contracts.shapes import ABSENT
from lsats_dagster_tests.contracts.table_checks import check_rules

MAIL, GROUP = "mcommunity_ldap/group", "active_directory/group"
PERSON, ACCOUNT, COMPUTER = "mcommunity_ldap/user", "active_directory/user", "active_directory/computer"
STREAMS = (PERSON, MAIL, ACCOUNT, GROUP, COMPUTER)
SOURCES = ("mcommunity_users", "mcommunity_groups", "ad_users", "ad_groups", "ad_computers")
TABLES = ("groups", "directory_objects", "group_members", "group_owners", "effective_group_members")


# A source without any record is not believed. Groups without a name make no row.
ALWAYS_THERE = [
    Change(GROUP, guid(999)), Change(GROUP, guid(999), "cn", ABSENT), Change(GROUP, guid(999), "member", []),
    Change(MAIL, "999"), Change(MAIL, "999", "cn", ABSENT),
    Change(PERSON, "999"), Change(ACCOUNT, guid(999)), Change(COMPUTER, guid(999)),
]  # fmt: skip


def live(world: World, *events: Change) -> None:
    """Something happens and is read; every table follows, and is what a full refresh and its oracle give."""
    world.apply(*ALWAYS_THERE, *events)
    for stream in STREAMS:
        world.read(stream)
    for table in (*SOURCES, *TABLES):
        world.refresh(table)
    for table in TABLES:
        check_rules(world, world.definition(table))


def ad_dn(name: str, unit: str = "OU=Biology,OU=RSN") -> str:
    return f"CN={name},{unit},{GROUPS}"


def ad_person(name: str) -> str:
    return f"CN={name},OU=People,{UNIVERSITY}"


def person(name: str) -> str:
    return f"uid={name},{PEOPLE}"


def mail_dn(name: str) -> str:
    return f"cn={name},{MAIL_GROUPS}"


def ad_group(number: int, name: str, *members: str, **said: Any) -> list[Change]:
    values = {"cn": name, "name": name, "dn": ad_dn(name), "member": list(members), "managedBy": ABSENT} | said
    return [
        Change(GROUP, guid(number)),
        *(Change(GROUP, guid(number), field, value) for field, value in values.items()),
    ]


def mail_group(
    number: int, *names: str, people: tuple[str, ...] = (), groups: tuple[str, ...] = (), **said: Any
) -> list[Change]:
    key = str(number)
    values: dict[str, Any] = {
        "cn": list(names), "dn": mail_dn(names[0]), "member": list(people), "umichDirectMember": list(people),
        "groupMember": ABSENT, "umichDirectGroupMember": list(groups), "rfc822mail": ABSENT, "owner": ABSENT,
    }  # fmt: skip
    return [Change(MAIL, key), *(Change(MAIL, key, field, value) for field, value in (values | said).items())]


def people(*names: str) -> list[Change]:
    """In both directories."""
    events = []
    for number, name in enumerate(names, start=1):
        events += [Change(PERSON, str(number)), Change(PERSON, str(number), "uid", [name])]
        events += [Change(PERSON, str(number), "dn", person(name))]
        events += [Change(ACCOUNT, guid(number)), Change(ACCOUNT, guid(number), "uid", [name])]
        events += [Change(ACCOUNT, guid(number), "dn", ad_person(name))]
    return events


def group(world: World, group_id: str) -> Any:
    (found,) = world.rows("select * from silver.groups where group_id = :id", id=group_id)
    return found


def present(world: World) -> dict[str, str | None]:
    """group_id -> match_method of the groups that are there."""
    return {row.group_id: row.match_method for row in world.rows("select * from silver.groups where is_present")}


def members(world: World, group_id: str) -> dict[tuple[str, str], Any]:
    found = world.rows("select * from silver.group_members where group_id = :id and is_present", id=group_id)
    return {(row.member_type, row.member_key): row for row in found}


def effective(world: World, group_id: str) -> dict[str, tuple[bool, list[str], list[str]]]:
    """uniqname -> (is_direct, inherited_from, quality_flags)."""
    found = world.rows("select * from silver.effective_group_members where group_id = :id and is_present", id=group_id)
    return {row.member_uniqname: (row.is_direct, row.inherited_from, row.quality_flags) for row in found}


def decide(world: World, ad: int, mail: int, *, is_link: bool) -> None:
    world.administer(
        "insert into curated.group_links (ad_group_guid, gid_number, is_link, author, reason) "
        f"values ('{guid(ad)}', {mail}, {is_link}, 'someone', 'for a test')"
    )
