"""Pages, cookies and limits (sources.md 23.2, L5 and L6)."""

import ldap3
import pytest
from ldap3.core.exceptions import LDAPProtocolErrorResult, LDAPUnwillingToPerformResult

from lsats_dagster.demo.campus.ldap.identities import Identity, Limits
from lsats_dagster_tests.demo.ldap.aids import (
    HUB_IDENTITY,
    PASSWORD,
    PEOPLE,
    client,
    directory,
    next_cookie,
    pages,
    search,
    serving,
)

SIZE_LIMIT = 4
EVERYBODY = [f"u{number}" for number in range(1200, 0, -1)]


def flat(found: list[list[str]]) -> list[str]:
    return [uid for page in found for uid in page]


def test_an_unpaged_search_ends_at_the_page_limit_with_code_4() -> None:
    with serving(directory(1200), limits=Limits(page=1000)) as server, client(server) as connection:
        found = search(connection, "(uidNumber=*)")
        assert [values["uid"][0].decode() for values in found.values()] == EVERYBODY[:1000]
        assert connection.result["result"] == SIZE_LIMIT
        assert len(search(connection, "(uidNumber<=1000)")) == 1000
        assert connection.result["result"] == 0


@pytest.mark.parametrize(("size", "sizes"), [(500, [500, 500, 200]), (5000, [1000, 200]), (600, [600, 600])])
def test_pages_bring_everything_once_and_in_order(size: int, sizes: list[int]) -> None:
    with serving(directory(1200), limits=Limits(page=1000)) as server, client(server) as connection:
        found = list(pages(connection, size))
        assert [len(page) for page in found] == sizes
        assert flat(found) == EVERYBODY
        assert connection.result["result"] == 0


def test_pages_of_one_search_show_one_moment_and_search_once() -> None:
    content = directory(30)
    with serving(content) as server, client(server) as connection:
        found = pages(connection, 10)
        first = next(found)
        content.remove(f"uid=u15,{PEOPLE}")
        content.replace(f"uid=u5,{PEOPLE}", {"objectClass": [b"top"], "uid": [b"other"], "uidNumber": [b"5"]})
        content.add(f"uid=u31,{PEOPLE}", {"objectClass": [b"top"], "uid": [b"u31"], "uidNumber": [b"31"]})
        assert flat([first, *found]) == EVERYBODY[-30:]
        assert "u15" not in flat(list(pages(connection, 10)))
        assert [searched.further_page for searched in server.log.searches] == [False, True, True] * 2


@pytest.mark.parametrize(
    ("size", "sizes"), [(100, [100, 100, 100, 50]), (350, [350]), (1000, [350]), (175, [175, 175])]
)
def test_the_entry_limit_counts_over_all_pages(size: int, sizes: list[int]) -> None:
    with serving(directory(1200), limits=Limits(entries=350)) as server, client(server) as connection:
        found = list(pages(connection, size))
        assert [len(page) for page in found] == sizes
        assert flat(found) == EVERYBODY[:350]
        assert connection.result["result"] == SIZE_LIMIT


def test_as_many_as_the_entry_limit_are_no_excess() -> None:
    with serving(directory(1200), limits=Limits(entries=350)) as server, client(server) as connection:
        assert len(search(connection, "(uidNumber>=851)")) == 350
        assert connection.result["result"] == 0
        assert len(flat(list(pages(connection, 100, "(uidNumber>=851)")))) == 350
        assert connection.result["result"] == 0
        assert len(search(connection, "(uidNumber>=850)")) == 350
        assert connection.result["result"] == SIZE_LIMIT


def test_limits_are_those_of_the_identity() -> None:
    free = Identity(("cn=comparison",), PASSWORD, limits=Limits())
    with serving(directory(1200), HUB_IDENTITY, free, limits=Limits(entries=350, page=1000)) as server:
        with client(server, "cn=comparison") as connection:
            assert len(search(connection, "(uidNumber=*)")) == 1200
        with client(server, None, None) as connection:
            assert len(search(connection, "(uidNumber=*)")) == 350


@pytest.mark.parametrize(("asked", "count", "code"), [(5, 5, SIZE_LIMIT), (12, 12, 0), (13, 12, 0), (0, 12, 0)])
def test_a_client_may_limit_a_search(asked: int, count: int, code: int) -> None:
    with serving(directory(12)) as server, client(server) as connection:
        assert len(search(connection, "(uidNumber=*)", size_limit=asked)) == count
        assert connection.result["result"] == code
        assert len(flat(list(pages(connection, 4, size_limit=asked)))) == count
        assert connection.result["result"] == code


