"""Groups, members and owners by the scenarios that name them (silver_consolidated_tables.md section 21: S3, S4, S15, S21; field
cases N5, N6, N7), and what readers see of them.
"""

from random import Random

import pytest

from lsats_dagster_tests import depth
from lsats_dagster_tests.contracts.groups_aids import (
    ACCOUNT,
    COMPUTER,
    GROUP,
    MAIL,
    PERSON,
    ad_dn,
    ad_group,
    ad_person,
    effective,
    group,
    live,
    mail_dn,
    mail_group,
    members,
    people,
    person,
    present,
)
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records_directories import STANDARD, UNIVERSITY, guid
from lsats_dagster_tests.contracts.shapes import ABSENT


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world.reset()


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


@pytest.mark.parametrize("seed", range(3 * depth.FACTOR))
def test_random_graphs_of_groups(world: World, seed: int) -> None:
    """Edges come and go, circles too; what follows them incrementally is the closure that the oracle computes."""
    chance, names, persons = Random(seed), "abcdefghij", ("u1", "u2", "u3")
    live(world, *people(*persons))
    for _ in range(4):
        events = []
        for name in chance.sample(names, 4):
            inner = [ad_dn(other) for other in chance.sample(names, chance.choice((0, 1, 1, 2)))]
            having = [ad_person(one) for one in chance.sample(persons, chance.choice((0, 0, 1)))]
            events += ad_group(names.index(name) + 1, name, *inner, *having)
        gone = Change(GROUP, guid(chance.randint(1, len(names))), None)
        live(world, *events, *([gone] if chance.random() < 0.5 else []))


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


def test_a_dn_leads_to_a_group_as_soon_as_that_has_its_row(world: World) -> None:
    """Whichever table is refreshed first."""
    live(world)
    world.apply(*ad_group(1, "one"), *mail_group(1, "two"))
    for stream, table in ((GROUP, "ad_groups"), (MAIL, "mcommunity_groups")):
        world.read(stream)
        world.refresh(table)
    shown = "select source_table, group_id from silver.directory_objects where record_key in (:guid, '1') and kind = 'group'"
    for table, found in (
        ("directory_objects", {"ad_groups": None, "mcommunity_groups": None}),
        ("groups", {"ad_groups": None, "mcommunity_groups": None}),
        ("directory_objects", {"ad_groups": "one", "mcommunity_groups": "two"}),
    ):
        assert world.refresh(table).mode == ("full" if table == "groups" else "incremental")
        assert dict(map(tuple, world.rows(shown, guid=guid(1)))) == found


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
    # The stranger turns up, and is an owner without any change of the group.
    live(
        world, Change(PERSON, "9"), Change(PERSON, "9", "dn", person("stranger")), Change(PERSON, "9", "uid", ["guest"])
    )
    assert world.rows("select 1 from silver.group_owners where owner_uniqname = 'guest' and is_present")


def test_what_readers_see(world: World) -> None:
    """Groups that are there with all of their members; of people nothing but the login name."""
    contact = f"CN=Varga\\, Mira,OU=Contacts,{UNIVERSITY}"
    live(
        world, *people("tokafor", "mvarga"), *ad_group(2, "inner", ad_person("mvarga")),
        *ad_group(3, "gone", ad_person("mvarga")),
        *ad_group(1, "outer", ad_dn("inner"), ad_person("tokafor"), contact, managedBy=contact),
        *mail_group(1, "outer", people=(person("tokafor"), person("mvarga")), umichDirectMember=[], owner=[person("mvarga")]),
    )  # fmt: skip
    live(world, Change(GROUP, guid(3), None), Change(GROUP, guid(2), "dn", ad_dn("inner", "OU=MCommADSync")))
    live(world, Change(GROUP, guid(1), "member", [ad_dn("inner", "OU=MCommADSync"), ad_person("tokafor"), contact]))
    summary = "select group_id, total_members, user_members, nested_groups, total_owners from silver.group_summary"
    assert sorted(map(tuple, world.rows(summary))) == [("inner", 1, 1, 0, 0), ("outer", 4, 2, 1, 2)]
    memberships = "select uniqname, group_id, is_direct_member, source_systems from silver.user_group_memberships"
    assert sorted(map(tuple, world.rows(memberships))) == [
        ("mvarga", "inner", True, ["active_directory"]), ("mvarga", "outer", False, ["mcommunity_ldap"]),
        ("tokafor", "outer", True, ["active_directory", "mcommunity_ldap"]),
    ]  # fmt: skip
    assert [row.group_id for row in world.rows("select * from silver.synced_groups")] == ["inner"]
    for view, rows in (
        ("v_groups", 2),
        ("v_group_members", 5),
        ("v_group_owners", 2),
        ("v_effective_group_members", 3),
    ):
        shown = [str(tuple(row)).lower() for row in world.rows(f"select * from silver.{view}")]
        assert len(shown) == rows, view
        assert not any("contacts" in row for row in shown), view
