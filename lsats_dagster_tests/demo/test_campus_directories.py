"""The directories of the campus as its world holds them: people, groups, accounts, units and computers (sources.md 13 to 18)."""

import json
import math
from collections import Counter

import pytest

from lsats_dagster.demo.campus.entities import DayChanges, iso_date
from lsats_dagster.demo.campus.truth import DIRT
from lsats_dagster.demo.campus.world import World
from lsats_dagster.sources.active_directory import COLLEGE, OF_PASSWORDS, UNIVERSITY
from lsats_dagster_tests.demo.conftest import ACCOUNTS, APPOINTMENTS, ASSETS, USERS
from lsats_dagster_tests.demo.directories_aids import (
    AD_GROUPS,
    AD_USERS,
    BRANCHES,
    COMPUTERS,
    DECLARED,
    MAIL_GROUPS,
    PEOPLE,
    UNESCAPED_COMMA,
    UNITS,
    Records,
    check,
    content,
    new_world,
    truth_of,
)

# The first day


def test_entries_have_the_shapes_that_are_declared_and_names_and_links_that_hold() -> None:
    truth = truth_of(new_world())
    check(truth)
    json.dumps(truth)
    assert {record["dn"] for record in truth[UNITS].values()} >= set(BRANCHES)
    assert all(record["dn"].endswith(COLLEGE) for stream in (AD_GROUPS, COMPUTERS) for record in truth[stream].values())
    assert all(record["dn"].endswith(UNIVERSITY) for record in truth[AD_USERS].values())
    assert any("\\," in record["dn"] for record in truth[AD_GROUPS].values())
    assert not all(record["dn"].isascii() for record in truth[AD_GROUPS].values())
    assert not all(record["displayName"].isascii() for record in truth[PEOPLE].values() if "displayName" in record)
    ticks = [r[name] for r in truth[COMPUTERS].values() for name in OF_PASSWORDS if "Password" in name and name in r]
    assert ticks
    assert all(isinstance(value, str) and value.isdecimal() and len(value) == 18 for value in ticks)
    never = [record for record in truth[AD_USERS].values() if record["accountExpires"] is None]
    assert 0 < len(never) < len(truth[AD_USERS])


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_volumes_are_in_proportion(size: str) -> None:
    world = World(7, size)
    truth = truth_of(world)
    people = truth[PEOPLE].values()
    alumni = [p for p in people if all("Alumni" in affiliation for affiliation in p["ou"])]
    assert 0.67 < len(alumni) / len(people) < 0.72
    titled = sum("umichTitle" in person for person in people)
    assert 0.05 < titled / len(people) < 0.13
    assert len(truth[MAIL_GROUPS]) == max(30, round(0.048 * len(people)))
    named = [account for account in truth[AD_USERS].values() if "uidNumber" in account]
    assert 0.83 < len(named) / len(people) < 0.91
    assert len(truth[UNITS]) >= 25
    owners = sum("managedBy" in computer for computer in truth[COMPUTERS].values())
    assert 0.15 < owners / len(truth[COMPUTERS]) < 0.7
    largest = next(len(group["member"]) for group in truth[AD_GROUPS].values() if group["cn"] == "LSA-All-Staff")
    assert largest == (4000 if size == "small" else 160)
    depths = Counter(len(UNESCAPED_COMMA.split(record["dn"])) - 4 for record in truth[UNITS].values())
    assert {4, 5, 6, 7, 8} <= depths.keys()


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_dirt_of_directories_has_its_rate_and_is_where_the_truth_says(size: str) -> None:
    world = World(7, size)
    truth, dirt = truth_of(world), world.truth.dirt
    tagged = {record["dn"] for record in truth[COMPUTERS].values() if record["cn"].startswith("LOANER")}

    named = Counter(group["cn"] for group in truth[AD_GROUPS].values())

    def reaches(groups: Records, key: str, inner: str) -> bool:
        by_name = {group["dn"]: group for group in groups.values()}
        ahead, seen = list(groups[key].get(inner, [])), set[str]()
        while ahead:
            name = ahead.pop()
            if name == groups[key]["dn"]:
                return True
            if name in by_name and name not in seen:
                seen.add(name)
                ahead += by_name[name].get(inner, [])
        return False

    sees = {
        "mail group in a cycle": lambda key: reaches(truth[MAIL_GROUPS], key, "umichDirectGroupMember"),
        "empty mail group": lambda key: "member" not in truth[MAIL_GROUPS][key],
        "mail group without owner": lambda key: "owner" not in truth[MAIL_GROUPS][key],
        "expired mail group": lambda key: truth[MAIL_GROUPS][key]["umichExpiryTimestamp"] < "2026",
        "group in a cycle": lambda key: reaches(truth[AD_GROUPS], key, "member"),
        "empty group": lambda key: "member" not in truth[AD_GROUPS][key],
        "group with a comma in its name": lambda key: ", " in truth[AD_GROUPS][key]["cn"],
        "mail group with a group made after it": lambda key: named[truth[MAIL_GROUPS][key]["cn"][0]] == 1,
        "mail group with a group named by its other name": lambda key: named[truth[MAIL_GROUPS][key]["cn"][1]] == 1,
        "mail group whose name two groups have": lambda key: named[truth[MAIL_GROUPS][key]["cn"][0]] == 2,
        "account without uniqname": lambda key: "uid" not in truth[AD_USERS][key],
        "account of a conflict": lambda key: "\nCNF:" in truth[AD_USERS][key]["cn"],
        "disabled account": lambda key: truth[AD_USERS][key]["userAccountControl"] == 514,
        "disabled computer": lambda key: truth[COMPUTERS][key]["userAccountControl"] == 4098,
        "computer without asset": lambda key: truth[COMPUTERS][key]["dn"] in tagged,
    }  # fmt: skip
    for name, seen in sees.items():
        assert dirt[name], name
        assert len(set(dirt[name])) == len(dirt[name])
        assert all(map(seen, dirt[name])), name
    assert len(dirt["mail group in a cycle"]) == math.ceil(
        DIRT["mail group in a cycle"] * (len(truth[MAIL_GROUPS]) - 1)
    )
    assert len(dirt["account without uniqname"]) == sum("uid" not in account for account in truth[AD_USERS].values())


