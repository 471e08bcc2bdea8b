"""What searches find and what they bring of it (sources.md 23.2: L2, L4, L10, L12, L13), by ldap3."""

from collections.abc import Iterator

import ldap3
import pytest
from ldap3.core.exceptions import (
    LDAPNoSuchObjectResult,
    LDAPProtocolErrorResult,
    LDAPUnavailableCriticalExtensionResult,
    LDAPUnwillingToPerformResult,
)

from lsats_dagster.demo.campus.ldap import searches
from lsats_dagster.demo.campus.ldap.identities import Identity, Limits
from lsats_dagster.demo.campus.ldap.server import LdapServer
from lsats_dagster_tests.demo.ldap.aids import (
    GROUPS,
    HUB_IDENTITY,
    PEOPLE,
    ROOT,
    TRASH,
    attributes,
    client,
    directory,
    pages,
    result,
    search,
    serving,
    whole_subtree,
    wire,
)

ANN = f"uid=asmith,{PEOPLE}"
SHOW_DELETED = [("1.2.840.113556.1.4.417", True, None)]


@pytest.fixture(scope="module")
def server() -> Iterator[LdapServer]:
    content = directory(referrals=["ldap://other.example.edu/DC=other"])
    content.add(
        ANN,
        attributes(
            objectClass=["person", "inetOrgPerson"], uid="asmith", cn=["Ann Smith", "Ann  M Smith"], uidNumber="9",
            mail="Ann@Example.edu", whenChanged="20260112081530.0Z", entryUUID="one", objectGUID=b"\x00\xff*()\\",
        ),
    )  # fmt: skip
    content.add(
        f"uid=blee,{PEOPLE}",
        attributes(
            objectClass="person", uid="blee", cn="Bö Lee", uidNumber="10", whenChanged="20260112091530+0200",
            manager=ANN.upper(), joinable="TRUE",
        ),
    )  # fmt: skip
    content.add(
        f"cn=Doe\\, Carl,{PEOPLE}",
        attributes(objectClass="person", uid="cdoe", cn="Doe, Carl", uidNumber="100", whenChanged="2026011308Z"),
    )
    content.add(f"cn=odd,{GROUPS}", attributes(cn=["odd", "smith* (old)"], uidNumber="many", gidNumber="-3"))
    content.add(TRASH, attributes(cn="Deleted Objects", isDeleted="TRUE"))
    content.add(f"CN=gone\\0ADEL:1,{TRASH}", attributes(cn="gone", isDeleted="TRUE", uidNumber="9"))
    hidden = Identity(
        ("uid=public",),
        "p",
        hidden=frozenset({"mail", "entryUUID"}),
        hides=lambda entry: entry.key.startswith("cn=doe"),
    )
    with serving(content, HUB_IDENTITY, hidden) as running:
        yield running


@pytest.fixture(scope="module")
def hub(server: LdapServer) -> Iterator[ldap3.Connection]:
    with client(server) as connection:
        yield connection


