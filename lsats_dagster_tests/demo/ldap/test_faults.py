"""The faults of the directory server (sources.md 23.2, L13)."""

from collections.abc import Iterator

import ldap3
import pytest
from ldap3.core.exceptions import (
    LDAPBusyResult,
    LDAPExceptionError,
    LDAPInsufficientAccessRightsResult,
    LDAPInvalidCredentialsResult,
    LDAPOperationResult,
    LDAPSessionTerminatedByServerError,
    LDAPUnavailableResult,
    LDAPUnwillingToPerformResult,
)

from lsats_dagster.demo.campus.ldap.identities import Identity
from lsats_dagster.demo.campus.ldap.server import LdapServer
from lsats_dagster_tests.demo.ldap.aids import (
    HUB,
    HUB_IDENTITY,
    PASSWORD,
    bind,
    client,
    directory,
    pages,
    result,
    search,
    serving,
    silent,
    until,
    whole_subtree,
    wire,
)

QUERY = "(uidNumber=*)"
ENTRY = 0x64


@pytest.fixture(scope="module")
def running() -> Iterator[LdapServer]:
    other = Identity(("cn=other",), PASSWORD)
    with serving(directory(20), HUB_IDENTITY, other) as server:
        yield server


@pytest.fixture
def server(running: LdapServer) -> LdapServer:
    running.faults.clear()
    running.log.clear()
    return running


@pytest.mark.parametrize("entries", [0, 1, 7, 20, 99])
def test_a_connection_drops_after_some_entries(server: LdapServer, entries: int) -> None:
    server.faults.add("search", "drop", entries=entries)
    with wire(server) as raw:
        raw.send(bind(), whole_subtree(2, query=b"\x87\x09uidNumber"))
        raw.message()
        assert [raw.message()[5] for _ in range(min(entries, 20))] == [ENTRY] * min(entries, 20)
        assert raw.end() == b""
    with client(server) as connection:
        assert len(search(connection, QUERY)) == 20


def test_ldap3_sees_a_drop_in_the_middle_of_pages(server: LdapServer) -> None:
    server.faults.add("search", "drop", after=2, entries=3)
    with client(server) as connection:
        found = pages(connection, 5)
        assert len(next(found)) == len(next(found)) == 5
        with pytest.raises(LDAPSessionTerminatedByServerError):
            next(found)


@pytest.mark.parametrize(
    ("code", "raised"),
    [(51, LDAPBusyResult), (52, LDAPUnavailableResult), (53, LDAPUnwillingToPerformResult), (3, None), (4, None)],
)
@pytest.mark.parametrize("entries", [0, 4])
def test_a_code_comes_once_instead_of_entries_or_after_some(
    server: LdapServer, code: int, raised: type[Exception] | None, entries: int
) -> None:
    with client(server) as connection:
        server.faults.add("search", "code", after=1, code=code, entries=entries)
        assert len(search(connection, QUERY)) == 20
        if raised:
            with pytest.raises(raised):
                search(connection, QUERY)
        else:
            assert len(search(connection, QUERY)) == entries
            assert connection.result["result"] == code
        assert len(search(connection, QUERY)) == 20
    with wire(server) as raw:
        server.faults.add("search", "code", code=code, entries=entries)
        raw.send(whole_subtree(1))
        answers = [raw.message() for _ in range(entries + 1)]
        assert result(answers[-1]) == (1, 0x65, code)


def test_success_without_entries_looks_like_a_right_that_was_taken_away(server: LdapServer) -> None:
    with client(server) as connection:
        server.faults.add("search", "empty", times=2)
        assert search(connection, QUERY) == {}
        assert list(pages(connection, 5)) == [[]]
        assert connection.result["result"] == 0
        assert len(search(connection, QUERY)) == 20


def test_who_may_see_nothing_is_told_of_the_server_itself(server: LdapServer) -> None:
    with client(server) as connection:
        server.faults.add("search", "empty")
        connection.search("", "(objectClass=*)", ldap3.BASE)
        assert len(connection.response) == 1


