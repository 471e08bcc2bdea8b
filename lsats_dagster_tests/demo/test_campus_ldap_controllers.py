"""What Active Directory has its own: deleted objects and two controllers; and faults (sources.md 23.2, L10, L12, L13)."""

from typing import Any

import pytest
from ldap3.core.exceptions import (
    LDAPBusyResult,
    LDAPNoSuchObjectResult,
    LDAPSessionTerminatedByServerError,
    LDAPSocketReceiveError,
    LDAPUnavailableResult,
    LDAPUnwillingToPerformResult,
)

from lsats_dagster.demo.campus import Campus, CampusError
from lsats_dagster.ingestion.stream import Before, Extract
from lsats_dagster_tests.demo.ldap.aids import pages, search
from lsats_dagster_tests.demo.ldap_aids import (
    ACCOUNTS,
    COMPUTERS,
    FOREST,
    GROUPS,
    PEOPLE_BASE,
    SHOW_DELETED,
    TRASH,
    UNITS,
    UNIVERSITY,
    connected,
    names_below,
    read,
    truth,
)
from lsats_dagster_tests.demo.ldap_aids import objects as objects

# L10: deleted objects


@pytest.mark.parametrize("stream", [ACCOUNTS, GROUPS, UNITS, COMPUTERS])
def test_a_deleted_object_moves_out_of_sight(campus: Campus, objects: Any, stream: str) -> None:
    key, record = next((k, r) for k, r in sorted(truth(campus, stream).items()) if not names_below(campus, r["dn"]))
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