def uids(connection: ldap3.Connection, query: str, **options: object) -> str:
    """The uids that a filter finds, `odd` for the entry without one."""
    found = search(connection, query, **options)
    return " ".join(values.get("uid", [b"odd"])[0].decode() for values in found.values())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("(uid=ASMITH)", "asmith"),
        ("(UID=asmith)", "asmith"),
        ("(cn= ann m  SMITH )", "asmith"),
        ("(cn~=ann smith)", "asmith"),
        ("(cn=BÖ lee)", "blee"),
        ("(mail=*)", "asmith"),
        ("(!(mail=*))(uid=*)", "blee cdoe"),
        ("(cn=ann*)", "asmith"),
        ("(cn=*SMITH)", "asmith"),
        ("(cn=a*n*m*th)", "asmith"),
        ("(cn=*n*s*i*)", "asmith"),
        ("(cn=ann smith*ann smith)", ""),
        ("(cn=*m*m*m*m*)", ""),
        ("(cn=*\\2a \\28old\\29)", "odd"),
        ("(uidNumber>=10)", "blee cdoe"),
        ("(uidNumber<=10)", "asmith blee"),
        ("(uidNumber=010)", ""),
        ("(uidNumber>=9)(uidNumber<=10)", "asmith blee"),
        ("(gidNumber<=-1)", "odd"),
        ("(uidNumber=many)", ""),
        ("(!(uidNumber=many))", ""),
        ("(!(uidNumber=9))(uidNumber=*)", "blee cdoe odd"),
        ("(whenChanged>=20260112081530Z)", "asmith cdoe"),
        ("(whenChanged<=20260112071530.000Z)", "blee"),
        ("(whenChanged>=2026011303-0500)", "cdoe"),
        ("(whenChanged>=yesterday)", ""),
        ("(whenChanged=2026*)", ""),
        ("(cn>=bo)", "blee cdoe odd"),
        ("(cn<=b)", "asmith"),
        (f"(manager={ANN.replace('=', ' = ').replace(',', ' , ')})", "blee"),
        ("(manager=asmith)", ""),
        ("(manager=uid=asmith*)", ""),
        ("(joinable=TRUE)", "blee"),
        ("(joinable=true)", ""),
        ("(joinable>=FALSE)", ""),
        ("(objectGUID=\\00\\ff\\2a\\28\\29\\5c)", "asmith"),
        ("(objectGUID=\\00*\\5c)", "asmith"),
        ("(objectGUID>=\\00\\ff)", "asmith"),
        ("(nobody=knows)", ""),
        ("(!(nobody=knows))", ""),
        ("(!(&(nobody=knows)(uid=asmith)))(uid=*)", "blee cdoe"),
        ("(|(nobody=knows)(uid=asmith))", "asmith"),
        ("(!(|(nobody=knows)(uid=nobody)))", ""),
        ("(uid:caseExactMatch:=asmith)", ""),
        ("(!(uid:caseExactMatch:=asmith))", ""),
        ("(|(uid=cdoe)(uidNumber=9))", "asmith cdoe"),
        ("(|(uid=cdoe)(mail=*))", "asmith cdoe"),
        ("(|(uid=cdoe)(uid=CDOE))", "cdoe"),
    ],
)
def test_filters_find_what_they_say(hub: ldap3.Connection, query: str, found: str) -> None:
    assert uids(hub, f"(&{query})") == found


@pytest.mark.parametrize(("query", "found"), [(b"\xa0\0", True), (b"\xa1\0", False)])
def test_all_of_nothing_is_true_and_any_of_nothing_is_false(server: LdapServer, query: bytes, found: bool) -> None:
    with wire(server) as raw:
        raw.send(whole_subtree(query=query))
        assert (result(raw.message())[1] == 0x64) == found


@pytest.mark.parametrize(
    ("base", "scope", "found"),
    [
        (ROOT, ldap3.BASE, [ROOT]),
        (ROOT, ldap3.LEVEL, [PEOPLE, GROUPS]),
        (GROUPS, ldap3.LEVEL, [f"cn=odd,{GROUPS}"]),
        (GROUPS, ldap3.SUBTREE, [GROUPS, f"cn=odd,{GROUPS}"]),
        ("OU=groups,DC=Example,dc=EDU", ldap3.SUBTREE, [GROUPS, f"cn=odd,{GROUPS}"]),
        (f"cn=doe\\2C  CARL,{PEOPLE}", ldap3.SUBTREE, [f"cn=Doe\\, Carl,{PEOPLE}"]),
        (f"cn=odd,{GROUPS}", ldap3.LEVEL, []),
    ],
)
def test_scopes(hub: ldap3.Connection, base: str, scope: str, found: list[str]) -> None:
    assert list(search(hub, base=base, search_scope=scope)) == found


@pytest.mark.parametrize(
    ("base", "matched"), [(f"uid=nobody,{PEOPLE}", PEOPLE), (f"uid=x,ou=y,{ROOT}", ROOT), ("dc=org", ""), (TRASH, ROOT)]
)
def test_a_missing_base_is_told_with_what_is_above_it(hub: ldap3.Connection, base: str, matched: str) -> None:
    with pytest.raises(LDAPNoSuchObjectResult) as raised:
        search(hub, base=base)
    assert raised.value.dn == matched


