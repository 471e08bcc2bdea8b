"""The directories of the campus over LDAPS: what the hub reads of them is the truth, whatever is done to it."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lsats_dagster.demo.campus import Campus, CampusError, running_campus
from lsats_dagster.demo.campus.sidedoor import side_door
from lsats_dagster.demo.campus.simulation import Simulation
from lsats_dagster_tests.demo.conftest import REPOSITORY
from lsats_dagster_tests.demo.ldap.aids import PATIENCE, search, silent, until, whole_subtree, wire
from lsats_dagster_tests.demo.ldap_aids import (
    ACCOUNTS,
    COLLEGE,
    COMPUTERS,
    FOREST,
    GROUPS,
    GROUPS_BASE,
    MAIL_GROUPS,
    MCOMMUNITY_ROOT,
    PEOPLE,
    PEOPLE_BASE,
    STREAMS,
    UNITS,
    UNIVERSITY,
    connected,
    read,
    some,
    truth,
)
from lsats_dagster_tests.demo.ldap_aids import objects as objects
from lsats_dagster_tests.demo.ldap_aids import people as people

# What the hub reads is the truth


@pytest.mark.parametrize("stream", STREAMS)
def test_a_read_of_the_hub_is_the_truth_on_every_day(campus: Campus, stream: str) -> None:
    first = truth(campus, stream)
    assert read(campus, stream) == first
    for _ in range(3):
        report = campus.live_one_day()[stream]
        assert report.changed or report.new
        assert read(campus, stream) == truth(campus, stream) != first
    campus.reset()
    assert read(campus, stream) == first


LISTS = {
    PEOPLE: "cn",
    MAIL_GROUPS: "umichDirectMember",
    ACCOUNTS: "proxyAddresses",
    GROUPS: "proxyAddresses",
    UNITS: "description",
    COMPUTERS: "servicePrincipalName",
}
# Attributes with one value.
ALONE = {MAIL_GROUPS: ("umichExpiryTimestamp", "2026-02-12T23:02:52Z"), UNITS: ("street", "Name")}


@pytest.mark.parametrize("stream", STREAMS)
def test_what_the_side_door_does_is_read(campus: Campus, stream: str) -> None:
    key, other, *_ = sorted(truth(campus, stream))
    text, value = ALONE.get(stream, ("displayName", "Name"))
    campus.put(stream, key, {LISTS[stream]: ["One", "B\u00f6b, Two "]})
    changed = truth(campus, stream)
    assert changed[key][LISTS[stream]] == ["B\u00f6b, Two ", "One"]
    assert read(campus, stream) == changed
    campus.put(stream, key, {LISTS[stream]: [], text: None})
    assert not read(campus, stream)[key].keys() & {LISTS[stream], text}
    campus.put(stream, key, {LISTS[stream]: ["One"], text: value})
    again = read(campus, stream)
    assert (again[key][LISTS[stream]], again[key][text]) == (["One"], value)
    assert again == truth(campus, stream)

    campus.delete(stream, other)
    without = truth(campus, stream)
    assert read(campus, stream) == without
    assert other not in without
    campus.restore(stream, other)
    assert read(campus, stream) == truth(campus, stream) != without
    added = campus.add(stream)
    assert read(campus, stream) == truth(campus, stream)
    assert added in truth(campus, stream)


# Where nothing stands yet, but for people and units.
ELSEWHERE = {
    PEOPLE: PEOPLE_BASE,
    MAIL_GROUPS: f"ou=Made Up,{GROUPS_BASE}",
    ACCOUNTS: f"OU=Made Up,{UNIVERSITY}",
    GROUPS: f"OU=Made\\, Up,OU=Users and Groups,{COLLEGE}",
    UNITS: f"OU=Workstations,{COLLEGE}",
    COMPUTERS: f"OU=Made Up,OU=Workstations,{COLLEGE}",
}
RAW: dict[str, dict[str, Any]] = {
    PEOPLE: {"uid": ["poison"], "uidNumber": ["77"]},
    MAIL_GROUPS: {"gidNumber": ["77"]},
    ACCOUNTS: {"objectClass": ["person"]},
    GROUPS: {"objectClass": ["group"]},
    UNITS: {"objectClass": ["organizationalUnit"]},
    COMPUTERS: {"objectClass": ["computer"]},
}


@pytest.mark.parametrize("stream", STREAMS)
def test_poison_is_an_entry_like_any_other(campus: Campus, stream: str) -> None:
    true = truth(campus, stream)
    octets = {"base64": "AAECAwQFBgcICQoLDA0ODw=="}
    record = {
        "cn": ["Jos\u00e9"],
        **({} if stream.startswith("mcommunity") else {"objectGUID": [octets]}),
        **RAW[stream],
    }
    dn = ELSEWHERE[stream]
    campus.poison(stream, [json.dumps(record), json.dumps(record | {"dn": f"cn=second,{dn}", **_second(stream)})])
    found = read(campus, stream)
    bad = {key: found[key] for key in found.keys() - true.keys()}
    assert {key: found[key] for key in true} == true == truth(campus, stream)
    assert len(bad) == 2
    assert f"cn=second,{dn}" in {bad[key]["dn"] for key in bad}
    assert {json.dumps(bad[key]["cn"]) for key in bad} <= {json.dumps("Jos\u00e9"), json.dumps(["Jos\u00e9"])}
    campus.poison(stream, [json.dumps(record)])
    assert len(read(campus, stream)) == len(true) + 1
    campus.poison(stream, [])
    assert read(campus, stream) == true


def _second(stream: str) -> dict[str, list[Any]]:
    number = {PEOPLE: "uidNumber", MAIL_GROUPS: "gidNumber"}.get(stream)
    return {number: ["78"]} if number else {"objectGUID": [{"base64": "AQECAwQFBgcICQoLDA0ODw=="}]}


def test_poison_that_no_directory_can_show_is_refused(campus: Campus) -> None:
    _, record = some(campus, ACCOUNTS)
    for raw in (
        "[]",
        "{",
        '{"cn": [1]}',
        json.dumps({"dn": "cn=x,dc=elsewhere"}),
        json.dumps({"dn": "nothing"}),
        json.dumps({"dn": record["dn"].upper(), "cn": ["x"]}),
    ):
        with pytest.raises(CampusError, match="refused"):
            campus.poison(ACCOUNTS, [raw])
    with pytest.raises(CampusError, match="name exists"):
        campus.poison(ACCOUNTS, [json.dumps({"dn": f"CN=x,{UNIVERSITY}"})] * 2)
    other = sorted(truth(campus, ACCOUNTS))[-1]
    with pytest.raises(CampusError, match="name exists"):
        campus.put(ACCOUNTS, other, {"dn": record["dn"]})
    assert read(campus, ACCOUNTS) == truth(campus, ACCOUNTS)


@pytest.mark.parametrize("stream", STREAMS)
def test_the_order_is_that_of_the_table_and_nothing_is_there_twice(campus: Campus, stream: str) -> None:
    source, _ = STREAMS[stream]
    key, _ = some(campus, stream)
    with pytest.raises(CampusError, match="refused"):
        campus.double(stream, key, {})
    campus.directory_limits(source.name)
    orders = []
    for seed in (0, 1, 1, 0):
        campus.reorder(stream, seed)
        found = read(campus, stream)
        assert found == truth(campus, stream)
        orders.append(list(found))
    assert orders[0] == orders[3] != orders[1] == orders[2]


def test_searches_and_operations_at_once_do_not_disturb_each_other(campus: Campus) -> None:
    key, _ = some(campus, GROUPS)
    stop, failed = threading.Event(), []

    def look(prefix: str, base: str) -> None:
        try:
            with connected(campus, prefix) as connection:
                while not stop.is_set():
                    search(connection, base=base, attributes=["cn"])
        except Exception as error:  # whatever it is, it belongs to the test
            failed.append(error)

    lookers = [
        threading.Thread(target=look, args=there)
        for there in (("AD", FOREST), ("MCOMMUNITY_LDAP", MCOMMUNITY_ROOT)) * 2
    ]
    for looker in lookers:
        looker.start()
    for day in range(3):
        campus.put(GROUPS, key, {"description": [f"day {day}"]})
        campus.live_one_day()
        campus.reset()
    stop.set()
    for looker in lookers:
        looker.join(PATIENCE)
    assert failed == []
    assert read(campus, GROUPS) == truth(campus, GROUPS)


def test_searches_and_operations_wait_for_each_other(tmp_path: Path) -> None:
    simulation = Simulation(7, "tiny", tmp_path / "exports", tmp_path / "authority.pem")
    directory = simulation.directories["mcommunity"]
    # What is built already is answered at once.
    directory.refresh()
    server = directory.server
    asked = json.dumps({"operation": "live_one_day", "arguments": {}}).encode()
    scope = {
        "type": "http", "method": "POST", "path": "/operate", "query_string": b"",
        "headers": [(b"authorization", b"Bearer known")],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": asked}

    async def send(message: Any) -> None:
        pass

    door = side_door(simulation, "known")
    operation = threading.Thread(target=lambda: asyncio.run(door(scope, receive, send)), daemon=True)
    with server, wire(server) as raw:
        with simulation.lock:
            operation.start()
            raw.send(whole_subtree(1, PEOPLE_BASE.encode()))
            until(lambda: server.log.counts["search"] == 1)
            assert silent(raw)
            assert simulation.day() == 0
        operation.join(PATIENCE)
        assert simulation.day() == 1
        assert raw.message()[5] == 0x64


# The life of the campus


def test_reset_gives_the_first_day_and_every_switch_back(campus: Campus, objects: Any) -> None:
    first = {stream: truth(campus, stream) for stream in STREAMS}
    for stream in STREAMS:
        # No directory was asked for anything since the last reset.
        campus.delete(stream, sorted(first[stream])[-1])
        assert read(campus, stream) == truth(campus, stream) != first[stream]
    campus.live_one_day()
    for stream in STREAMS:
        campus.delete(stream, some(campus, stream)[0])
        campus.reorder(stream, 1)
    campus.poison(GROUPS, [json.dumps({"objectClass": ["group"]})])
    campus.directory_limits("active_directory", entries=1)
    campus.directory_limits("mcommunity", entries=1)
    campus.controller(2)
    campus.publish_schema("active_directory", False)
    campus.refuse_login("active_directory")
    campus.fault("mcommunity/search", "drop", times=None)
    campus.reset()
    assert campus.calls() == {}
    assert len(search(objects, "(objectClass=group)", COLLEGE)) == len(first[GROUPS])
    for stream in STREAMS:
        assert read(campus, stream) == first[stream] == truth(campus, stream)
    told = search(objects, base="", search_scope="BASE")[""]
    assert told["dnsHostName"] == [b"localhost"]
    assert "subschemaSubentry" in told
    again = sorted(first[GROUPS])[-1]
    campus.delete(GROUPS, again)
    found = search(objects, "(objectClass=group)", COLLEGE)
    assert first[GROUPS][again]["dn"] not in found
    assert len(found) == len(first[GROUPS]) - 1


def test_a_kept_day_is_served_after_the_next_start(tmp_path: Path) -> None:
    state = tmp_path / "campus.json"
    with running_campus(state=state) as campus:
        first = read(campus, GROUPS)
        key, _ = some(campus, GROUPS)
        campus.put(GROUPS, key, {"description": ["kept"]})
        campus.live_one_day()
        kept = read(campus, GROUPS)
    assert kept != first
    with running_campus(state=state) as campus:
        assert read(campus, GROUPS) == truth(campus, GROUPS) == kept
        authority = Path(campus.environment["AD_CA_FILE"])
        assert authority.parent not in (state.parent, campus.exports)
        campus.reset()
        assert read(campus, GROUPS) == first
    assert not authority.parent.exists()


def test_a_campus_whose_parent_was_killed_leaves_nothing_behind() -> None:
    program = """
import signal
from lsats_dagster.demo.campus import running_campus
with running_campus() as campus:
    print(campus.environment["AD_CA_FILE"], campus.exports, flush=True)
    signal.pause()
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert parent.stdout is not None
    with parent:
        authority, exports = map(Path, parent.stdout.readline().split())
        assert authority.read_text().startswith("-----BEGIN CERTIFICATE-----")
        assert list(exports.iterdir())
        parent.kill()
        until(lambda: not authority.parent.exists() and not exports.exists())
