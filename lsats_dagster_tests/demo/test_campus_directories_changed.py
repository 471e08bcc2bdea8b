"""What is done to the directories of the campus through the side door, and what a server must look at again."""

import json
import pickle

import pytest

from lsats_dagster.demo.campus.world import World
from lsats_dagster.sources.active_directory import OF_ONE_CONTROLLER
from lsats_dagster_tests.demo.directories_aids import (
    AD_GROUPS,
    AD_USERS,
    BRANCHES,
    DECLARED,
    MAIL_GROUPS,
    PEOPLE,
    Records,
    check,
    check_links,
    new_world,
    parent_of,
    truth_of,
)

# The side door


@pytest.mark.parametrize("stream", DECLARED)
def test_everything_can_be_put_deleted_and_restored(stream: str) -> None:
    world = new_world()
    first = truth_of(world)
    for key in list(first[stream]):
        world.put(stream, key, {"description": [f"Seen {key}"]} if "description" in DECLARED[stream].several else {},
                  touch=True)  # fmt: skip
        world.stream(stream).table.remove(key)
        assert key not in world.stream(stream).table.present
        world.stream(stream).table.bring_back(key)
    last = truth_of(world)
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
    world = new_world()
    key = world.stream(stream).newcomer()
    truth = truth_of(world)
    check(truth)
    assert key in truth[stream]
    assert world.stream(stream).newcomer() != key


def test_members_that_are_put_show_at_the_members() -> None:
    world = new_world()
    groups, accounts = world.stream(AD_GROUPS), world.stream(AD_USERS)
    key = next(key for key, group in groups.truth().items() if "OU=MCommADSync" not in group["dn"])
    some = [record["dn"] for record in accounts.truth().values() if "memberOf" not in record][:3]
    elsewhere = "CN=Others,DC=elsewhere,DC=example"
    before, _ = truth_of(world), _touched(world)
    world.put(AD_GROUPS, key, {"member": [*some, elsewhere]}, touch=False)
    _expect_all_told(world, before)
    group = groups.truth()[key]
    assert group["member"] == [*some, elsewhere]
    belonging = {account["dn"] for account in accounts.truth().values() if group["dn"] in account.get("memberOf", [])}
    assert belonging == set(some)
    world.put(AD_GROUPS, key, {"member": []}, touch=False)
    assert "member" not in groups.truth()[key]
    check_links(truth_of(world))


def test_a_directory_has_nothing_twice() -> None:
    world = new_world()
    with pytest.raises(ValueError, match="twice"):
        world.double(PEOPLE, min(world.stream(PEOPLE).truth()), {})


# What a server must look at again


def _touched(world: World) -> dict[str, set[str]]:
    return {stream: world.stream(stream).table.take_touched() for stream in DECLARED}


def _expect_all_told(world: World, before: dict[str, Records]) -> None:
    """Every entry that is not as it was is among those that were touched since."""
    told = _touched(world)
    for stream, records in truth_of(world).items():
        keys = before[stream].keys() | records.keys()
        assert {key for key in keys if before[stream].get(key) != records.get(key)} <= told[stream], stream
        assert told[stream] <= keys | world.stream(stream).table.gone.keys()


def test_all_keys_are_touched_at_first_and_then_those_that_changed() -> None:
    world = new_world()
    assert _touched(world) == {stream: set(records) for stream, records in truth_of(world).items()}
    assert not any(_touched(world).values())
    for _ in range(8):
        before = truth_of(world)
        world.live_one_day()
        _expect_all_told(world, before)
    copy: World = pickle.loads(pickle.dumps(world))
    assert _touched(copy) == {stream: set(records) for stream, records in truth_of(world).items()}


def _one_of(records: Records) -> str:
    """What is related to most others."""
    return max(records, key=lambda key: len(json.dumps(records[key])))


@pytest.mark.parametrize("stream", DECLARED)
def test_operations_tell_what_they_touched(stream: str) -> None:
    world = new_world()
    table = world.stream(stream).table
    _touched(world)
    records = world.stream(stream).truth()
    key = next((key for key, record in records.items() if record["dn"] in BRANCHES), _one_of(records))
    kind, parent = records[key]["dn"].partition("=")[0], parent_of(records[key]["dn"])
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
        before = truth_of(world)
        operate()
        assert truth_of(world) != before
        if stream not in (PEOPLE, MAIL_GROUPS):
            check_links(truth_of(world))
        _expect_all_told(world, before)