@pytest.mark.parametrize(
    ("base", "ends_with"),
    [
        (b"OU = people , DC=Example,dc=EDU", 0),
        (b"people", 34),
        (b"=people,dc=example,dc=edu", 34),
        (b"ou=people,", 34),
        (b"ou=people\\", 34),
    ],
)
def test_a_base_is_a_name_with_blanks_or_without(server: LdapServer, base: bytes, ends_with: int) -> None:
    with wire(server) as raw:
        raw.send(whole_subtree(base=base, query=b"\xa1\0"))
        assert result(raw.message()) == (1, 0x65, ends_with)


@pytest.mark.parametrize(
    ("asked", "brought"),
    [
        (["*"], {"objectClass", "uid", "cn", "uidNumber", "mail", "whenChanged", "objectGUID"}),
        (["+"], {"entryUUID"}),
        (["+", "MAIL"], {"entryUUID", "mail"}),
        (["*", "entryuuid"], {"objectClass", "uid", "cn", "uidNumber", "mail", "whenChanged", "objectGUID", "entryUUID"}),
        (["1.1"], set()),
        (["UID", "uid", "manager", "none"], {"uid"}),
    ],
)  # fmt: skip
def test_attributes_come_as_they_are_asked_for(hub: ldap3.Connection, asked: list[str], brought: set[str]) -> None:
    assert set(search(hub, base=ANN, attributes=asked)[ANN]) == brought


def test_no_list_of_attributes_means_all_but_operational_ones(server: LdapServer) -> None:
    with wire(server) as raw:
        raw.send(whole_subtree(base=ANN.encode()))
        answer = raw.message()
        assert b"whenChanged" in answer
        assert b"entryUUID" not in answer


def test_values_come_as_they_are(hub: ldap3.Connection) -> None:
    found = search(hub, base=ANN, attributes=["cn", "objectGUID"])[ANN]
    assert found == {"cn": [b"Ann Smith", b"Ann  M Smith"], "objectGUID": [b"\x00\xff*()\\"]}


def test_types_can_be_asked_for_without_values(hub: ldap3.Connection) -> None:
    assert search(hub, base=ANN, attributes=["uid", "mail"], types_only=True)[ANN] == {"uid": [], "mail": []}


def test_what_an_identity_may_not_see_looks_absent(server: LdapServer) -> None:
    with client(server, "uid=public", "p") as connection:
        assert uids(connection, "(uid=*)") == "asmith blee"
        assert {"mail", "entryUUID"}.isdisjoint(search(connection, base=ANN, attributes=["*", "+", "mail"])[ANN])
        assert uids(connection, "(mail=*)") == uids(connection, "(mail=ann@example.edu)") == ""
        assert uids(connection, "(&(!(mail=*))(!(mail=ann@example.edu))(uid=asmith))") == "asmith"
        with pytest.raises(LDAPNoSuchObjectResult):
            search(connection, base=f"cn=Doe\\, Carl,{PEOPLE}")


def test_deleted_entries_show_only_by_their_control(hub: ldap3.Connection) -> None:
    assert uids(hub, "(uidNumber=9)") == "asmith"
    gone = f"CN=gone\\0ADEL:1,{TRASH}"
    assert list(search(hub, "(isDeleted=TRUE)", controls=SHOW_DELETED)) == [TRASH, gone]
    assert list(search(hub, base=gone, controls=SHOW_DELETED)) == [gone]
    with pytest.raises(LDAPNoSuchObjectResult):
        search(hub, base=gone)


@pytest.mark.parametrize(
    ("base", "scope", "told"), [(ROOT, "SUBTREE", True), (ROOT, "LEVEL", False), (PEOPLE, "SUBTREE", False)]
)
def test_other_servers_are_told_below_the_root(hub: ldap3.Connection, base: str, scope: str, told: bool) -> None:
    hub.search(base, "(uid=asmith)", scope)
    urls = [item["uri"] for item in hub.response if item["type"] == "searchResRef"]
    assert urls == ([["ldap://other.example.edu/DC=other"]] if told else [])


# From two servers, and in an order