def test_directories_speak_of_the_same_people_and_machines_as_the_other_sources() -> None:
    world = new_world()
    truth = truth_of(world)
    others = {stream: world.stream(stream).truth() for stream in (USERS, APPOINTMENTS, ASSETS, ACCOUNTS)}
    people = {person["uid"][0]: person for person in truth[PEOPLE].values()}
    for user in others[USERS].values():
        assert people[user["PrimaryEmail"].partition("@")[0]]["sn"] == [user["LastName"]]
    for row in others[APPOINTMENTS].values():
        if row["UniqName"] and row["UniqName"].strip():
            assert f"{row['LastName']}" in people[row["UniqName"].lower()]["sn"]
    departments = {account["Name"] for account in others[ACCOUNTS].values()}
    staff = [o.removesuffix(" - Student") for p in people.values() for o in p["ou"] if o.endswith(" - Student")]
    assert staff
    assert set(staff) <= departments
    accounts = {account["uid"][0]: account for account in truth[AD_USERS].values() if "uidNumber" in account}
    for uniqname, account in accounts.items():
        assert account["uidNumber"] == people[uniqname]["uidNumber"]
        assert (account["sn"], account["umichadOU"]) == (people[uniqname]["sn"][0], people[uniqname]["ou"])
    devices = {device.directory_name for device in world.truth.devices}
    machines = {computer["cn"] for computer in truth[COMPUTERS].values()}
    assert len(machines & devices) > 0.7 * len(machines)
    mirrored = [group for group in truth[AD_GROUPS].values() if "OU=MCommADSync" in group["dn"]]
    assert mirrored
    for group in mirrored:
        origin = truth[MAIL_GROUPS][str(group["gidNumber"])]
        assert origin["cn"][0] == group["cn"]
        assert {_login(dn) for dn in group.get("member", [])} <= {_login(dn) for dn in origin.get("member", [])}


def _login(dn: str) -> str:
    return dn.partition(",")[0].partition("=")[2]


def test_groups_have_the_members_of_their_groups() -> None:
    groups = {group["dn"]: group for group in truth_of(new_world())[MAIL_GROUPS].values()}
    nested = [group for group in groups.values() if "groupMember" in group]
    assert nested
    for group in nested:
        inner = [member for name in group["groupMember"] for member in groups[name].get("member", [])]
        assert set(group.get("member", [])) == {*inner, *group.get("umichDirectMember", [])}


def test_the_same_seed_gives_the_same_directories_and_another_one_others() -> None:
    def lived(seed: int) -> dict[str, Records]:
        world = World(seed, "tiny")
        for _ in range(3):
            world.live_one_day()
        return truth_of(world)

    once = lived(7)
    assert lived(7) == once
    assert lived(8) != once


