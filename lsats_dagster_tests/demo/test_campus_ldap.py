"""The directories of the campus over LDAPS, read by the hub's own streams and by ldap3 (sources.md 23.2, L1 to L13)."""

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ldap3
import pytest
from ldap3.core.exceptions import (
    LDAPBusyResult,
    LDAPInsufficientAccessRightsResult,
    LDAPInvalidCredentialsResult,
    LDAPNoSuchObjectResult,
    LDAPOperationsErrorResult,
    LDAPSessionTerminatedByServerError,
    LDAPSocketReceiveError,
    LDAPUnavailableResult,
    LDAPUnwillingToPerformResult,
)

from lsats_dagster.demo.campus import Campus, CampusError, running_campus
from lsats_dagster.demo.campus.sidedoor import side_door
from lsats_dagster.demo.campus.simulation import Simulation
from lsats_dagster.ingestion.stream import Before, Extract, ListStream
from lsats_dagster.source import Source
from lsats_dagster.sources import active_directory, mcommunity
from lsats_dagster_tests.conftest import make_client
from lsats_dagster_tests.demo.conftest import REPOSITORY
from lsats_dagster_tests.demo.ldap.aids import PATIENCE, next_cookie, pages, search, silent, until, whole_subtree, wire

SOURCES = (mcommunity.SOURCE, active_directory.SOURCE)
STREAMS: dict[str, tuple[Source, ListStream[Any]]] = {
    f"{stream.source_system}/{stream.entity_type}": (source, stream)
    for source in SOURCES
    for stream in source.streams
    if isinstance(stream, ListStream)
}
PEOPLE, MAIL_GROUPS, ACCOUNTS, GROUPS, UNITS, COMPUTERS = STREAMS
PEOPLE_BASE, GROUPS_BASE = mcommunity.PEOPLE_BRANCH.base, mcommunity.GROUPS_BRANCH.base
MCOMMUNITY_ROOT, FOREST = mcommunity.ROOT, "DC=adsroot,DC=itcs,DC=umich,DC=edu"
UNIVERSITY, COLLEGE = active_directory.UNIVERSITY, active_directory.COLLEGE
TRASH = f"CN=Deleted Objects,{FOREST}"
SHOW_DELETED = ("1.2.840.113556.1.4.417", True, None)
EVERYTHING = "(objectClass=*)"


def read(campus: Campus, name: str, extract: Extract | None = None) -> dict[str, Any]:
    """What the hub reads of a stream, each record once, by its key."""
    source, stream = STREAMS[name]
    client, extract = make_client(campus, source), extract or Extract()
    try:
        records = [record for page in stream.read(client, extract) for record in page]
    finally:
        client.close()
    assert extract.stated
    by_key = {stream.key(record): record for record in records}
    assert len(by_key) == len(records)
    return unordered(by_key)


def truth(campus: Campus, name: str) -> dict[str, Any]:
    """What it must read."""
    return unordered(campus.truth(name))


def unordered(records: dict[str, Any]) -> dict[str, Any]:
    """The same records; the values of an attribute are a set (RFC 4511 4.1.7)."""
    return {
        key: {name: sorted(value) if isinstance(value, list) else value for name, value in record.items()}
        for key, record in records.items()
    }


@contextlib.contextmanager
def connected(campus: Campus, prefix: str, user: str | None = "", password: str = "", **options: Any) -> Iterator[Any]:
    """ldap3 over LDAPS, logged in as the hub, as somebody else, or not at all (None)."""
    told = {name.removeprefix(f"{prefix}_"): value for name, value in campus.environment.items()}
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=told["CA_FILE"])
    host = ldap3.Server(
        told["SERVER"], int(told["PORT"]), use_ssl=True, tls=tls, get_info=ldap3.NONE, connect_timeout=PATIENCE
    )
    name = told["USER"] if user == "" else user
    settings = {
        "raise_exceptions": True, "receive_timeout": PATIENCE, "auto_range": False, "return_empty_attributes": False,
        "auto_referrals": False, "auto_bind": True,
    }  # fmt: skip
    secret = None if user is None else password or told["PASSWORD"]
    connection = ldap3.Connection(host, name, secret, **(settings | options))
    try:
        yield connection
    finally:
        connection.unbind()