def test_two_controllers_show_two_versions_of_one_entry() -> None:
    one, other = directory(), directory()
    one.add(ANN, attributes(uid="asmith", cn="Ann", whenChanged="20260112081530.0Z"))
    other.add(ANN, attributes(uid="asmith", cn="Ann", whenChanged="20260112081544.0Z"))
    with serving(one) as first, serving(other) as second, client(first) as here, client(second) as there:
        seen, elsewhere = search(here, base=ANN)[ANN], search(there, base=ANN)[ANN]
        assert (seen["whenChanged"], elsewhere["whenChanged"]) == ([b"20260112081530.0Z"], [b"20260112081544.0Z"])
        assert seen["cn"] == elsewhere["cn"]
        assert uids(here, "(whenChanged>=20260112081540Z)") == ""
        assert uids(there, "(whenChanged>=20260112081540Z)") == "asmith"


def sort_key(name: bytes, *, reverse: bool = False, rule: bytes = b"") -> bytes:
    parts = bytes((4, len(name))) + name
    parts += bytes((0x80, len(rule))) + rule if rule else b""
    parts += b"\x81\1\xff" if reverse else b""
    return bytes((0x30, len(parts))) + parts


def by(*keys: bytes, critical: bool = True) -> list[tuple[str, bool, bytes]]:
    return [("1.2.840.113556.1.4.473", critical, bytes((0x30, len(b"".join(keys)))) + b"".join(keys))]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ([sort_key(b"uidNumber", rule=b"2.5.13.15")], "asmith blee cdoe odd"),
        ([sort_key(b"UIDNUMBER", reverse=True)], "odd cdoe blee asmith"),
        ([sort_key(b"cn")], "asmith blee cdoe odd"),
        ([sort_key(b"mail"), sort_key(b"uid", reverse=True)], "asmith odd cdoe blee"),
        ([sort_key(b"gidNumber"), sort_key(b"whenChanged")], "odd blee asmith cdoe"),
    ],
)
def test_a_search_comes_in_the_order_that_is_asked_for(hub: ldap3.Connection, keys: list[bytes], found: str) -> None:
    assert uids(hub, "(uidNumber=*)", controls=by(*keys)) == found
    assert sort_result(hub) == 0


def sort_result(connection: ldap3.Connection) -> int:
    return int(connection.result["controls"]["1.2.840.113556.1.4.474"]["value"][-1])


def test_pages_and_limits_count_in_the_order_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # A search in no order would end after a few more than its limit.
    monkeypatch.setattr(searches, "AT_ONCE", 1)
    with serving(directory(20), limits=Limits(entries=12)) as server, client(server) as connection:
        found = list(pages(connection, 5, controls=by(sort_key(b"uidNumber"))))
        assert found == [[f"u{number}" for number in page] for page in (range(1, 6), range(6, 11), range(11, 13))]
        assert connection.result["result"] == 4


def test_an_order_that_there_is_not_is_told(hub: ldap3.Connection) -> None:
    assert uids(hub, "(uidNumber<=10)", controls=by(sort_key(b"size"), critical=False)) == "asmith blee"
    assert sort_result(hub) == 16
    with pytest.raises(LDAPUnavailableCriticalExtensionResult):
        search(hub, controls=by(sort_key(b"size")))
    with pytest.raises(LDAPProtocolErrorResult):
        search(hub, controls=[("1.2.840.113556.1.4.473", True, b"cn")])


# What is not served


def test_an_unknown_critical_control_refuses_a_search_and_an_uncritical_one_does_not(hub: ldap3.Connection) -> None:
    assert search(hub, "(uid=asmith)", controls=[("1.2.3", False, None)])
    with pytest.raises(LDAPUnavailableCriticalExtensionResult):
        search(hub, "(uid=asmith)", controls=[("1.2.3", True, None)])


def test_nobody_changes_the_directory(hub: ldap3.Connection) -> None:
    for change in (
        lambda: hub.add(f"uid=new,{PEOPLE}", "person"),
        lambda: hub.delete(ANN),
        lambda: hub.modify(ANN, {"mail": [(ldap3.MODIFY_REPLACE, ["x"])]}),
        lambda: hub.modify_dn(ANN, "uid=other"),
        lambda: hub.compare(ANN, "uid", "asmith"),
    ):
        with pytest.raises(LDAPUnwillingToPerformResult):
            change()
    assert uids(hub, "(uid=asmith)") == "asmith"


def test_an_unknown_extended_operation_is_a_protocol_error(hub: ldap3.Connection) -> None:
    with pytest.raises(LDAPProtocolErrorResult):
        hub.extended("1.3.6.1.4.1.4203.1.11.3")
