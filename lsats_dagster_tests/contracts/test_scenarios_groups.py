"""Groups, members and owners by the scenarios that name them (silver_consolidated_tables.md section 21: S3, S4, S15, S21; field cases
N5, N6, N7), and the rules by which two directories speak of one group.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records_directories import GROUPS, MAIL_GROUPS, PEOPLE, STANDARD, UNIVERSITY, guid
from lsats_dagster_tests.contracts.shapes import ABSENT, LONG
from lsats_dagster_tests.contracts.table_checks import check_quiet, check_rules

MAIL, GROUP = "mcommunity_ldap/group", "active_directory/group"
PERSON, ACCOUNT, COMPUTER = "mcommunity_ldap/user", "active_directory/user", "active_directory/computer"
STREAMS = (PERSON, MAIL, ACCOUNT, GROUP, COMPUTER)
TABLES = ("groups", "directory_objects", "group_members", "group_owners", "effective_group_members")


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    yield shared_world.reset()
    shared_world.administer("delete from curated.group_links")


def live(world: World, *events: Change) -> None:
    """Something happens and is read; every table follows, and is what a full refresh and its oracle give."""
    world.apply(*events)
    for stream in STREAMS:
        world.read(stream)
    world.refresh_all()
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


def test_s3_a_change_in_mcommunity_leaves_one_row_of_both(world: World) -> None:
    live(world, *ad_group(1, "ichem-lab"), *mail_group(1, "IChem-Lab"))
    assert present(world) == {"ichem-lab": "name"}
    live(world, Change(MAIL, "1", "umichDescription", ["Renewed"]))
    row = group(world, "ichem-lab")
    assert (row.description, row.source_systems) == ("Renewed", ["active_directory", "mcommunity_ldap"])
    assert (row.field_sources["description"], row.field_sources["group_name"]) == (
        "mcommunity_ldap",
        "active_directory",
    )
    assert present(world) == {"ichem-lab": "name"}


def test_s4_a_member_in_active_directory_is_a_direct_one(world: World) -> None:
    live(world, *people("tokafor"), *ad_group(1, "ichem-lab", ad_person("tokafor")))
    (row,) = members(world, "ichem-lab").values()
    assert (row.member_uniqname, row.is_direct_member, row.in_ad, row.in_mcommunity) == ("tokafor", True, True, False)


def test_s15_a_member_spelled_in_capitals_is_the_person(world: World) -> None:
    live(world, *people("tokafor"), *ad_group(1, "ichem-lab", ad_person("TOkafor")))
    (row,) = members(world, "ichem-lab").values()
    assert (row.member_type, row.member_key, row.member_uniqname) == ("user", "tokafor", "tokafor")
    assert row.quality_flags == []


def test_s21_what_was_removed_at_a_source_is_gone_within_one_run(world: World) -> None:
    both = (*ad_group(1, "ichem-lab", ad_person("tokafor")), *mail_group(1, "ichem-lab", people=(person("mvarga"),)))
    live(world, *people("tokafor", "mvarga"), *both)
    assert effective(world, "ichem-lab").keys() == {"tokafor", "mvarga"}
    # One directory loses the group: the other alone speaks of it.
    live(world, Change(GROUP, guid(1), None))
    row = group(world, "ichem-lab")
    assert (row.is_present, row.source_systems, row.ad_group_guid) == (True, ["mcommunity_ldap"], None)
    assert row.source_keys == {"silver.ad_groups": [guid(1)], "silver.mcommunity_groups": ["1"]}
    assert effective(world, "ichem-lab").keys() == {"mvarga"}
    # The other loses it too: it grants nothing, and shows its last values.
    live(world, Change(MAIL, "1", None))
    row = group(world, "ichem-lab")
    assert (row.is_present, str(row.ad_group_guid), row.match_method) == (False, guid(1), "name")
    assert row.removed_at is not None
    assert members(world, "ichem-lab") == effective(world, "ichem-lab") == {}
    # It returns as what it was.
    live(world, Change(GROUP, guid(1)), Change(MAIL, "1"))
    assert present(world) == {"ichem-lab": "name"}
    assert effective(world, "ichem-lab").keys() == {"tokafor", "mvarga"}


def test_s21_a_member_that_left_stands_as_removed(world: World) -> None:
    live(world, *people("tokafor", "mvarga"), *ad_group(1, "ichem-lab", ad_person("tokafor"), ad_person("mvarga")))
    live(world, Change(GROUP, guid(1), "member", [ad_person("mvarga")]))
    (lost,) = world.rows("select * from silver.group_members where not is_present")
    assert (lost.member_uniqname, lost.first_seen_at) == ("tokafor", group(world, "ichem-lab").first_seen_at)
    assert lost.removed_at is not None
    (lost,) = world.rows("select * from silver.effective_group_members where not is_present")
    assert lost.member_uniqname == "tokafor"


def test_s21_a_person_who_left_the_directory_is_an_unknown_member(world: World) -> None:
    """Until the list forgets the person too."""
    live(world, *people("tokafor"), *ad_group(1, "ichem-lab", ad_person("tokafor")))
    live(world, Change(ACCOUNT, guid(1), None))
    (row,) = members(world, "ichem-lab").values()
    assert (row.member_type, row.member_key) == ("unknown", ad_person("tokafor").lower())
    assert (row.member_uniqname, row.quality_flags) == ("tokafor", ["unknown_member"])
    live(world, Change(ACCOUNT, guid(1)))
    assert members(world, "ichem-lab").keys() == {("user", "tokafor")}


def test_n5_circles_end_and_are_flagged(world: World) -> None:
    """A holds B, B holds C, C holds A and u1; S holds itself and u2."""
    live(
        world, *people("u1", "u2"), *ad_group(1, "a", ad_dn("b")), *ad_group(2, "b", ad_dn("c")),
        *ad_group(3, "c", ad_dn("a"), ad_person("u1")), *ad_group(4, "s", ad_dn("s"), ad_person("u2")),
    )  # fmt: skip
    assert {name: effective(world, name) for name in "abcs"} == {
        "a": {"u1": (False, ["c"], ["group_circle"])},
        "b": {"u1": (False, ["c"], ["group_circle"])},
        "c": {"u1": (True, [], ["group_circle"])},
        "s": {"u2": (True, [], ["group_circle"])},
    }
    # The ring breaks far from A.
    live(world, Change(GROUP, guid(2), "member", []))
    assert {name: effective(world, name) for name in "abc"} == {
        "a": {}, "b": {}, "c": {"u1": (True, [], [])},
    }  # fmt: skip


def test_n6_diamonds_are_no_circles(world: World) -> None:
    """A holds B; B holds C and D; C holds D; D has u1."""
    live(
        world, *people("u1"), *ad_group(1, "a", ad_dn("b")), *ad_group(2, "b", ad_dn("c"), ad_dn("d")),
        *ad_group(3, "c", ad_dn("d")), *ad_group(4, "d", ad_person("u1")),
    )  # fmt: skip
    assert {name: effective(world, name) for name in "abcd"} == {
        "a": {"u1": (False, ["d"], [])}, "b": {"u1": (False, ["d"], [])}, "c": {"u1": (False, ["d"], [])},
        "d": {"u1": (True, [], [])},
    }  # fmt: skip


def test_a_ring_of_hundreds_and_a_long_ladder_end(world: World) -> None:
    """A ring is followed all the way round, however long, and ways that meet again are not counted one by one."""
    ring = 120
    events = people("u1")
    for number in range(1, ring + 1):
        also = [ad_person("u1")] if number == 1 else []
        events += ad_group(number, f"r{number}", ad_dn(f"r{number % ring + 1}"), *also)
    for number in range(1, 41):
        inner = [mail_dn(f"l{number + 1}"), mail_dn(f"m{number + 1}")] if number < 40 else []
        holds = (person("u1"),) if number == 40 else ()
        events += mail_group(number, f"l{number}", people=holds, groups=tuple(inner))
        events += mail_group(number + 100, f"m{number}", people=holds, groups=tuple(inner))
    live(world, *events)
    assert {number for number in range(1, ring + 1) if "u1" in effective(world, f"r{number}")} == set(
        range(1, ring + 1)
    )
    assert effective(world, f"r{ring}") == {"u1": (False, ["r1"], ["group_circle"])}
    assert effective(world, "l1") == {"u1": (False, ["l40", "m40"], [])}


def test_a_copy_is_joined_by_its_number_whatever_its_name(world: World) -> None:
    copy = {"dn": ad_dn("other-name", "OU=MCommADSync"), "gidNumber": 1}
    live(world, *ad_group(1, "other-name", **copy), *mail_group(1, "ichem-lab"))
    assert present(world) == {"other-name": "gid_number"}
    assert group(world, "other-name").is_mcomm_adsync
    # Elsewhere the number says nothing.
    live(world, Change(GROUP, guid(1), "dn", ad_dn("other-name")))
    assert present(world) == {"other-name": None, "ichem-lab": None}
    # And a copy of another group has the name for nothing.
    live(world, *ad_group(1, "ichem-lab", dn=ad_dn("ichem-lab", "OU=MCommADSync"), gidNumber=77))
    assert sorted(present(world)) == ["ichem-lab", f"ichem-lab~{guid(1)[-8:]}"]
    assert set(present(world).values()) == {None}


def test_an_alias_joins_as_a_name_does(world: World) -> None:
    live(world, *ad_group(1, " ICHEM-Lab"), *mail_group(1, "Inorganic Chemistry", "ichem-lab"))
    assert present(world) == {"ichem-lab": "alias"}
    row = group(world, "ichem-lab")
    assert (row.cn, row.group_name, row.mcommunity_gid_number) == ("ICHEM-Lab", "ICHEM-Lab", 1)


def test_a_mail_address_joins_nothing(world: World) -> None:
    live(world, *ad_group(1, "one", mail="ichem-lab@example.edu"), *mail_group(1, "two", umichGroupEmail=["ichem-lab"]))
    assert present(world) == {"one": None, "two": None}


def test_several_candidates_leave_all_apart_until_one_is_left(world: World) -> None:
    """Each knows whom it was compared with."""
    live(world, *ad_group(1, "ichem-lab"), *mail_group(1, "ichem-lab"), *mail_group(2, "Chemistry", "ichem-lab"))
    assert set(present(world).values()) == {None}
    blocked = world.rows("select * from silver.groups where 'several_candidates' = any(quality_flags)")
    assert len(blocked) == 3
    for row in blocked:
        assert row.source_keys == {"silver.ad_groups": [guid(1)], "silver.mcommunity_groups": ["1", "2"]}
        assert len(row.source_systems) == 1
    live(world, Change(MAIL, "2", None))
    assert present(world) == {"ichem-lab": "name"}
    assert "several_candidates" not in group(world, "ichem-lab").quality_flags


def test_a_group_that_was_made_anew_takes_the_place_of_the_one_that_is_gone(world: World) -> None:
    """The one before has its own row from then on, and keeps nobody out."""
    live(world, *ad_group(1, "ichem-lab"), *mail_group(1, "ichem-lab"))
    live(world, Change(GROUP, guid(1), None), *ad_group(2, "ichem-lab"))
    (row,) = world.rows("select * from silver.groups where match_method is not null")
    assert (str(row.ad_group_guid), row.mcommunity_gid_number, row.is_present) == (guid(2), 1, True)
    (gone,) = world.rows("select * from silver.groups where not is_present")
    assert str(gone.ad_group_guid) == guid(1)
    assert "duplicate_name" not in row.quality_flags


def test_groups_with_one_name_have_rows_of_their_own(world: World) -> None:
    """The first that was seen has the name, and goes on having it."""
    live(world, *ad_group(1, "staff"))
    live(
        world, *ad_group(2, "Staff", dn=ad_dn("Staff", "OU=Physics")), *ad_group(3, "STAFF", dn=ad_dn("STAFF", "OU=x"))
    )
    found = {row.group_id: row for row in world.rows("select * from silver.groups")}
    assert {name: str(row.ad_group_guid) for name, row in found.items()} == {
        "staff": guid(1), f"staff~{guid(2)[-8:]}": guid(2), f"staff~{guid(3)[-8:]}": guid(3),
    }  # fmt: skip
    assert all("duplicate_name" in row.quality_flags for row in found.values())
    live(world, Change(GROUP, guid(2), None), Change(GROUP, guid(3), None))
    assert "duplicate_name" not in group(world, "staff").quality_flags


def test_ids_that_end_alike_are_told_apart(world: World) -> None:
    live(world, *mail_group(5, "staff"))
    live(world, *mail_group(112345678, "staff"), *mail_group(212345678, "staff"), *mail_group(6, "staff~12345678"))
    assert sorted(present(world)) == [
        "staff", "staff~12345678", "staff~12345678~112345678", "staff~12345678~212345678",
    ]  # fmt: skip
    assert group(world, "staff~12345678").mcommunity_gid_number == 6


@pytest.mark.parametrize("name", [LONG, "x" * 5000, "&nbsp;", "\u00c9quipe &amp; Co", ABSENT])
def test_any_name_makes_a_row_or_none(world: World, name: Any) -> None:
    live(world, *ad_group(1, "other", cn=name, member=[LONG, "x", ""]), *mail_group(1, "two", cn=[name, name]))
    assert len(present(world)) == (0 if name in ("&nbsp;", ABSENT) else 1)


def test_people_decide_that_two_are_one_and_that_survives_a_rebuild(world: World) -> None:
    decide(world, 1, 1, is_link=True)
    live(world, *ad_group(1, "ichem-lab"), *mail_group(1, "Chemistry"), *mail_group(2, "ichem-lab"))
    for full in (False, True):
        world.refresh("groups", full=full)
        assert present(world)["ichem-lab"] == "manual"
        assert group(world, "ichem-lab").mcommunity_gid_number == 1
        assert len(present(world)) == 2
    check_quiet(world, world.definition("groups"), full=True)


def test_people_decide_that_two_are_never_one(world: World) -> None:
    """Not by a number either; and who is never the same keeps nobody out."""
    live(world, *ad_group(1, "ichem-lab"), *mail_group(1, "ichem-lab"), *mail_group(2, "Chemistry", "ichem-lab"))
    decide(world, 1, 1, is_link=False)
    live(world)
    assert present(world)["ichem-lab"] == "alias"
    assert group(world, "ichem-lab").mcommunity_gid_number == 2
    decide(world, 1, 2, is_link=False)
    live(
        world,
        Change(GROUP, guid(1), "dn", ad_dn("ichem-lab", "OU=MCommADSync")),
        Change(GROUP, guid(1), "gidNumber", 1),
    )
    assert set(present(world).values()) == {None}
    assert not world.rows("select 1 from silver.groups where 'several_candidates' = any(quality_flags)")


def test_decisions_that_contradict_each_other_join_nothing(world: World) -> None:
    decide(world, 1, 1, is_link=True)
    decide(world, 1, 2, is_link=True)
    live(world, *ad_group(1, "ichem-lab"), *mail_group(1, "ichem-lab"), *mail_group(2, "Chemistry"))
    assert set(present(world).values()) == {None}


def test_a_person_in_both_lists_is_one_member(world: World) -> None:
    live(
        world, *people("tokafor", "mvarga"), *ad_group(1, "ichem-lab", ad_person("tokafor")),
        *mail_group(1, "ichem-lab", people=(person("tokafor"), person("mvarga")), umichDirectMember=[person("TOkafor")]),
    )  # fmt: skip
    found = members(world, "ichem-lab")
    assert {key: (row.is_direct_member, row.in_ad, row.in_mcommunity) for key, row in found.items()} == {
        ("user", "tokafor"): (True, True, True), ("user", "mvarga"): (False, False, True),
    }  # fmt: skip
    row = found["user", "tokafor"]
    assert row.source_systems == ["active_directory", "mcommunity_ldap"]
    assert row.source_keys == {
        "silver.groups": ["ichem-lab"],
        "silver.directory_objects": [ad_person("tokafor").lower(), person("tokafor").lower()],
    }
    assert effective(world, "ichem-lab") == {"tokafor": (True, [], []), "mvarga": (False, [], [])}


def test_each_kind_of_member(world: World) -> None:
    """By the object that has the DN, not by how the DN looks."""
    contact = f"CN=Varga\\, Mira,OU=Contacts,{UNIVERSITY}"
    service = f"CN=svc-print,OU=Services,{UNIVERSITY}"
    live(
        world, *people("tokafor", "no name"), Change(COMPUTER, guid(1)), Change(COMPUTER, guid(1), "dn", f"CN=PC1,{STANDARD}"),
        Change(ACCOUNT, guid(3)), Change(ACCOUNT, guid(3), "dn", service), Change(ACCOUNT, guid(3), "uid", ABSENT),
        Change(ACCOUNT, guid(3), "sAMAccountName", "svc-print"), *ad_group(2, "inner"),
        *ad_group(1, "outer", ad_dn("Inner"), f"CN=pc1,{STANDARD}", contact, service, ad_person("stranger")),
        *mail_group(1, "outer", people=(person("no name"),), rfc822mail=["Someone@Example.org"]),
    )  # fmt: skip
    found = members(world, "outer")
    assert {key: (row.member_uniqname, row.member_group_id, row.quality_flags) for key, row in found.items()} == {
        ("group", "inner"): (None, "inner", []),
        ("computer", guid(1)): (None, None, []),
        ("unknown", contact.lower()): (None, None, ["unknown_member"]),
        ("user", "svc-print"): ("svc-print", None, []),
        ("unknown", ad_person("stranger").lower()): ("stranger", None, ["unknown_member"]),
        ("user", "2"): (None, None, ["no_uniqname"]),
        ("external", "someone@example.org"): (None, None, []),
    }
    # The stranger turns up, and is a member without any change of the group.
    live(
        world,
        Change(ACCOUNT, guid(4)),
        *(Change(ACCOUNT, guid(4), f, v) for f, v in (("dn", ad_person("stranger")), ("uid", ["guest"]))),
    )
    assert ("user", "guest") in members(world, "outer")


def test_n7_a_dn_that_is_given_again_means_the_new_object(world: World) -> None:
    live(world, *people("jrivers"), *ad_group(1, "ichem-lab", ad_person("jrivers")))
    live(world, Change(ACCOUNT, guid(1), "dn", ad_person("jstone")), Change(ACCOUNT, guid(1), "uid", ["jstone"]))
    assert members(world, "ichem-lab").keys() == {("unknown", ad_person("jrivers").lower())}
    live(world, Change(ACCOUNT, guid(2)), Change(ACCOUNT, guid(2), "dn", ad_person("jrivers")))
    live(world, Change(ACCOUNT, guid(2), "uid", ["jrivers2"]))
    assert members(world, "ichem-lab").keys() == {("user", "jrivers2")}


def test_a_group_inside_is_found_under_its_new_name(world: World) -> None:
    live(world, *people("u1"), *ad_group(1, "outer", ad_dn("inner")), *ad_group(2, "inner", ad_person("u1")))
    live(world, *ad_group(2, "renamed", ad_person("u1"), dn=ad_dn("inner")))
    assert members(world, "outer").keys() == {("group", "renamed")}
    assert effective(world, "outer") == {"u1": (False, ["renamed"], [])}
    live(world, Change(GROUP, guid(2), "cn", ABSENT))
    (row,) = members(world, "outer").values()
    assert (row.member_type, row.member_key, row.quality_flags) == ("group", guid(2), ["no_group"])


def test_owners_and_managers_are_told_apart(world: World) -> None:
    live(
        world, *people("tokafor", "mvarga"), *ad_group(1, "ichem-lab", managedBy=ad_person("TOkafor")),
        *mail_group(1, "ichem-lab", owner=[person("tokafor"), mail_dn("admins"), person("stranger")]),
        *mail_group(2, "admins", owner=[]),
    )  # fmt: skip
    names = "owner_kind, owner_type, owner_key, owner_uniqname, owner_group_id, source_systems, quality_flags"
    assert sorted(map(tuple, world.rows(f"select {names} from silver.group_owners where is_present"))) == [
        ("ad_manager", "user", "tokafor", "tokafor", None, ["active_directory"], []),
        ("mcommunity_owner", "group", "admins", None, "admins", ["mcommunity_ldap"], []),
        ("mcommunity_owner", "unknown", person("stranger").lower(), "stranger", None, ["mcommunity_ldap"], ["unknown_owner"]),
        ("mcommunity_owner", "user", "tokafor", "tokafor", None, ["mcommunity_ldap"], []),
    ]  # fmt: skip
    live(world, Change(GROUP, guid(1), "managedBy", ad_person("mvarga")))
    found = world.rows("select owner_key, is_present from silver.group_owners where owner_kind = 'ad_manager'")
    assert dict(map(tuple, found)) == {"tokafor": False, "mvarga": True}


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        ({"people": (person("tokafor"),)}, {"mcommunity_only"}),
        ({}, {"mcommunity_only", "no_members"}),
        ({"rfc822mail": ["x@example.org"]}, {"mcommunity_only"}),
        ({"groups": (mail_dn("x"),)}, {"mcommunity_only"}),
        ({"people": (person("tokafor"),), "umichGroupEmail": []}, {"mcommunity_only", "missing_group_email"}),
        (
            {"people": (person("tokafor"),), "umichDescription": [], "description": []},
            {"mcommunity_only", "missing_description"},
        ),
    ],
)
def test_what_is_missing(world: World, said: dict[str, Any], flags: set[str]) -> None:
    live(world, *mail_group(1, "ichem-lab", **said))
    assert set(group(world, "ichem-lab").quality_flags) == flags