@pytest.fixture
def people(campus: Campus) -> Iterator[Any]:
    with connected(campus, "MCOMMUNITY_LDAP") as connection:
        yield connection


@pytest.fixture
def objects(campus: Campus) -> Iterator[Any]:
    with connected(campus, "AD") as connection:
        yield connection


def code(connection: Any) -> int:
    return int(connection.result["result"])


def some(campus: Campus, stream: str, attribute: str = "dn") -> tuple[str, dict[str, Any]]:
    """Key and record of one that has this attribute."""
    return next((key, record) for key, record in sorted(truth(campus, stream).items()) if record.get(attribute))


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


# L1: logins


def test_a_login_by_each_form_of_the_name(campus: Campus) -> None:
    user = campus.environment["AD_USER"]
    assert "\\" in user
    for prefix, name, base in (
        ("AD", "", UNIVERSITY),
        ("AD", user.upper(), UNIVERSITY),
        ("AD", "svc-hub@umich.edu", UNIVERSITY),
        ("MCOMMUNITY_LDAP", "", PEOPLE_BASE),
    ):
        with connected(campus, prefix, name) as connection:
            assert search(connection, base=base, search_scope="BASE")
        with pytest.raises(LDAPInvalidCredentialsResult), connected(campus, prefix, name, "wrong"):
            pass
    assert campus.environment["AD_PASSWORD"] != campus.environment["MCOMMUNITY_LDAP_PASSWORD"]
    assert campus.calls()["active_directory/bind"] == {"0": 3, "49": 3}
    assert campus.calls()["mcommunity/bind"] == {"0": 1, "49": 1}


def test_nobody_sees_what_is_not_public(campus: Campus, people: Any) -> None:
    key, hidden = some(campus, MAIL_GROUPS, "umichPrivate")
    campus.put(MAIL_GROUPS, key, {"umichPrivate": True})
    accounts = truth(campus, ACCOUNTS).values()
    private = {
        uid
        for account in accounts
        if account.get("umichadHidePersonalInfo", "FALSE").upper() != "FALSE"
        for uid in account.get("uid", [])
    }
    everybody = truth(campus, PEOPLE).values()
    person = next(person for person in everybody if person["uid"][0] not in private and "homeDirectory" in person)
    shy = next(person for person in everybody if person["uid"][0] in private)
    with connected(campus, "MCOMMUNITY_LDAP", None) as anonymous, connected(campus, "AD", None) as nobody:
        seen = search(anonymous, base=person["dn"])[person["dn"]]
        assert seen["uid"] == [person["uid"][0].encode()]
        assert not seen.keys() & {"uidNumber", "homeDirectory", "loginShell", "umichPostalAddress"}
        assert search(anonymous, f"(uidNumber={person['uidNumber']})", MCOMMUNITY_ROOT) == {}
        for dn in (hidden["dn"], shy["dn"]):
            with pytest.raises(LDAPNoSuchObjectResult):
                search(anonymous, base=dn)
        with pytest.raises(LDAPOperationsErrorResult):
            search(nobody, base=UNIVERSITY)
        assert search(nobody, base="", search_scope="BASE")
    for dn in (hidden["dn"], shy["dn"]):
        assert search(people, base=dn).keys() == {dn}
    assert search(people, base=person["dn"])[person["dn"]]["uidNumber"] == [str(person["uidNumber"]).encode()]


def test_a_login_is_refused_until_faults_are_cleared(campus: Campus, people: Any, objects: Any) -> None:
    for source, prefix, connection, root in (
        ("mcommunity", "MCOMMUNITY_LDAP", people, MCOMMUNITY_ROOT),
        ("active_directory", "AD", objects, UNIVERSITY),
    ):
        campus.refuse_login(source)
        with pytest.raises(LDAPInvalidCredentialsResult), connected(campus, prefix):
            pass
        with pytest.raises(LDAPInsufficientAccessRightsResult):
            search(connection, base=root)
        campus.clear_faults()
        with connected(campus, prefix):
            assert search(connection, base=root, search_scope="BASE")
    with pytest.raises(CampusError, match="refused"):
        campus.refuse_login("tdx")


# L2, L3: the root and the schema, and units below what people configure


