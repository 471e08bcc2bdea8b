"""Which groups of the two directories are one, which names they have, and what is missing in them."""

from collections.abc import Iterator
from typing import Any

import pytest

from lsats_dagster_tests.contracts.groups_aids import (
    GROUP,
    MAIL,
    ad_dn,
    ad_group,
    decide,
    group,
    live,
    mail_dn,
    mail_group,
    person,
    present,
)
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records_directories import guid
from lsats_dagster_tests.contracts.shapes import ABSENT, LONG
from lsats_dagster_tests.contracts.table_checks import check_quiet


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    yield shared_world.reset()
    shared_world.administer("delete from curated.group_links")


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
    (row,) = world.rows("select * from silver.groups where match_method is not null")
    assert (row.match_method, str(row.ad_group_guid), row.mcommunity_gid_number) == ("alias", guid(1), 2)
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
