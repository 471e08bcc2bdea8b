"""Every example value and every edge case that silver_source_tables.md names for the directories (4.6 to 4.11, 2.3 to 2.5), row
by row; then what only a sequence of reads shows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from lsats_dagster_tests.contracts.examples import APPOINTMENT, DEPARTMENT, USER, Example
from lsats_dagster_tests.contracts.examples_active_directory import AD_COMPUTERS, AD_GROUPS, AD_USERS
from lsats_dagster_tests.contracts.examples_directories import AD_UNITS, LAB, MCOMMUNITY_GROUPS, MCOMMUNITY_USERS
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records import uid
from lsats_dagster_tests.contracts.records_directories import guid
from lsats_dagster_tests.contracts.shapes import ABSENT, SHAPES
from lsats_dagster_tests.contracts.table_checks import check_rules
from lsats_dagster_tests.contracts.test_value_examples import assert_as_told, row

PERSON, MAIL_GROUP = "mcommunity_ldap/user", "mcommunity_ldap/group"
ACCOUNT, GROUP, UNIT, COMPUTER = (
    f"active_directory/{name}" for name in ("user", "group", "organizational_unit", "computer")
)
EXAMPLES: Mapping[str, tuple[str, Sequence[Example]]] = {
    "mcommunity_users": (PERSON, MCOMMUNITY_USERS), "mcommunity_groups": (MAIL_GROUP, MCOMMUNITY_GROUPS),
    "ad_users": (ACCOUNT, AD_USERS), "ad_groups": (GROUP, AD_GROUPS), "ad_computers": (COMPUTER, AD_COMPUTERS),
    "ad_organizational_units": (UNIT, AD_UNITS),
}  # fmt: skip
# Names that units may be named after, in each source that knows names; one of them is a word for a branch.
SOMEBODY = [
    Change(PERSON, "1", "uid", ["jrivers"]), Change(PERSON, "2", "uid", ["standard"]),
    Change(APPOINTMENT, "00000001:0", "UniqName", "RIVERS"), Change(APPOINTMENT, "00000002:0", "UniqName", "employee"),
    Change(DEPARTMENT, "1"), Change(USER, uid(1), "AlternateID", "tdxuser"),
]  # fmt: skip


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world.reset()


def live(world: World, *events: Change) -> None:
    """Something happens and is read, and the tables follow; those of directories are what a full refresh gives."""
    world.apply(*events)
    for stream in dict.fromkeys(event.stream for event in events):
        world.read(stream)
    world.refresh_all()
    for table in EXAMPLES:
        check_rules(world, world.definition(table))


def said(stream: str, key: str, values: Mapping[str, Any]) -> list[Change]:
    return [Change(stream, key), *(Change(stream, key, name, value) for name, value in values.items())]


@pytest.mark.parametrize("table", EXAMPLES)
def test_examples(world: World, table: str) -> None:
    """Each value as it is said beside what must stand in the table, with exactly these flags."""
    stream, examples = EXAMPLES[table]
    keys = [example.key or SHAPES[stream].number(n) for n, example in enumerate(examples, start=1)]
    events = [event for key, example in zip(keys, examples, strict=True) for event in said(stream, key, example.said)]
    if table == "ad_organizational_units":
        events += SOMEBODY
        in_lab = [f"CN=PC{n},{LAB.lower() if n == 1 else LAB}" for n in range(1, 4)]
        events += [event for n, dn in enumerate(in_lab, start=1) for event in said(COMPUTER, guid(n), {"dn": dn})]
    live(world, *events)
    assert_as_told(world, table, dict(zip(keys, examples, strict=True)))


def test_a_login_name_that_is_given_to_another(world: World) -> None:
    """N7, MU-4: the row stays with its number or GUID, and nothing of it shows under the other."""
    live(world, *said(ACCOUNT, guid(1), {"uid": ["jrivers"], "sn": "Rivers"}), *said(PERSON, "1", {"uid": ["jrivers"]}))
    first = row(world, "ad_users", guid(1))
    live(world, Change(ACCOUNT, guid(1), "uid", ["jstone"]), Change(PERSON, "1", "uid", ["jstone"]))
    live(world, *said(ACCOUNT, guid(2), {"uid": ["jrivers"], "sn": "Other"}), *said(PERSON, "2", {"uid": ["jrivers"]}))
    one, two = (row(world, "ad_users", guid(n)) for n in (1, 2))
    assert (one.uniqname, two.uniqname, one.last_name, two.last_name) == ("jstone", "jrivers", "Rivers", "Other")
    assert (one.first_seq, one.first_seen_at) == (first.first_seq, first.first_seen_at)
    assert two.first_seq > first.first_seq
    people = [row(world, "mcommunity_users", key) for key in "12"]
    assert [(found.uniqname, found.is_present, found.quality_flags) for found in people] == [
        ("jstone", True, []), ("jrivers", True, []),
    ]  # fmt: skip


def test_who_is_gone_claims_nothing_any_more(world: World) -> None:
    """Of two with one name the one that stays is no longer flagged, and is again when the other comes back."""
    both = [*said(PERSON, "1", {}), *said(PERSON, "2", {"uid": ["Person1"]}), *said(MAIL_GROUP, "1", {}),
            *said(MAIL_GROUP, "2", {"umichGroupEmail": ["Example-group-1"]}), *said(ACCOUNT, guid(1), {}),
            *said(ACCOUNT, guid(2), {"uid": ["person1"], "lastLogonTimestamp": "2025-06-01T09:00:00Z"})]  # fmt: skip

    def told() -> list[Any]:
        rows = [row(world, table, "1") for table in ("mcommunity_users", "mcommunity_groups")]
        account = row(world, "ad_users", guid(1))
        return [*(found.quality_flags for found in rows), account.quality_flags, account.is_primary_account]

    shared: list[Any] = [["uniqname_conflict"], ["duplicate_email"], ["several_accounts"], False]
    live(world, *both)
    assert told() == shared
    live(world, Change(PERSON, "2", None), Change(MAIL_GROUP, "2", None), Change(ACCOUNT, guid(2), None))
    assert told() == [[], [], [], True]
    gone = row(world, "ad_users", guid(2))
    assert (gone.is_present, gone.is_enabled, gone.is_primary_account) == (False, True, False)
    live(world, Change(PERSON, "2"), Change(MAIL_GROUP, "2"), Change(ACCOUNT, guid(2)))
    assert told() == shared


def test_the_first_account_moves_with_what_the_others_say(world: World) -> None:
    """Only the other one changed."""
    two = {"uid": ["person1"], "userAccountControl": 514}
    live(world, *said(ACCOUNT, guid(1), {}), *said(ACCOUNT, guid(2), two))
    assert [row(world, "ad_users", guid(n)).is_primary_account for n in (1, 2)] == [True, False]
    live(
        world,
        Change(ACCOUNT, guid(2), "userAccountControl", 512),
        Change(ACCOUNT, guid(2), "lastLogonTimestamp", "2026-01-01T00:00:00Z"),
    )
    assert [row(world, "ad_users", guid(n)).is_primary_account for n in (1, 2)] == [False, True]


def test_a_group_that_was_emptied_grants_nothing(world: World) -> None:
    """MG-8: whether it comes without members, or comes no more."""
    live(world, Change(MAIL_GROUP, "1"), Change(MAIL_GROUP, "2"), Change(GROUP, guid(1)), Change(GROUP, guid(2)))
    live(
        world,
        Change(MAIL_GROUP, "1", "member", []),
        Change(MAIL_GROUP, "2", None),
        Change(GROUP, guid(1), "member", ABSENT),
    )
    assert row(world, "mcommunity_groups", "1").member_uniqnames == row(world, "ad_groups", guid(1)).members == []
    assert not row(world, "mcommunity_groups", "2").is_present


def test_a_renamed_group_is_the_same(world: World) -> None:
    """MG-2."""
    live(world, Change(MAIL_GROUP, "1"))
    before = row(world, "mcommunity_groups", "1")
    live(
        world,
        *said(MAIL_GROUP, "1", {"umichGroupEmail": ["renamed"], "cn": ["Renamed"], "dn": "cn=Renamed,ou=User Groups"}),
    )
    (after,) = world.rows("select * from silver.mcommunity_groups")
    assert (after.group_email, after.group_name) == ("renamed", "Renamed")
    assert after.mcommunity_group_uid == before.mcommunity_group_uid


def test_members_that_a_client_left_in_pieces_are_put_together_and_told(world: World) -> None:
    """AG-5: the integrity check counts such a group."""
    pieces = {"member;range=2-*": ["CN=c"], "member;range=0-1": ["CN=a", "CN=b"], "member": []}
    live(world, *said(GROUP, guid(1), pieces))
    found = row(world, "ad_groups", guid(1))
    assert (found.members, found.quality_flags) == (["CN=a", "CN=b", "CN=c"], ["members_in_pieces"])
    assert "members_in_pieces" in world.definition("ad_groups").dangling


def test_a_computer_is_known_by_its_guid(world: World) -> None:
    """AC-1: renamed it stays; joined anew under its old name it is another, and both stand while both are there."""
    live(world, *said(COMPUTER, guid(1), {"cn": "PC", "sAMAccountName": "PC$"}))
    live(world, *said(COMPUTER, guid(1), {"cn": "NEW", "sAMAccountName": "NEW$"}))
    assert [found.computer_name for found in world.rows("select * from silver.ad_computers")] == ["NEW"]
    live(world, *said(COMPUTER, guid(2), {"cn": "new"}))
    both = [row(world, "ad_computers", guid(n)) for n in (1, 2)]
    assert [found.quality_flags for found in both] == [["duplicate_name"]] * 2
    live(world, Change(COMPUTER, guid(1), None))
    one, two = (row(world, "ad_computers", guid(n)) for n in (1, 2))
    assert (one.is_present, one.quality_flags, two.is_present, two.quality_flags) == (False, [], True, [])


def test_no_secret_of_a_computer_stands_in_its_row(world: World) -> None:
    """AC-5."""
    keys = {"userCertificate": ["c2VjcmV0IGNlcnRpZmljYXRl"], "msDS-KeyCredentialLink": ["B:8:secretkey:CN=x"],
            "msLAPS-EncryptedPassword": "secretpassword", "msDS-ManagedPasswordId": "secretid"}  # fmt: skip
    live(world, *said(COMPUTER, guid(1), keys))
    ((text,),) = world.rows("select t::text from silver.ad_computers t")
    assert [value for value in ("c2VjcmV0", "secret") if value in text] == []


def test_a_unit_is_counted_by_what_is_there(world: World) -> None:
    """AO-3: the unit itself does not change."""
    unit = {"dn": LAB, "ou": ["psyc-jrivers"]}
    live(
        world,
        *said(UNIT, guid(1), unit),
        *said(COMPUTER, guid(1), {"dn": f"CN=a,{LAB}"}),
        *said(COMPUTER, guid(2), {"dn": f"CN=b,{LAB}"}),
    )

    def counts() -> tuple[Any, ...]:
        found = row(world, "ad_organizational_units", guid(1))
        return found.direct_computer_count, found.has_computer_children, found.child_ou_count, found.has_child_ous

    assert counts() == (2, True, 0, False)
    live(world, Change(COMPUTER, guid(1), None), *said(UNIT, guid(2), {"dn": f"OU=x,{LAB.upper()}"}))
    assert counts() == (1, True, 1, True)
    live(world, Change(COMPUTER, guid(2), "dn", "CN=b,OU=Elsewhere"), Change(UNIT, guid(2), None))
    assert counts() == (0, False, 0, False)


def test_a_unit_is_somebodys_as_soon_as_they_are_known(world: World) -> None:
    """AO-2: also when they have left since."""

    def extracted() -> Any:
        return row(world, "ad_organizational_units", guid(1)).extracted_uniqname

    live(world, *said(UNIT, guid(1), {"ou": ["psyc-jrivers"]}))
    assert extracted() is None
    live(world, *said(PERSON, "1", {"uid": ["jrivers"]}))
    assert extracted() == "jrivers"
    live(world, Change(PERSON, "1", None), Change(PERSON, "2"))
    assert extracted() == "jrivers"


def test_a_unit_that_was_made_again_is_another(world: World) -> None:
    """AO-4: under the same DN."""
    live(world, *said(UNIT, guid(1), {"dn": LAB}))
    live(world, Change(UNIT, guid(1), None), *said(UNIT, guid(2), {"dn": LAB}))
    one, two = (row(world, "ad_organizational_units", guid(n)) for n in (1, 2))
    assert (one.is_present, two.is_present, two.quality_flags) == (False, True, [])


def test_a_computer_in_the_read_of_accounts_is_no_account(world: World) -> None:
    """AU-2."""
    computer = {"objectClass": ["top", "person", "organizationalPerson", "user", "Computer"]}
    live(world, *said(ACCOUNT, guid(1), computer), Change(ACCOUNT, guid(2)))
    assert [str(found.ad_user_guid) for found in world.rows("select * from silver.ad_users")] == [guid(2)]
    (run,) = world.rows("select metadata from meta.ingestion_runs where source_system = 'active_directory'")
    assert run.metadata["skipped_by_rule"] == {"a computer": 1}