def test_the_root_tells_of_the_server_and_its_schema(campus: Campus, people: Any, objects: Any) -> None:
    for source, connection, root in (
        ("mcommunity", people, MCOMMUNITY_ROOT),
        ("active_directory", objects, FOREST),
    ):
        told = search(connection, base="", search_scope="BASE")[""]
        assert told["namingContexts"] == [root.encode()]
        assert {b"1.2.840.113556.1.4.319", b"1.2.840.113556.1.4.417", b"1.2.840.113556.1.4.473"} <= {
            *told["supportedControl"]
        }
        schema = told["subschemaSubentry"][0].decode()
        types = search(connection, base=schema, search_scope="BASE")[schema]["attributeTypes"]
        assert sum(b"NAME 'gidNumber'" in text and b"121.1.27 " in text for text in types) == 1
        campus.publish_schema(source, False)
        assert "subschemaSubentry" not in search(connection, base="", search_scope="BASE")[""]
        with pytest.raises(LDAPNoSuchObjectResult):
            search(connection, base=schema, search_scope="BASE")
        campus.publish_schema(source, True)


@pytest.mark.parametrize(
    ("prefix", "base"),
    [
        ("MCOMMUNITY_LDAP", MCOMMUNITY_ROOT),
        ("AD", UNIVERSITY),
        ("AD", COLLEGE),
        ("AD", f"OU=Workstations,{COLLEGE}"),
        ("AD", f"OU=Users and Groups,{COLLEGE}"),
    ],
)
def test_units_stand_directly_below_each_base(campus: Campus, prefix: str, base: str) -> None:
    with connected(campus, prefix) as connection:
        found = search(connection, "(objectClass=organizationalUnit)", base, search_scope="LEVEL")
        assert all(values["ou"] for values in found.values())
        assert found


def test_what_stands_above_records_and_is_none_is_no_unit_of_the_streams(campus: Campus, objects: Any) -> None:
    key, unit = next((k, u) for k, u in sorted(truth(campus, UNITS).items()) if _below(campus, u["dn"]))
    below = _below(campus, unit["dn"])
    campus.delete(UNITS, key)
    left = search(objects, base=unit["dn"])
    assert left.keys() >= {unit["dn"], *_below(campus, unit["dn"])}
    assert left[unit["dn"]]["objectClass"] == [b"top", b"container"]
    assert read(campus, UNITS) == truth(campus, UNITS)
    assert read(campus, COMPUTERS) == truth(campus, COMPUTERS)
    campus.restore(UNITS, key)
    assert read(campus, UNITS) == truth(campus, UNITS)
    assert _below(campus, unit["dn"]) == below


def _below(campus: Campus, dn: str) -> set[str]:
    return {
        record["dn"]
        for stream in (UNITS, COMPUTERS)
        for record in truth(campus, stream).values()
        if record["dn"].endswith(f",{dn}")
    }


# L4: filters


