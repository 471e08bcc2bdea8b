"""TeamDynamix: people and assets, all of them and one by one."""

import json

import pytest

from lsats_dagster.clients.errors import PermanentSourceError
from lsats_dagster_tests.clients.aids import Reply, Request, VirtualClock
from lsats_dagster_tests.clients.test_tdx import NOT_THERE, STATIC, client_of


class People:
    """A TeamDynamix that grants at most two accounts in one search of people, each of which has one user."""

    def __init__(self, refused: frozenset[int] = frozenset()) -> None:
        self.refused = refused
        self.asked: list[list[int]] = []

    def __call__(self, request: Request) -> Reply:
        if request.path == "/api/people/userlist":
            return Reply(403, b"no")
        if request.path != "/api/people/search":
            return NOT_THERE
        accounts = json.loads(request.body)["AccountIDs"]
        self.asked.append(accounts)
        if len(accounts) > 2 or self.refused.intersection(accounts):
            return Reply(400, b"too many")
        return Reply(200, json.dumps([{"UID": account} for account in accounts]).encode())


def test_a_search_of_people_that_is_refused_as_too_large_is_split() -> None:
    people = People()
    with client_of(people, VirtualClock(), STATIC) as (client, _):
        pages = client.users(["1", "2", "3", "4", "5"], active=True)
        assert [user for page in pages for user in page] == [{"UID": account} for account in range(1, 6)]
    assert people.asked == [[1, 2, 3, 4, 5], [1, 2], [3, 4, 5], [3], [4, 5]]


def test_a_search_for_one_account_that_is_refused_is_an_error() -> None:
    with (
        client_of(People(frozenset({3})), VirtualClock(), STATIC) as (client, _),
        pytest.raises(PermanentSourceError, match="HTTP 400"),
    ):
        list(client.users(["1", "2", "3"], active=False))


def test_a_login_that_may_not_list_everybody_is_told_so() -> None:
    with client_of(People(), VirtualClock(), STATIC) as (client, _):
        assert client.user_list() is None


def test_assets_are_asked_for_within_their_application() -> None:
    asked: list[tuple[str, str, bytes]] = []

    def script(request: Request) -> Reply:
        asked.append((request.verb, request.path, request.body))
        return Reply(200, b"{}" if request.path.endswith("/7") else b"[]")

    with client_of(script, VirtualClock(), STATIC) as (client, _):
        assert list(client.asset_statuses()) == []
        assert list(client.assets([38, 41])) == []
        assert client.asset("7") == {}
    assert [(verb, path) for verb, path, _ in asked] == [
        ("GET", "/api/48/assets/statuses"),
        ("POST", "/api/48/assets/search"),
        ("GET", "/api/48/assets/7"),
    ]
    assert json.loads(asked[1][2]) == {"StatusIDs": [38, 41]}


@pytest.mark.parametrize("key", ["", "7/../8", "me", "{3f2b8a1c-0d4e-4f6a-8b7c-9d0e1f2a3b4c}", "../accounts/1"])
def test_a_key_that_could_name_something_else_is_no_path(key: str) -> None:
    with client_of(People(), VirtualClock(), STATIC) as (client, server):
        for ask in (client.account, client.user, client.asset):
            with pytest.raises(ValueError, match="TeamDynamix"):
                ask(key)
        assert server.requests == []


def test_assets_without_a_status_are_not_asked_for() -> None:
    """TeamDynamix would take that for no restriction."""
    with client_of(lambda request: Reply(200, b"[]"), VirtualClock(), STATIC) as (client, server):
        with pytest.raises(ValueError, match="at least one status"):
            list(client.assets([]))
        assert server.requests == []