# Days


def test_days_of_directories_report_exactly_the_difference_and_bring_enough() -> None:
    world = new_world()
    seen = {stream: set(records) for stream, records in truth_of(world).items()}
    read = truth_of(world)[AD_USERS]
    for day in range(1, 16):
        before, started = truth_of(world), iso_date(world.time.now())
        report = world.live_one_day()
        after = truth_of(world)
        check(after)
        read_before, read = read, _read_by_date(read, after[AD_USERS])
        for stream in DECLARED:
            old, new = (read_before, read) if stream == AD_USERS else (before[stream], after[stream])
            _check_report(stream, old, new, report[stream], seen[stream])
            brought = report[stream]
            assert len(brought.new) >= 2
            assert len(brought.changed) >= 2
            if stream != AD_USERS:
                assert len(brought.removed) >= 1
                assert len(brought.returned) == (day % 3 == 0)
        read = after[AD_USERS] if day % 7 == 0 else read
        assert bool(report[AD_USERS].removed) == (day % 7 == 0), "accounts are deleted once a week"
        assert len(report[AD_USERS].returned) == (day == 14)
        _check_dates(before[AD_USERS], after[AD_USERS], report[AD_USERS], started)
        now = iso_date(world.time.now())
        assert all(r["whenChanged"] <= now for s in (AD_USERS, AD_GROUPS, UNITS, COMPUTERS) for r in after[s].values())


def _read_by_date(read: Records, now: Records) -> Records:
    """What a hub has that reads what was dated since: the others as they were, with the groups to which they belonged."""
    return {
        key: read[key] if key in read and read[key]["whenChanged"] == record["whenChanged"] else record
        for key, record in now.items()
    }


def _check_report(stream: str, old: Records, new: Records, brought: DayChanges, seen: set[str]) -> None:
    appeared = new.keys() - old.keys()
    assert brought.new == sorted(appeared - seen)
    assert brought.returned == sorted(appeared & seen)
    assert brought.removed == sorted(old.keys() - new.keys())
    assert brought.changed == sorted(
        key for key in old.keys() & new.keys() if content(stream, old[key]) != content(stream, new[key])
    )
    seen.update(new)


def _check_dates(old: Records, new: Records, brought: DayChanges, started: str) -> None:
    """Whoever reads by the date of the change sees all that changed; belonging to a group moves no account's date."""
    for key in (*brought.new, *brought.changed, *brought.returned):
        assert new[key]["whenChanged"] > started
        assert key in brought.new or new[key]["uSNChanged"] > old.get(key, {"uSNChanged": 0})["uSNChanged"]
    regrouped = [key for key in old.keys() & new.keys() if old[key].get("memberOf") != new[key].get("memberOf")]
    assert any(new[key]["whenChanged"] == old[key]["whenChanged"] for key in regrouped)


def test_what_touches_an_account_is_told_by_its_date_and_a_login_is_not() -> None:
    world = new_world()
    moved, logged_in = 0, 0
    for _ in range(4):
        before = world.stream(AD_USERS).truth()
        changed = world.live_one_day()[AD_USERS].changed
        for key, account in world.stream(AD_USERS).truth().items():
            old = before.get(key)
            if old is not None and old["lastLogon"] != account["lastLogon"]:
                logged_in += 1
                assert key not in changed
                assert account["logonCount"] > old["logonCount"]
                assert account["whenChanged"] == old["whenChanged"]
            moved += old is not None and old["dn"] != account["dn"]
    assert logged_in
    assert moved


def test_the_truth_shows_in_both_directories_on_the_day_that_it_changes() -> None:
    world = new_world()
    names = {person.number: person.last for person in world.truth.people}
    number = len(world.truth.people)
    world.live_one_day()
    truth = truth_of(world)
    renamed = [p for p in world.truth.people[:number] if p.last != names[p.number]]
    assert renamed
    people = {person["uid"][0]: person for person in truth[PEOPLE].values()}
    accounts = {account["uid"][0]: account for account in truth[AD_USERS].values() if "uidNumber" in account}
    for person in (*renamed, *world.truth.people[number:]):
        assert all(variant.endswith(person.last) for variant in people[person.uniqname]["cn"])
        assert accounts[person.uniqname]["displayName"] == f"{person.last}, {person.first}"
