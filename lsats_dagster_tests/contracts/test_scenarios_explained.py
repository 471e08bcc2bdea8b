"""What `explain` says of people and groups: how records were joined, what people decided, what may belong to a row."""

from collections.abc import Iterator
from typing import Any

import pytest

from lsats_dagster.transforms.explain import Apart, Contributor, Explanation, apart, explain
from lsats_dagster.transforms.kept import kept
from lsats_dagster_tests.contracts import groups_aids, people_aids
from lsats_dagster_tests.contracts.histories import World
from lsats_dagster_tests.contracts.people_aids import account, ad_account, appointment, department, person, tdx_user
from lsats_dagster_tests.contracts.records import uid
from lsats_dagster_tests.contracts.records_directories import guid

EMPLOYEE = "00000001"


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    yield shared_world.reset()
    shared_world.empty("curated.person_links", "curated.group_links")


def explained(world: World, table: str, key: str) -> Explanation:
    with world.admin.transaction() as connection:
        found = explain(connection, world.definition(table), key, world.definitions)
    assert found is not None
    return found


def told(found: Explanation) -> dict[tuple[str, str], dict[str, Any]]:
    """What is said of each record of a person that was joined."""
    rows = [row for row in found.made_from if isinstance(row, Contributor) and row.told]
    return {(row.table, row.key): row.told for row in rows if row.table == "silver/person_records"}


def test_each_record_of_a_person_says_by_which_key_it_was_joined(world: World) -> None:
    people_aids.live(
        world, tdx_user(1), person(1), ad_account(1), appointment(1, UniqName=None), tdx_user(2), tdx_user(5),
    )  # fmt: skip
    people_aids.decide(world, "tdx_users", uid(2), "person1")
    people_aids.refresh(world)
    found = explained(world, "users", "person1")
    own = {"uniqname": "person1", "method": "own"}
    assert told(found) == {
        ("silver/person_records", f"tdx_users:{uid(1)}"): own,
        ("silver/person_records", f"tdx_users:{uid(2)}"): {
            "uniqname": "person1", "method": "manual", "candidates": ["person2"], "decided_by": "keeper",
            "decision_reason": "Asked the person",
        },
        ("silver/person_records", "mcommunity_users:1"): own,
        ("silver/person_records", f"ad_users:{guid(1)}"): own,
        ("silver/person_records", f"umapi_employees:{EMPLOYEE}:0"): {"uniqname": "person1", "method": "tdx"},
    }  # fmt: skip
    assert (found.apart, found.decisions) == ([], [])
    record = explained(world, "person_records", f"tdx_users:{uid(2)}")
    (decision,) = record.decisions
    assert (decision.table, decision.told["author"], decision.told["reason"]) == (
        "curated.person_links", "keeper", "Asked the person",
    )  # fmt: skip


@pytest.mark.parametrize("other", [None, "person2"])
def test_a_record_that_people_took_away_stands_apart_with_their_reason(world: World, other: str | None) -> None:
    people_aids.live(world, tdx_user(1), person(1), tdx_user(2))
    people_aids.decide(world, "mcommunity_users", "1", other)
    people_aids.refresh(world)
    (taken,) = explained(world, "users", "person1").apart
    assert (taken.table, taken.key) == ("silver/mcommunity_users", "1")
    expected = {
        "candidates": ["person1"],
        "decided_by": "keeper",
        "decision_reason": "Asked the person",
        "method": "manual",
    }
    assert taken.told == expected | ({"uniqname": other} if other else {"unlinked_reason": "manual"})
    assert explained(world, "users", "person2").apart == []


def test_what_nobody_can_decide_stands_apart_from_all_it_may_belong_to(world: World) -> None:
    people_aids.live(world, appointment(1, UniqName=None), tdx_user(1), tdx_user(2, ExternalID=EMPLOYEE))
    unsure = Apart(
        "silver/umapi_employees",
        f"{EMPLOYEE}:0",
        {"unlinked_reason": "several_candidates", "candidates": ["person1", "person2"]},
    )
    assert [explained(world, "users", f"person{number}").apart for number in (1, 2)] == [[unsure]] * 2
    # Nobody has this key, and who looks for it learns why.
    with world.admin.transaction() as connection:
        assert explain(connection, world.definition("users"), f"{EMPLOYEE}:0", world.definitions) is None
        assert unsure in apart(connection, world.definitions, f"{EMPLOYEE}:0")
        linked = apart(connection, world.definitions, uid(1))
    assert [(row.table, row.told["uniqname"]) for row in linked] == [("silver/tdx_users", "person1")]


def test_every_present_record_of_people_and_departments_is_somewhere(world: World) -> None:
    people_aids.live(
        world, account(1), account(2, Code=""), department("100001"), tdx_user(1), tdx_user(2, AlternateID=""),
        person(1), person(2), ad_account(1), ad_account(2, cn="person1\nCNF:3f1d9c2e", uid=["person1"]),
        appointment(1, UniqName=None), appointment(3, UniqName=None),
    )  # fmt: skip
    tables = ("person_records", "users", "unlinked_records", "departments")
    with world.admin.transaction() as connection:
        found = [row for table in tables for row in kept(connection, world.definition(table))]
    assert [row for row in found if row.lost] == []
    people_and_accounts = [row for row in found if row.input in ("silver.person_records", "silver.tdx_departments")]
    present = {row.input: row.present for row in people_and_accounts}
    assert present == {"silver.person_records": 8, "silver.tdx_departments": 2}
    # Each of them belongs into exactly one table.
    for name, rows in present.items():
        assert sum(row.belonging for row in people_and_accounts if row.input == name) == rows
    assert {
        row.belonging for row in found if (row.table, row.input) == ("silver.unlinked_records", "silver.person_records")
    } == {3}


def test_a_group_says_what_joined_its_two_sides_and_what_people_decided(world: World) -> None:
    groups_aids.live(
        world, *groups_aids.ad_group(1, "ichem-lab"), *groups_aids.mail_group(1, "Chemistry Lab", "ichem-lab"),
        *groups_aids.ad_group(2, "physics"), *groups_aids.mail_group(2, "physics"),
    )  # fmt: skip
    found = explained(world, "groups", "ichem-lab")
    assert (found.told, found.decisions) == ({"match_method": "alias"}, [])
    groups_aids.decide(world, 2, 2, is_link=False)
    groups_aids.live(world)
    # Both sides stand alone, and each says who wanted it so.
    for key in [row.group_id for row in world.rows("select group_id from silver.groups where group_name = 'physics'")]:
        found = explained(world, "groups", key)
        (decision,) = found.decisions
        assert (found.told, decision.told["is_link"], decision.told["author"]) == ({}, False, "someone")
        assert decision.told["reason"] == "for a test"
