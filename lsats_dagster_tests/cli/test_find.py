"""`lsats find`: what is meant by a name, in what order, and what explains it."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from lsats_dagster_tests.cli.aids import Lsats, assert_wrong_use, environment, in_process
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records import uid
from lsats_dagster_tests.contracts.records_directories import guid

HR, TDX, GROUPS = "umich_api/department", "tdx/user", "active_directory/group"
NAMES = {"100001": "Chemistry", "100002": "Chemistry, applied", "100003": "Bio Chemistry", "100004": "Physics"}
PEOPLE = {1: ("chem", "Varga", "Mira"), 2: ("mvarga", "Rivers", "Jo"), 3: ("other", "Chemnitz", "Ann")}


@pytest.fixture
def world(url: str) -> Iterator[World]:
    world = World(url)
    for code, name in NAMES.items():
        world.apply(Change(HR, code), Change(HR, code, "DeptDescription", name))
    for number, (uniqname, last, first) in PEOPLE.items():
        fields = {
            "AlternateID": uniqname, "LastName": last, "FirstName": first, "FullName": f"{first} {last}",
            "PrimaryEmail": f"{uniqname}@Example.edu",
        }  # fmt: skip
        world.apply(
            Change(TDX, uid(number)), *(Change(TDX, uid(number), name, value) for name, value in fields.items())
        )
    group = {"cn": "LSA-Mira-Lab", "sAMAccountName": "Lab Account", "mail": "Miras-Lab@example.edu"}
    world.apply(*(Change(GROUPS, guid(1), name, value) for name, value in group.items()))
    world.read(GROUPS)
    learn(world)
    yield world
    world.dispose()


def learn(world: World, *changes: Change) -> None:
    world.apply(*changes)
    world.read(HR)
    world.read(TDX)
    world.refresh_all()


@pytest.fixture
def lsats(url: str, tmp_path: Path) -> Lsats:
    """The command on the whole hub, without a source."""
    return lambda *words: in_process(*words, folder=tmp_path, variables=environment(tmp_path, DATABASE_URL=url))


def hits(done: CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def keys(done: CompletedProcess[str]) -> list[str]:
    return [hit["key"] for hit in hits(done)]


def test_what_is_called_so_comes_before_what_begins_so_and_what_holds_it(world: World, lsats: Lsats) -> None:
    assert keys(lsats("find", "chemistry", "--json")) == ["100001", "100002", "100003"]
    assert keys(lsats("find", " CHEM ", "--json")) == ["chem", "100001", "100002", "other", "100003"]
    first, second, *_, last = hits(lsats("find", "chem", "--json"))
    assert first == {
        "entity": "silver/users", "key": "chem", "name": "Varga, Mira", "found_by": "uniqname", "match": "exact",
        "is_present": True, "command": "lsats explain silver/users chem",
    }  # fmt: skip
    assert (second["found_by"], second["match"], last["match"]) == ("name", "prefix", "part")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("varga, mi", ["chem"]),
        ("mira   varga", ["chem"]),
        ("VARGA", ["chem", "mvarga"]),
        ("mvarga@example.edu", ["mvarga"]),
        ("100004", ["100004"]),
        ("0000", ["100001", "100002", "100003", "100004"]),
        ("lsa-mira", ["lsa-mira-lab"]),
        ("miras-lab@example.edu", ["lsa-mira-lab"]),
        ("lab account", ["lsa-mira-lab"]),
    ],
)
def test_names_in_both_orders_mail_codes_and_groups(world: World, lsats: Lsats, wanted: str, found: list[str]) -> None:
    assert sorted(keys(lsats("find", wanted, "--json"))) == sorted(found)


def test_what_is_gone_is_found_and_says_so(world: World, lsats: Lsats) -> None:
    learn(world, Change(HR, "100001", None), Change(TDX, uid(1), None))
    department, *_ = hits(lsats("find", "100001", "--json"))
    person, *others = hits(lsats("find", "chem", "--json"))
    assert (department["name"], department["is_present"]) == ("Chemistry", False)
    assert (person["key"], person["name"], person["is_present"]) == ("chem", None, False)
    # Among equals what is there comes first.
    assert [hit["key"] for hit in others] == ["100002", "other", "100001", "100003"]
    assert " no " in lsats("find", "100001").stdout


def test_each_hit_is_explained_by_its_command(world: World, lsats: Lsats) -> None:
    for hit in hits(lsats("find", "chem", "--json")):
        explained = lsats(*shlex.split(hit["command"])[1:], "--json")
        assert json.loads(explained.stdout)["key"] == hit["key"]


def test_people_read_a_table_and_how_much_there_is_more(world: World, lsats: Lsats) -> None:
    told = lsats("find", "chem", "--limit", "2")
    assert told.returncode == 0, told.stderr
    assert [
        word for word in ("Varga, Mira", "prefix of name", "explain silver/users chem") if word not in told.stdout
    ] == []
    assert "The first 2 of 5" in told.stdout
    assert "The first" not in lsats("find", "chem").stdout


def test_nothing_found_and_too_little_asked(world: World, lsats: Lsats) -> None:
    done = lsats("find", "no such thing")
    assert (done.returncode, "no such thing" in done.stdout) == (1, True)
    done = lsats("find", "no such thing", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, [])
    # Signs that mean something to LIKE are signs.
    assert lsats("find", "%%").returncode == 1
    assert_wrong_use(lsats("find", " c "), "too short", "2")


def test_it_reads_what_a_reader_may_read(world: World, lsats: Lsats) -> None:
    world.administer("revoke select on silver.v_findable from lsats_reader")
    assert_wrong_use(lsats("find", "chemistry"), "permission denied")
