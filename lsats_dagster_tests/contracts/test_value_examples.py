"""Every example value and every edge case that silver_source_tables.md names for people, assets, appointments, the inventory and
awards (4.1, 4.3, 4.5, 4.12, 4.13), row by row; then what only a sequence of reads shows.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lsats_dagster_tests.contracts.examples import (
    APPOINTMENT,
    ASSET,
    ASSET_DETAIL,
    AWARD,
    CARD,
    DEPARTMENT,
    PERSONNEL,
    PI,
    READ_FROM,
    USAGE,
    USER,
    USER_DETAIL,
    Example,
    moment,
)
from lsats_dagster_tests.contracts.examples_others import AWARDS, COMPUTERS, EMPLOYEES
from lsats_dagster_tests.contracts.examples_tdx import ASSETS, USERS
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records import mac, uid
from lsats_dagster_tests.contracts.shapes import SHAPES
from lsats_dagster_tests.contracts.table_checks import check_rules

EXAMPLES = {
    "tdx_users": USERS, "tdx_assets": ASSETS, "umapi_employees": EMPLOYEES, "lab_awards": AWARDS,
    "keyconfigure_computers": COMPUTERS,
}  # fmt: skip


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world.reset()


def changes(stream: str, key: str, said: Mapping[str, Any]) -> Iterator[Change]:
    yield Change(stream, key)
    yield from (
        Change(stream, key, name, value) for name, value in said.items() if name in SHAPES[stream].ordinary(key)
    )


def row(world: World, table: str, key: str) -> Any:
    """The row that is made of the record with this key."""
    definition = world.definition(table)
    if definition.kind == "source":
        condition = (
            f"{definition.scope} = :key" if definition.scope != definition.key[0] else f"({definition.key_text}) = :key"
        )
    else:
        condition = "source_keys -> 'bronze.keyconfigure_computers' ? :key"
    (found,) = world.rows(f"select * from {definition.name} where {condition}", key=key)
    return found


@pytest.mark.parametrize("table", EXAMPLES)
def test_examples(world: World, table: str) -> None:
    """Each value as it is said beside what must stand in the table, with exactly these flags."""
    first, *others = READ_FROM[table]
    keys = [example.key or SHAPES[first].number(n) for n, example in enumerate(EXAMPLES[table], start=1)]
    world.apply(*(Change(DEPARTMENT, str(n)) for n in range(1, len(keys) + 1)))
    for key, example in zip(keys, EXAMPLES[table], strict=True):
        world.apply(*changes(first, key, example.said))
        for stream in others:
            world.apply(Change(stream, key, None))
            if example.more is not None:
                world.apply(*changes(stream, key, {**example.said, **example.more}))
    for stream in (DEPARTMENT, first, *others):
        world.read(stream)
    for name in ("tdx_departments", table):
        world.refresh(name)
    check_rules(world, world.definition(table))
    assert_as_told(world, table, dict(zip(keys, EXAMPLES[table], strict=True)))


def assert_as_told(world: World, table: str, examples: Mapping[str, Example]) -> None:
    """Each row is as the example with its key says; {n} in what is expected stands for the place of the example."""
    unlike = {}
    for n, (key, example) in enumerate(examples.items(), start=1):
        found = row(world, table, key)
        expected = {name: numbered(value, str(n)) for name, value in example.expected.items()}
        shown = {name: getattr(found, name) for name in expected}
        if (shown, set(found.quality_flags)) != (expected, set(example.flags)):
            wrong = {name: (shown[name], value) for name, value in expected.items() if shown[name] != value}
            unlike[n, key, str(example.said)[:80]] = (wrong, set(found.quality_flags) ^ set(example.flags))
    assert not unlike, f"(is, should be), and flags that only one of both has: {unlike}"


def numbered(value: Any, number: str) -> Any:
    """The value with its number in place of {n}."""
    if isinstance(value, list):
        return [numbered(member, number) for member in value]
    return value.replace("{n}", number) if isinstance(value, str) else value


def live(world: World, *events: Change, streams: tuple[str, ...]) -> None:
    """Something happens and is read; the tables that these streams reach are refreshed incrementally, and are what a full
    refresh gives.
    """
    world.apply(*events)
    for stream in streams:
        world.read(stream)
    reached = [table for table, read in READ_FROM.items() if {*read} & {*streams}]
    for table in ("tdx_departments", *reached):
        world.refresh(table)
    for table in reached:
        check_rules(world, world.definition(table))


def test_a_search_that_is_newer_than_the_detail_takes_nothing_from_it(world: World) -> None:
    """TU-1, TA-1: what only the detail shows stays, what both show is as the newer one says."""
    read = (DEPARTMENT, USER, USER_DETAIL, ASSET, ASSET_DETAIL)
    live(world, Change(DEPARTMENT, "1"), Change(USER, uid(1)), Change(ASSET, "1"), streams=read)
    before = [row(world, "tdx_users", uid(1)), row(world, "tdx_assets", "1")]
    moved = [Change(USER, uid(1), "MobilePhone", "555-0199"), Change(ASSET, "1", "StatusName", "Retired")]
    live(world, *moved, streams=(USER, ASSET))
    user, asset = row(world, "tdx_users", uid(1)), row(world, "tdx_assets", "1")
    assert (user.mobile_phone, asset.status_name) == ("555-0199", "Retired")
    kept = ("group_ids", "attributes", "applications", "location_name", "detail_raw_id", "is_enriched")
    assert [getattr(user, name) for name in kept] == [getattr(before[0], name) for name in kept]
    assert [value for name, value in asset._mapping.items() if name.startswith(("attr", "detail", "mac", "ip"))] == [
        value for name, value in before[1]._mapping.items() if name.startswith(("attr", "detail", "mac", "ip"))
    ]
    world.apply(Change(USER_DETAIL, uid(1), "MobilePhone", "555-0111"))
    world.read(USER_DETAIL, "full")
    live(world, streams=(USER,))
    assert row(world, "tdx_users", uid(1)).mobile_phone == "555-0111"


def test_who_is_gone_shares_nothing_any_more(world: World) -> None:
    """TU-8, TA-8: gone is is_present = false; who stays is no longer flagged, who comes back is again."""
    both = [Change(USER, uid(1)), Change(USER, uid(2)), Change(USER, uid(2), "AlternateID", "Person1 "),
            Change(ASSET, "1"), Change(ASSET, "2"), Change(ASSET, "2", "Tag", "EX-1")]  # fmt: skip
    live(world, Change(DEPARTMENT, "1"), *both, streams=(DEPARTMENT, USER, ASSET))
    shared = "duplicate_uniqname", "duplicate_tag"

    def flagged() -> list[bool]:
        found = [row(world, "tdx_users", uid(n)) for n in (1, 2)] + [row(world, "tdx_assets", n) for n in "12"]
        return [bool({*shared} & set(one.quality_flags)) for one in found]

    assert flagged() == [True] * 4
    live(world, Change(USER, uid(2), None), Change(ASSET, "2", None), streams=(USER, ASSET))
    assert flagged() == [False] * 4
    user, asset = row(world, "tdx_users", uid(2)), row(world, "tdx_assets", "2")
    assert (user.is_present, user.is_active, asset.is_present) == (False, True, False)
    assert None not in (user.removed_at, asset.removed_at)
    live(world, Change(USER, uid(2)), Change(ASSET, "2"), streams=(USER, ASSET))
    assert flagged() == [True] * 4


def test_a_person_follows_the_code_of_their_account(world: World) -> None:
    """TU-7: an account that changes its code, or goes, moves the people of it, who have not changed."""
    live(world, Change(DEPARTMENT, "1"), Change(DEPARTMENT, "2"), Change(USER, uid(1)), streams=(DEPARTMENT, USER))
    assert row(world, "tdx_users", uid(1)).department_id == "100001"
    live(world, Change(DEPARTMENT, "1", "Code", "100099"), streams=(DEPARTMENT, USER))
    assert row(world, "tdx_users", uid(1)).department_id == "100099"
    live(world, Change(DEPARTMENT, "1", "Code", " "), streams=(DEPARTMENT, USER))
    codeless = row(world, "tdx_users", uid(1))
    assert (codeless.department_id, "unknown_account" in codeless.quality_flags) == (None, False)
    live(world, Change(DEPARTMENT, "1", None), streams=(DEPARTMENT, USER))
    gone = row(world, "tdx_users", uid(1))
    assert (gone.department_id, gone.default_account_id, "unknown_account" in gone.quality_flags) == (None, 1, True)


def test_an_ended_appointment_is_never_the_first(world: World) -> None:
    """UE-7: 0 ended, 1 alive; then another comes, and 0 comes back."""
    keys = [f"00000001:{n}" for n in range(3)]
    live(world, Change(APPOINTMENT, keys[0]), Change(APPOINTMENT, keys[1]), streams=(APPOINTMENT,))

    def primary() -> list[str]:
        found = world.rows("select empl_rcd::text from silver.umapi_employees where is_primary order by 1")
        return [number for (number,) in found]

    assert primary() == ["0"]
    live(world, Change(APPOINTMENT, keys[0], None), Change(APPOINTMENT, keys[2]), streams=(APPOINTMENT,))
    assert primary() == ["1"]
    live(world, Change(APPOINTMENT, keys[0]), Change(APPOINTMENT, keys[1], None), streams=(APPOINTMENT,))
    assert primary() == ["0"]
    live(
        world,
        *(Change(APPOINTMENT, key, None) for key in keys),
        Change(APPOINTMENT, "00000002:5"),
        streams=(APPOINTMENT,),
    )
    assert primary() == ["5"]


def test_an_employee_id_may_hold_a_colon(world: World) -> None:
    """The record number is what stands behind the last one."""
    world.apply(Change(APPOINTMENT, "00000001:0"), Change(APPOINTMENT, "00000001:0", "EmplId", "a:5"))
    world.read(APPOINTMENT)
    world.refresh("umapi_employees")
    (found,) = world.rows("select empl_id, empl_rcd from silver.umapi_employees")
    assert tuple(found) == ("a:5", 0)


def computers(world: World, *columns: str) -> dict[str, tuple[Any, ...]]:
    """computer_id -> whether it is there, and these columns."""
    found = world.rows(
        f"select {', '.join(('computer_id', 'is_present', *columns))} from silver.keyconfigure_computers"
    )
    return {computer: tuple(rest) for computer, *rest in found}


def test_a_card_stands_with_one_computer(world: World) -> None:
    """KC-1, KC-3: a card that moves, and a machine that is renamed, leave nothing behind; one that is gone keeps what it had."""
    read = (CARD, USAGE)
    docked = [Change(stream, mac(n)) for stream in read for n in (1, 2, 3)]
    docked += [Change(CARD, mac(2), "Name", "EX-PC-1"), Change(CARD, mac(2), "OEM SN", "SERIAL1")]
    live(world, *docked, streams=read)
    one, three = "EX-PC-1-SERIAL1", "EX-PC-3-SERIAL3"
    assert computers(world, "nic_count") == {one: (True, 2), three: (True, 1)}
    # The dock goes to the other machine.
    moved = [Change(CARD, mac(2), "Name", "EX-PC-3"), Change(CARD, mac(2), "OEM SN", "SERIAL3")]
    live(world, *moved, streams=read)
    assert computers(world, "nic_count", "mac_addresses") == {
        one: (True, 1, ["020000000001"]), three: (True, 2, ["020000000002", "020000000003"]),
    }  # fmt: skip
    live(world, Change(CARD, mac(1), "Name", "RENAMED"), streams=read)
    assert computers(world, "nic_count") == {one: (False, 1), three: (True, 2), "RENAMED-SERIAL1": (True, 1)}
    # One card less, then none: the last values are those of the cards that were there last.
    live(world, *(Change(stream, mac(2), None) for stream in read), streams=read)
    assert computers(world, "nic_count")[three] == (True, 1)
    last = row(world, "keyconfigure_computers", mac(3))
    live(world, *(Change(stream, mac(3), None) for stream in read), streams=read)
    gone = row(world, "keyconfigure_computers", mac(3))
    assert (gone.is_present, gone.entity_hash) == (False, last.entity_hash)
    (removed_at,) = world.rows(
        "select removed_at from bronze.keyconfigure_computers where external_id = :key", key=mac(3)
    )[0]
    assert gone.removed_at == removed_at
    live(world, *(Change(stream, mac(3)) for stream in read), streams=read)
    assert computers(world, "nic_count")[three] == (True, 1)


def test_a_card_without_serial_number_follows_its_name(world: World) -> None:
    """KC-4: it belongs to the only machine of its name, as long as there is only one in the newest export."""
    lone = [
        Change(CARD, mac(1)),
        Change(CARD, mac(2)),
        Change(CARD, mac(2), "Name", "ex-pc-1"),
        Change(CARD, mac(2), "OEM SN", ""),
    ]
    live(world, *lone, streams=(CARD,))
    assert computers(world, "nic_count") == {"EX-PC-1-SERIAL1": (True, 2)}
    twin = [Change(CARD, mac(3)), Change(CARD, mac(3), "Name", "EX-PC-1")]
    live(world, *twin, streams=(CARD,))
    assert computers(world, "nic_count") == {
        "EX-PC-1-SERIAL1": (True, 1), "EX-PC-1-SERIAL3": (True, 1), "EX-PC-1": (True, 1),
    }  # fmt: skip
    live(world, Change(CARD, mac(1), None), streams=(CARD,))
    assert computers(world, "nic_count") == {
        "EX-PC-1-SERIAL1": (False, 1), "EX-PC-1-SERIAL3": (True, 2), "EX-PC-1": (False, 1),
    }  # fmt: skip
    live(world, Change(CARD, mac(3), None), Change(CARD, mac(4)), streams=(CARD,))
    assert computers(world)["EX-PC-1"] == (True,)


def test_the_latest_session_speaks(world: World) -> None:
    """The card with it, then the one with the latest audit, then the first by MAC; what is newest is so over all cards."""
    for n in (1, 2, 3):
        world.apply(
            Change(CARD, mac(n), "Name", "PC"),
            Change(CARD, mac(n), "OEM SN", "SERIAL"),
            Change(CARD, mac(n), "CPU", str(n)),
        )

    def speaks(number: int, **usage: str) -> str:
        events = [Change(USAGE, mac(number), name.replace("_", " "), value) for name, value in usage.items()]
        live(world, *events, streams=(CARD, USAGE))
        return str(computers(world, "cpu")["PC-SERIAL"][1])

    assert speaks(3, Login="console") == "3", "the others have none"
    world.apply(Change(USAGE, mac(1)), Change(USAGE, mac(2)))
    assert speaks(2, Login="console") == "1"
    assert speaks(2, Last_Audit="2025-04-22 21:00:01") == "2"
    assert speaks(3, Last_Session="2025-04-22 20:01:22") == "3"
    assert speaks(3, Last_Audit="") == "3"
    found = row(world, "keyconfigure_computers", mac(1))
    assert found.mac_addresses == ["020000000003", "020000000002", "020000000001"]
    assert found.last_audit == moment(2025, 4, 23, 1, 0, 1)


def test_readers_see_an_award_once(world: World) -> None:
    """LA-3: summed over its rows, its money counts several times."""
    people = [
        f"AWD000001-{name}-175000-{role}" for name, role in (("one", PERSONNEL), ("two", PI), ("three", PERSONNEL))
    ]
    live(world, *(Change(AWARD, key) for key in people), Change(AWARD, f"AWD000002-one-175000-{PI}"), streams=(AWARD,))
    shown = "select award_id, award_total_dollars from silver.v_awards order by 1"
    assert [tuple(found) for found in world.rows(shown)] == [("AWD000001", 60_000), ("AWD000002", 60_000)]
    live(world, Change(AWARD, people[1], None), Change(AWARD, f"AWD000002-one-175000-{PI}", None), streams=(AWARD,))
    assert [award for award, _ in world.rows(shown)] == ["AWD000001"]
    gone = row(world, "lab_awards", people[1])
    assert (gone.is_present, gone.person_uniqname) == (False, "two")
