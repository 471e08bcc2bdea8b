"""The directories of the campus as its world holds them: people, groups, accounts, units and computers (sources.md 13 to 18)."""

import json
import math
import pickle
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster.demo.campus.entities import DayChanges, iso_date
from lsats_dagster.demo.campus.truth import DIRT
from lsats_dagster.demo.campus.world import World
from lsats_dagster.sources import active_directory, mcommunity
from lsats_dagster.sources.active_directory import COLLEGE, OF_LOGINS, OF_ONE_CONTROLLER, OF_PASSWORDS, UNIVERSITY
from lsats_dagster_tests.demo.conftest import ACCOUNTS, APPOINTMENTS, ASSETS, USERS

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


def _truth(world: World) -> dict[str, Records]:
    return {stream: world.stream(stream).truth() for stream in DECLARED}


def _content(stream: str, record: dict[str, Any]) -> dict[str, Any]:
    volatile = VOLATILE.get(stream, set(OF_ONE_CONTROLLER))
    return {n: sorted(v) if isinstance(v, list) else v for n, v in record.items() if n not in volatile}


def _parent(dn: str) -> str:
    return UNESCAPED_COMMA.split(dn, maxsplit=1)[1]


def _names(records: Records) -> set[str]:
    return {record["dn"] for record in records.values()}


def _check(truth: dict[str, Records]) -> None:
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
    units = _names(truth[UNITS])
    for record in truth[UNITS].values():
        assert record["dn"] in BRANCHES or _parent(record["dn"]) in units
    assert {_parent(record["dn"]) for record in truth[COMPUTERS].values()} <= units
    _check_links(truth)


def _check_links(truth: dict[str, Records]) -> None:
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
    people, groups = _names(truth[PEOPLE]), _names(truth[MAIL_GROUPS])
    for group in truth[MAIL_GROUPS].values():
        assert set(group.get("member", [])) <= people
        assert set(group.get("umichDirectMember", [])) <= set(group.get("member", []))
        assert set(group.get("umichDirectGroupMember", [])) <= groups
        assert set(group.get("owner", [])) <= people | groups


def _world() -> World:
    return World(7, "tiny")


# The first day


def test_entries_have_the_shapes_that_are_declared_and_names_and_links_that_hold() -> None:
    truth = _truth(_world())
    _check(truth)
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
    truth = _truth(world)
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
    truth, dirt = _truth(world), world.truth.dirt
    tagged = {record["dn"] for record in truth[COMPUTERS].values() if record["cn"].startswith("LOANER")}

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
    world = _world()
    truth = _truth(world)
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
    groups = {group["dn"]: group for group in _truth(_world())[MAIL_GROUPS].values()}
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
        return _truth(world)

    once = lived(7)
    assert lived(7) == once
    assert lived(8) != once


# Days


def test_days_of_directories_report_exactly_the_difference_and_bring_enough() -> None:
    world = _world()
    seen = {stream: set(records) for stream, records in _truth(world).items()}
    read = _truth(world)[AD_USERS]
    for day in range(1, 16):
        before, started = _truth(world), iso_date(world.time.now())
        report = world.live_one_day()
        after = _truth(world)
        _check(after)
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
        key for key in old.keys() & new.keys() if _content(stream, old[key]) != _content(stream, new[key])
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
    world = _world()
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
    world = _world()
    names = {person.number: person.last for person in world.truth.people}
    number = len(world.truth.people)
    world.live_one_day()
    truth = _truth(world)
    renamed = [p for p in world.truth.people[:number] if p.last != names[p.number]]
    assert renamed
    people = {person["uid"][0]: person for person in truth[PEOPLE].values()}
    accounts = {account["uid"][0]: account for account in truth[AD_USERS].values() if "uidNumber" in account}
    for person in (*renamed, *world.truth.people[number:]):
        assert all(variant.endswith(person.last) for variant in people[person.uniqname]["cn"])
        assert accounts[person.uniqname]["displayName"] == f"{person.last}, {person.first}"


# The side door