@pytest.mark.parametrize("entries", [0, 3, 99])
@pytest.mark.parametrize("kind", ["garbage", "truncate"])
def test_an_answer_ends_in_what_is_no_whole_message(server: LdapServer, kind: str, entries: int) -> None:
    server.faults.add("search", kind, entries=entries)
    with wire(server) as raw:
        raw.send(whole_subtree(1, query=b"\x87\x09uidNumber"))
        whole = [raw.message()[5] for _ in range(min(entries, 20))]
        rest = raw.end()
    assert whole == [ENTRY] * min(entries, 20)
    if kind == "garbage":
        assert rest.startswith(b"HTTP/1.1 400")
    else:
        # It says how long it is: 6 octets around what it announces at the most.
        announced = int.from_bytes(rest[2:4], "big") if rest[1] == 0x82 else rest[1]
        assert 0 < len(rest) < announced
    with client(server) as connection:
        server.faults.add("search", kind, entries=entries)
        with pytest.raises(LDAPExceptionError):
            search(connection, QUERY)
    with client(server) as connection:
        assert len(search(connection, QUERY)) == 20


@pytest.mark.parametrize("query", [QUERY, "(uid=nobody)"])
def test_a_large_entry_comes_behind_the_true_ones(server: LdapServer, query: str) -> None:
    with client(server) as connection:
        truth = search(connection, query)
        server.faults.add("search", "large", megabytes=2)
        found = search(connection, query)
        (dn, large), *_ = reversed(found.items())
        assert {name: found[name] for name in truth} == truth
        assert len(found) == len(truth) + 1
        assert dn.startswith("cn=large")
        assert large.pop("description") == [b"x" * (2 << 20)]
        assert large == (list(truth.values())[-1] if truth else {})
        assert search(connection, query) == truth


def test_outcomes_are_counted_before_somebody_sees_them(server: LdapServer) -> None:
    with client(server) as connection:
        search(connection, QUERY)
        list(pages(connection, 15))
        server.faults.add("search", "code", code=52)
        with pytest.raises(LDAPUnavailableResult):
            search(connection)
        assert server.log.outcomes == {("bind", "0"): 1, ("search", "0"): 3, ("search", "52"): 1}
    server.log.clear()
    for kind in ("drop", "hang", "garbage", "truncate"):
        server.faults.add("search", kind)
        with wire(server) as raw:
            raw.send(whole_subtree(1))
            until(lambda kind=kind: server.log.outcomes["search", "fault"] > 0)
        server.log.clear()
    server.faults.add("bind", "drop")
    with wire(server) as raw:
        raw.send(bind())
        assert raw.end() == b""
    with pytest.raises(LDAPInvalidCredentialsResult), client(server, password="wrong"):
        pass
    assert server.log.outcomes == {("bind", "fault"): 1, ("bind", "49"): 1}


def test_a_login_can_meet_a_code(server: LdapServer) -> None:
    server.faults.add("bind", "code", code=52)
    with pytest.raises(LDAPUnavailableResult), client(server):
        pass
    with client(server) as connection:
        assert search(connection)


def test_faults_strike_as_often_as_they_say(server: LdapServer) -> None:
    with client(server) as connection:
        server.faults.add("search", "code", times=2, code=52)
        server.faults.add("search", "code", times=None, code=53)
        raised = []
        for _ in range(4):
            with pytest.raises(LDAPOperationResult) as caught:
                search(connection)
            raised.append(caught.type)
        assert raised == [LDAPUnavailableResult] * 2 + [LDAPUnwillingToPerformResult] * 2
        server.faults.clear()
        assert search(connection)


@pytest.mark.parametrize(
    ("struck", "kind", "options"),
    [("search", "flood", {}), ("nothing", "code", {}), ("bind", "slow", {}), ("bind", "code", {"entries": 1})],
)
def test_a_fault_that_does_not_exist_is_refused(
    server: LdapServer, struck: str, kind: str, options: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match="no"):
        server.faults.add(struck, kind, **options)