def test_numbers_times_and_texts_have_their_own_order(campus: Campus, people: Any, objects: Any) -> None:
    everybody = {record["dn"]: record for record in truth(campus, PEOPLE).values()}
    numbers = sorted(record["uidNumber"] for record in everybody.values())
    low, high = numbers[3], numbers[20]
    found = search(people, f"(&(uidNumber>={low})(uidNumber<={high})(!(uidNumber={low})))", PEOPLE_BASE)
    assert found.keys() == {dn for dn, record in everybody.items() if low < record["uidNumber"] <= high}
    _, somebody = some(campus, PEOPLE, "givenName")
    name, start = somebody["givenName"][0].upper(), somebody["uid"][0][:3].upper()
    assert search(people, f"(&(givenName={name})(uid={start}*))", PEOPLE_BASE).keys() == {
        dn
        for dn, record in everybody.items()
        if [name] == [given.upper() for given in record.get("givenName", [])]
        and record["uid"][0].upper().startswith(start)
    }
    computers = {record["dn"]: record for record in truth(campus, COMPUTERS).values()}
    moment = sorted(record["whenChanged"] for record in computers.values())[len(computers) // 2]
    since = "".join(sign for sign in moment if sign.isdigit()) + ".0Z"
    found = search(objects, f"(&(objectClass=COMPUTER)(whenChanged>={since}))", COLLEGE)
    assert found.keys() == {dn for dn, record in computers.items() if record["whenChanged"] >= moment}


# L5, L6, L7: limits


def test_active_directory_gives_a_page_at_once(campus: Campus, objects: Any) -> None:
    campus.directory_limits("active_directory", page=50)
    names = {record["dn"] for record in truth(campus, ACCOUNTS).values()}
    assert len(search(objects, active_directory.ACCOUNTS, UNIVERSITY, attributes=["cn"])) == 50
    assert code(objects) == 4
    found: list[str] = []
    cookie = None
    while cookie != b"":
        page = search(
            objects, active_directory.ACCOUNTS, UNIVERSITY, attributes=["cn"], paged_size=400, paged_cookie=cookie
        )
        cookie = next_cookie(objects)
        assert len(page) == 50 or not cookie
        found += page
        with connected(campus, "AD") as other, pytest.raises(LDAPUnwillingToPerformResult):
            search(other, active_directory.ACCOUNTS, UNIVERSITY, paged_size=400, paged_cookie=cookie or b"x")
    assert sorted(found) == sorted(names)


def test_mcommunity_gives_so_many_entries_over_all_pages(campus: Campus, people: Any) -> None:
    assert len(truth(campus, PEOPLE)) > 350
    assert [len(page) for page in pages(people, 100, "(uid=*)", PEOPLE_BASE)] == [100, 100, 100, 50]
    assert code(people) == 4
    numbers = [int(values["uidNumber"][0]) for values in search(people, "(uid=*)", PEOPLE_BASE).values()]
    assert code(people) == 4
    assert len(numbers) == 350
    assert numbers != sorted(numbers)


def test_long_lists_come_in_ranges(campus: Campus, objects: Any) -> None:
    values = 7
    campus.directory_limits("active_directory", page=1000, values=values)
    assert read(campus, GROUPS) == truth(campus, GROUPS)
    assert read(campus, ACCOUNTS) == truth(campus, ACCOUNTS)
    group = max(campus.truth(GROUPS).values(), key=lambda group: len(group.get("member", [])))
    assert len(group["member"]) > values
    seen = search(objects, base=group["dn"], search_scope="BASE")[group["dn"]]
    assert [dn.decode() for dn in seen[f"member;range=0-{values - 1}"]] == group["member"][:values]
    rest = search(objects, base=group["dn"], search_scope="BASE", attributes=["member;range=1-*"])[group["dn"]]
    assert [dn.decode() for dn in next(iter(rest.values()))] == group["member"][1 : 1 + values]
    with pytest.raises(CampusError, match="refused"):
        campus.directory_limits("active_directory", values=0)


# L8, L9, L11: values


def test_values_have_the_forms_of_the_wire(campus: Campus, people: Any, objects: Any) -> None:
    _, computer = some(campus, COMPUTERS, "userCertificate")
    seen = search(objects, base=computer["dn"], search_scope="BASE")[computer["dn"]]
    assert {b"top", b"person", b"organizationalPerson", b"user", b"computer"} == {*seen["objectClass"]}
    assert len(seen["objectGUID"][0]) == 16
    assert (seen["objectSid"][0][:2], len(seen["objectSid"][0])) == (b"\x01\x05", 28)
    assert len(seen["userCertificate"][0]) > 8
    assert seen["whenChanged"][0].endswith(b".0Z")
    assert seen["pwdLastSet"][0].isdigit()
    assert seen["accountExpires"] == [b"9223372036854775807"]
    found = search(objects, "(&(objectClass=user)(objectClass=person)(objectClass=computer))", COLLEGE)
    assert len(found) == len(truth(campus, COMPUTERS))
    _, group = some(campus, MAIL_GROUPS, "umichExpiryTimestamp")
    seen = search(people, base=group["dn"], search_scope="BASE")[group["dn"]]
    assert (
        seen["umichExpiryTimestamp"][0].decode()
        == "".join(sign for sign in group["umichExpiryTimestamp"] if sign.isdigit()) + "Z"
    )
    assert seen["joinable"][0] in (b"TRUE", b"FALSE")


def test_a_change_of_members_touches_the_group_alone(campus: Campus) -> None:
    key, group = next((k, g) for k, g in sorted(truth(campus, GROUPS).items()) if g.get("member"))
    account_key, account = next(
        (k, a) for k, a in sorted(truth(campus, ACCOUNTS).items()) if a["dn"] not in group["member"]
    )
    assert group["dn"] not in read(campus, ACCOUNTS)[account_key].get("memberOf", [])
    campus.put(GROUPS, key, {"member": [*group["member"], account["dn"]]})
    after = read(campus, ACCOUNTS)[account_key]
    assert sorted(after["memberOf"]) == sorted([*account.get("memberOf", []), group["dn"]])
    assert {name for name in after if after[name] != account.get(name)} == {"memberOf"}
    moved = read(campus, GROUPS)[key]
    assert (moved["whenChanged"] > group["whenChanged"], moved["uSNChanged"] > group["uSNChanged"]) == (True, True)
    assert read(campus, ACCOUNTS) == truth(campus, ACCOUNTS)


# L10: deleted objects


@pytest.mark.parametrize("stream", [ACCOUNTS, GROUPS, UNITS, COMPUTERS])
def test_a_deleted_object_moves_out_of_sight(campus: Campus, objects: Any, stream: str) -> None:
    key, record = next((k, r) for k, r in sorted(truth(campus, stream).items()) if not _below(campus, r["dn"]))
    guid = "".join(f"\\{octet}" for octet in _octets(key))
    before = search(objects, f"(objectGUID={guid})", FOREST, controls=[SHOW_DELETED])
    assert before.keys() == {record["dn"]}
    campus.delete(stream, key)
    assert search(objects, f"(objectGUID={guid})", FOREST) == {}
    with pytest.raises(LDAPNoSuchObjectResult):
        search(objects, base=TRASH)
    found = search(objects, f"(objectGUID={guid})", TRASH, controls=[SHOW_DELETED])
    (dn, left), *others = found.items()
    assert (others, left["objectGUID"], left["isDeleted"]) == ([], before[record["dn"]]["objectGUID"], [b"TRUE"])
    assert dn == f"{record['dn'].removesuffix(',' + left['lastKnownParent'][0].decode())}\\0ADEL:{key},{TRASH}"
    assert left["name"] == [f"{record['name']}\nDEL:{key}".encode()]
    assert left.keys() - before[record["dn"]].keys() <= {"isDeleted", "lastKnownParent"}
    assert "objectCategory" not in left
    assert not left.keys() & {"memberOf", "member", "description", "mail"}
    assert set(search(objects, "(isDeleted=TRUE)", TRASH, controls=[SHOW_DELETED])) >= {dn, TRASH}
    campus.restore(stream, key)
    assert search(objects, f"(objectGUID={guid})", FOREST, controls=[SHOW_DELETED]).keys() == {record["dn"]}


def _octets(guid: str) -> list[str]:
    """The octets of a GUID in hexadecimal digits, of which the first three fields are little-endian."""
    first, second, third, *rest = guid.split("-")
    fields = [[text[i : i + 2] for i in range(0, len(text), 2)] for text in (first, second, third)]
    last = "".join(rest)
    return [octet for field in fields for octet in reversed(field)] + [last[i : i + 2] for i in range(0, len(last), 2)]


# L12: two controllers


def test_another_controller_shows_the_same_objects_with_what_is_its_own(campus: Campus, objects: Any) -> None:
    def root() -> tuple[str, str]:
        told = search(objects, base="", search_scope="BASE")[""]
        return told["dnsHostName"][0].decode(), told["currentTime"][0].decode()

    own = {
        "whenChanged", "uSNChanged", "uSNCreated", "dSCorePropagationData", "lastLogon", "logonCount", "badPwdCount",
        "badPasswordTime",
    }  # fmt: skip
    first, one = read(campus, COMPUTERS), root()
    campus.controller(2)
    other, two = read(campus, COMPUTERS), root()
    assert first == truth(campus, COMPUTERS) != other
    assert (one[0], two[0], one[1] < two[1]) == ("localhost", "127.0.0.1", True)
    assert other.keys() == first.keys()
    for key in first:
        differing = {name for name in first[key] if other[key].get(name) != first[key][name]}
        assert {"whenChanged", "uSNChanged", "uSNCreated"} <= differing <= own
    campus.live_one_day()
    changed = read(campus, COMPUTERS)
    assert changed.keys() == truth(campus, COMPUTERS).keys()
    latest = max(record["whenChanged"] for record in changed.values())
    assert "".join(sign for sign in latest if sign.isdigit()) <= root()[1]
    campus.controller(1)
    assert read(campus, COMPUTERS) == truth(campus, COMPUTERS)
    with pytest.raises(CampusError, match="refused"):
        campus.controller(3)


def test_the_time_of_a_controller_is_never_before_a_change(campus: Campus, objects: Any) -> None:
    for _ in range(3):
        now = search(objects, base="", search_scope="BASE")[""]["currentTime"][0].decode()
        for stream in (ACCOUNTS, GROUPS, UNITS, COMPUTERS):
            latest = max(record["whenChanged"] for record in truth(campus, stream).values())
            assert "".join(sign for sign in latest if sign.isdigit()) + ".0Z" <= now
        campus.live_one_day()
        campus.advance(3600)


def test_the_hub_reads_what_changed_by_the_time_of_one_controller(campus: Campus) -> None:
    first = Extract()
    read(campus, ACCOUNTS, first)
    before = truth(campus, ACCOUNTS)
    campus.live_one_day()
    second = Extract(Before(changes_only=True, memory=first.memory))
    found, now = read(campus, ACCOUNTS, second), truth(campus, ACCOUNTS)
    assert second.changes_since
    assert len(found) < len(now)
    assert {key for key in now if now[key]["whenChanged"] != before.get(key, {}).get("whenChanged")} <= found.keys()
    campus.controller(2)
    third = Extract(Before(changes_only=True, memory=second.memory))
    assert read(campus, ACCOUNTS, third).keys() == now.keys()
    assert third.completed_by


# L13: faults


@pytest.mark.parametrize("source", ["mcommunity", "active_directory"])
def test_faults_strike_once_and_are_counted(campus: Campus, source: str) -> None:
    prefix, base = {
        "mcommunity": ("MCOMMUNITY_LDAP", PEOPLE_BASE),
        "active_directory": ("AD", UNIVERSITY),
    }[source]
    route = f"{source}/search"
    expected: dict[str, int] = {}

    def ask(outcome: str, raised: type[Exception] | tuple[type[Exception], ...] | None = None) -> None:
        expected[outcome] = expected.get(outcome, 0) + 1
        with connected(campus, prefix) as connection:
            if raised:
                with pytest.raises(raised):
                    search(connection, base=base)
            else:
                assert search(connection, base=base, search_scope="BASE")

    lost = (LDAPSessionTerminatedByServerError, LDAPSocketReceiveError)
    for kind, options, outcome, raised in (
        ("code", {"code": 51}, "51", LDAPBusyResult),
        ("code", {"code": 52, "entries": 3}, "52", LDAPUnavailableResult),
        ("drop", {"entries": 7}, "fault", lost),
        ("truncate", {"entries": 7}, "fault", lost),
    ):
        campus.fault(route, kind, **options)
        ask(outcome, raised)
        ask("0")
    campus.fault(f"{source}/bind", "code", code=52)
    with pytest.raises(LDAPUnavailableResult), connected(campus, prefix):
        pass
    with connected(campus, prefix) as connection:
        campus.fault(f"{source}/page", "cookie")
        walk = pages(connection, 5, "(uid=*)", base)
        with pytest.raises(LDAPUnwillingToPerformResult):
            list(walk)
    for outcome in ("0", "53"):
        expected[outcome] = expected.get(outcome, 0) + 1
    calls = campus.calls()
    assert (calls[route], calls[f"{source}/bind"]) == (expected, {"0": 9, "52": 1})
    assert len([name for name in calls if "/" in name]) == 2
    campus.reset_calls()
    assert campus.calls() == {}
    for struck, kind in (("search", "flood"), ("login", "code"), ("bind", "slow")):
        with pytest.raises(CampusError, match="refused"):
            campus.fault(f"{source}/{struck}", kind)


def test_the_root_of_the_forest_refers_to_others(campus: Campus, objects: Any) -> None:
    objects.search(FOREST, "(objectClass=domain)", attributes=["dc"])
    assert [item["type"] for item in objects.response] == ["searchResEntry", "searchResRef"]
    objects.search(UNIVERSITY, "(ou=UMICH)", attributes=["ou"])
    assert [item["type"] for item in objects.response] == ["searchResEntry"]


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