@pytest.mark.parametrize("stream", DECLARED)
def test_everything_can_be_put_deleted_and_restored(stream: str) -> None:
    world = _world()
    first = _truth(world)
    for key in list(first[stream]):
        world.put(stream, key, {"description": [f"Seen {key}"]} if "description" in DECLARED[stream].several else {},
                  touch=True)  # fmt: skip
        world.stream(stream).table.remove(key)
        assert key not in world.stream(stream).table.present
        world.stream(stream).table.bring_back(key)
    last = _truth(world)
    for other in DECLARED:
        assert last[other].keys() == first[other].keys()
    moved = {"description", *OF_ONE_CONTROLLER}
    for key, record in last[stream].items():
        assert {n: v for n, v in record.items() if n not in moved} == {
            n: v for n, v in first[stream][key].items() if n not in moved
        }
        assert stream in (PEOPLE, MAIL_GROUPS) or record["whenChanged"] > first[stream][key]["whenChanged"]
    assert [last[other] == first[other] for other in DECLARED if other != stream] == [True] * 5


@pytest.mark.parametrize("stream", DECLARED)
def test_a_newcomer_is_like_the_others(stream: str) -> None:
    world = _world()
    key = world.stream(stream).newcomer()
    truth = _truth(world)
    _check(truth)
    assert key in truth[stream]
    assert world.stream(stream).newcomer() != key


def test_members_that_are_put_show_at_the_members() -> None:
    world = _world()
    groups, accounts = world.stream(AD_GROUPS), world.stream(AD_USERS)
    key = next(key for key, group in groups.truth().items() if "OU=MCommADSync" not in group["dn"])
    some = [record["dn"] for record in accounts.truth().values() if "memberOf" not in record][:3]
    elsewhere = "CN=Others,DC=elsewhere,DC=example"
    before, _ = _truth(world), _touched(world)
    world.put(AD_GROUPS, key, {"member": [*some, elsewhere]}, touch=False)
    _expect_all_told(world, before)
    group = groups.truth()[key]
    assert group["member"] == [*some, elsewhere]
    belonging = {account["dn"] for account in accounts.truth().values() if group["dn"] in account.get("memberOf", [])}
    assert belonging == set(some)
    world.put(AD_GROUPS, key, {"member": []}, touch=False)
    assert "member" not in groups.truth()[key]
    _check_links(_truth(world))


def test_a_directory_has_nothing_twice() -> None:
    world = _world()
    with pytest.raises(ValueError, match="twice"):
        world.double(PEOPLE, min(world.stream(PEOPLE).truth()), {})


# What a server must look at again


def _touched(world: World) -> dict[str, set[str]]:
    return {stream: world.stream(stream).table.take_touched() for stream in DECLARED}


def _expect_all_told(world: World, before: dict[str, Records]) -> None:
    """Every entry that is not as it was is among those that were touched since."""
    told = _touched(world)
    for stream, records in _truth(world).items():
        keys = before[stream].keys() | records.keys()
        assert {key for key in keys if before[stream].get(key) != records.get(key)} <= told[stream], stream
        assert told[stream] <= keys | world.stream(stream).table.gone.keys()


def test_all_keys_are_touched_at_first_and_then_those_that_changed() -> None:
    world = _world()
    assert _touched(world) == {stream: set(records) for stream, records in _truth(world).items()}
    assert not any(_touched(world).values())
    for _ in range(8):
        before = _truth(world)
        world.live_one_day()
        _expect_all_told(world, before)
    copy: World = pickle.loads(pickle.dumps(world))
    assert _touched(copy) == {stream: set(records) for stream, records in _truth(world).items()}


def _one_of(records: Records) -> str:
    """What is related to most others."""
    return max(records, key=lambda key: len(json.dumps(records[key])))


@pytest.mark.parametrize("stream", DECLARED)
def test_operations_tell_what_they_touched(stream: str) -> None:
    world = _world()
    table = world.stream(stream).table
    _touched(world)
    records = world.stream(stream).truth()
    key = next((key for key, record in records.items() if record["dn"] in BRANCHES), _one_of(records))
    kind, parent = records[key]["dn"].partition("=")[0], _parent(records[key]["dn"])
    manager = world.stream(AD_USERS).truth()[_one_of(world.stream(AD_USERS).truth())]["dn"]
    fields = {"managedBy": manager, "member": [manager], "displayName": "Other"}
    fields = {name: value for name, value in fields.items() if name in DECLARED[stream].names}
    for operate in (
        lambda: world.put(stream, key, {"dn": f"{kind}=renamed,{parent}"}, touch=True),
        lambda: world.put(stream, key, fields, touch=False),
        lambda: table.remove(key),
        lambda: table.bring_back(key),
        lambda: world.stream(stream).newcomer(),
    ):  # fmt: skip
        before = _truth(world)
        operate()
        assert _truth(world) != before
        if stream not in (PEOPLE, MAIL_GROUPS):
            _check_links(_truth(world))
        _expect_all_told(world, before)