@pytest.mark.parametrize("struck", ["connect", "bind", "search"])
def test_no_answer_comes_while_others_are_served(server: LdapServer, struck: str) -> None:
    with client(server) as connection:
        server.faults.add(struck, "hang", times=1)
        before = server.log.counts[struck]
        with wire(server) as raw:
            raw.send(bind(), whole_subtree(2))
            until(lambda: server.log.counts[struck] > before)
            if struck == "search":
                assert result(raw.message())[:2] == (1, 0x61)
            assert silent(raw)
            assert len(search(connection, QUERY)) == 20
            # Who hangs can still leave.
            assert raw.ends() == b""


def test_entries_are_late_while_others_are_served(server: LdapServer) -> None:
    with wire(server) as raw, client(server) as connection:
        server.faults.add("search", "slow", seconds=3600)
        raw.send(whole_subtree(1))
        until(lambda: server.log.counts["search"] == 1)
        assert silent(raw)
        assert len(search(connection, QUERY)) == 20


def test_every_entry_of_a_slow_search_comes(server: LdapServer) -> None:
    with client(server) as connection:
        server.faults.add("search", "slow", seconds=0.001)
        assert len(search(connection, QUERY)) == 20


def test_a_cookie_can_become_worthless(server: LdapServer) -> None:
    with client(server) as connection:
        server.faults.add("page", "cookie", after=1)
        found = pages(connection, 5)
        assert len(next(found)) == len(next(found)) == 5
        with pytest.raises(LDAPUnwillingToPerformResult):
            next(found)
        assert len([uid for page in pages(connection, 5) for uid in page]) == 20


@pytest.mark.parametrize(
    ("code", "raised"), [(50, LDAPInsufficientAccessRightsResult), (53, LDAPUnwillingToPerformResult)]
)
def test_a_login_is_refused_in_the_middle(server: LdapServer, code: int, raised: type[Exception]) -> None:
    with client(server) as connection, client(server, "cn=other") as other, client(server, None, None) as anonymous:
        found = pages(connection, 5)
        assert len(next(found)) == 5
        server.faults.refuse_login(HUB.upper(), code)
        with pytest.raises(raised):
            next(found)
        with pytest.raises(LDAPInvalidCredentialsResult):
            connection.rebind(HUB, PASSWORD)
        with pytest.raises(LDAPInvalidCredentialsResult), client(server, "EXAMPLE\\svc-hub"):
            pass
        assert len(search(other, QUERY)) == len(search(anonymous, QUERY)) == 20
        server.faults.clear()
        connection.rebind(HUB, PASSWORD)
        assert len(search(connection, QUERY)) == 20


def test_a_connection_can_be_refused(server: LdapServer) -> None:
    server.faults.add("connect", "drop")
    with wire(server) as raw:
        assert raw.ends(whole_subtree()) == b""
    with client(server) as connection:
        assert search(connection)


def test_the_log_tells_what_was_asked(server: LdapServer) -> None:
    with client(server) as connection:
        list(pages(connection, 10, "(&(uid=u*)(!(uidNumber>=30))(|(cn~=a\\2ab)(mail=*))(joinable<=x)(a:dn:=b))"))
        list(pages(connection, 10, "(uid=*1*2*)"))
        asked = server.log.counts.copy()
    # The end of an earlier client may have come in between.
    del asked["unbind"]
    assert asked == {"connect": 1, "bind": 1, "search": 2}
    assert [searched.filter for searched in server.log.searches] == [
        "(&(uid=u*)(!(uidNumber>=30))(|(cn~=a\\2ab)(mail=*))(joinable<=x)(:=))",
        "(uid=*1*2*)",
    ]
    assert server.log.searches[0].attributes == ("uid",)
    assert server.log.searches[0].scope.name == ldap3.SUBTREE