def test_a_client_may_limit_the_time_of_a_search() -> None:
    with serving(directory(12)) as server, client(server) as connection:
        server.faults.add("search", "slow", after=1, seconds=0.3)
        assert len(search(connection, "(uidNumber=*)", time_limit=1)) == 12
        assert 1 <= len(search(connection, "(uidNumber=*)", time_limit=1)) < 12
        assert connection.result["result"] == 3


# Cookies


def one_page(connection: ldap3.Connection, cookie: bytes | None, **options: object) -> list[str]:
    options = {"size": 5, "query": "(uidNumber=*)", **options}
    return next(pages(connection, **options, paged_cookie=cookie))  # type: ignore[arg-type]


def test_a_cookie_is_good_once() -> None:
    with serving(directory(20)) as server, client(server) as connection:
        assert one_page(connection, None) == ["u20", "u19", "u18", "u17", "u16"]
        cookie = next_cookie(connection)
        assert one_page(connection, cookie) == ["u15", "u14", "u13", "u12", "u11"]
        with pytest.raises(LDAPUnwillingToPerformResult):
            one_page(connection, cookie)


def test_a_cookie_is_worth_nothing_on_another_connection() -> None:
    with serving(directory(20)) as server, client(server) as connection, client(server) as other:
        one_page(connection, None)
        cookie = next_cookie(connection)
        with pytest.raises(LDAPUnwillingToPerformResult):
            one_page(other, cookie)
        assert len(one_page(connection, cookie)) == 5


@pytest.mark.parametrize(
    "change",
    [{"query": "(uidNumber>=0)"}, {"base": "dc=example,dc=edu"}, {"attributes": ["*"]}, {"search_scope": "LEVEL"}],
)
def test_a_cookie_is_good_for_the_same_search_only(change: dict[str, object]) -> None:
    with serving(directory(20)) as server, client(server) as connection:
        one_page(connection, None)
        cookie = next_cookie(connection)
        with pytest.raises(LDAPUnwillingToPerformResult):
            one_page(connection, cookie, **change)
        assert one_page(connection, cookie, size=7) == ["u15", "u14", "u13", "u12", "u11", "u10", "u9"]


def test_a_new_login_ends_all_paged_searches() -> None:
    with serving(directory(20)) as server, client(server) as connection:
        one_page(connection, None)
        cookie = next_cookie(connection)
        connection.rebind()
        with pytest.raises(LDAPUnwillingToPerformResult):
            one_page(connection, cookie)


def test_a_page_of_no_size_ends_a_paged_search() -> None:
    with serving(directory(20)) as server, client(server) as connection:
        one_page(connection, None)
        cookie = next_cookie(connection)
        # ldap3 cannot ask for it by `paged_size`.
        end = ldap3.protocol.rfc2696.paged_search_control(True, 0, cookie)
        assert search(connection, "(uidNumber=*)", PEOPLE, attributes=["uid"], controls=[end]) == {}
        assert next_cookie(connection) == b""
        with pytest.raises(LDAPUnwillingToPerformResult):
            one_page(connection, cookie)
        begin = ldap3.protocol.rfc2696.paged_search_control(True, 0, b"")
        with pytest.raises(LDAPUnwillingToPerformResult):
            search(connection, "(uidNumber=*)", controls=[begin])


def test_the_oldest_of_many_paged_searches_is_forgotten() -> None:
    with serving(directory(20)) as server, client(server) as connection:
        cookies = []
        for _ in range(11):
            one_page(connection, None)
            cookies.append(next_cookie(connection))
        with pytest.raises(LDAPUnwillingToPerformResult):
            one_page(connection, cookies[0])
        assert all(len(one_page(connection, cookie)) == 5 for cookie in cookies[1:])


@pytest.mark.parametrize("value", [b"", b"\x30\x03\x02\x01\x05", b"\x30\x05\x02\x01\xff\x04\x00"])
def test_a_page_that_is_none_is_a_protocol_error(value: bytes) -> None:
    with serving(directory(20)) as server, client(server) as connection:
        with pytest.raises(LDAPProtocolErrorResult):
            search(connection, controls=[("1.2.840.113556.1.4.319", True, value)])
        assert search(connection)
