"""TeamDynamix: the three ways to log in, the accounts, one account."""

import base64
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate

import pytest

from lsats_dagster.clients.errors import (
    PermanentSourceError,
    TransientSourceError,
    UnreadableAnswerError,
    UnreadableRecordError,
)
from lsats_dagster.clients.http import DEFAULT_CEILINGS, UNREADABLE_TRIES, Ceilings
from lsats_dagster.clients.tdx import AdminLogin, StaticToken, TdxClient, TdxCredentials, UserLogin
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster_tests.clients.aids import (
    PATIENT,
    Reply,
    Request,
    Script,
    Server,
    VirtualClock,
    reset,
    serving,
)

ADMIN = AdminLogin("beid-value", "key-value")
USER = UserLogin("user-value", "password-value")
STATIC = StaticToken("head.static-value.sign")
NOT_THERE = Reply(404, b'{"Message": "none"}', {"Content-Type": "application/json; charset=utf-8"})
LOGIN_PATHS = {"/api/auth": "user", "/api/auth/loginadmin": "admin"}


def jwt(end: float, number: int) -> str:
    claims = json.dumps({"exp": end, "aud": "https://www.teamdynamix.com/", "n": number}).encode()
    return "e30." + base64.urlsafe_b64encode(claims).decode().rstrip("=") + ".sign"


class Tdx:
    """A TeamDynamix that accepts the credentials above and the tokens it gave."""

    def __init__(self, clock: VirtualClock, *, lifetime: float = 86400, skew: float = 0.0) -> None:
        self.clock, self.lifetime, self.skew = clock, lifetime, skew
        self.logins: list[dict[str, str]] = []
        self.revoked: set[str] = set()
        self.given: dict[str, float] = {STATIC.token: float("inf")}
        self.details: dict[str, Reply] = {"7": Reply(200, b'{"ID": 7, "Attributes": []}')}
        self.list = Reply(200, b'[{"ID": 7}, null]')

    def now(self) -> float:
        return self.clock.now() + self.skew

    def __call__(self, request: Request) -> Reply:
        if request.path in LOGIN_PATHS:
            body = json.loads(request.body)
            self.logins.append(body)
            if body not in (
                {"BEID": ADMIN.beid, "WebServicesKey": ADMIN.web_services_key},
                {"username": USER.username, "password": USER.password},
            ):
                return Reply(401, b"no")
            token = jwt(self.now() + self.lifetime, len(self.logins))
            self.given[token] = self.now() + self.lifetime
            return Reply(200, f' "{token}"\r\n'.encode(), {"Content-Type": "text/plain"})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.given.get(token, 0) <= self.now() or token in self.revoked:
            return Reply(401)
        if request.path == "/api/accounts/search":
            return self.list
        return self.details.get(request.path.removeprefix("/api/accounts/"), NOT_THERE)


@contextmanager
def client_of(
    script: Script,
    clock: VirtualClock,
    credentials: TdxCredentials = ADMIN,
    *,
    ceilings: Ceilings = DEFAULT_CEILINGS,
) -> Iterator[tuple[TdxClient, Server]]:
    now = script.now if isinstance(script, Tdx) else clock.now
    with serving(script, now=now) as server:
        client = TdxClient(
            base_url=server.url + "/api/",
            credentials=credentials,
            app_id=48,
            window=LocalCallWindow(clock),
            timeouts=PATIENT,
            ceilings=ceilings,
            clock=clock,
        )
        try:
            yield client, server
        finally:
            client.close()


def all_accounts(client: TdxClient) -> list[object]:
    return [account for page in client.accounts() for account in page]


@pytest.mark.parametrize("credentials", [ADMIN, USER, STATIC])
def test_each_way_to_log_in_reads_accounts_and_details(credentials: TdxCredentials) -> None:
    tdx = Tdx(VirtualClock())
    with client_of(tdx, tdx.clock, credentials) as (client, server):
        assert all_accounts(client) == [{"ID": 7}, None]
        assert client.account("7") == {"ID": 7, "Attributes": []}
        assert client.account("8") is None
        search = server.requests[-3]
        assert (search.verb, json.loads(search.body)) == ("POST", {"IsActive": None})
        assert search.headers["Content-Type"] == "application/json; charset=utf-8"
        assert [path for path in server.paths() if path in LOGIN_PATHS] == {
            ADMIN: ["/api/auth/loginadmin"], USER: ["/api/auth"], STATIC: [],
        }[credentials]  # fmt: skip


def test_credentials_and_clients_show_no_secret() -> None:
    tdx = Tdx(VirtualClock())
    with client_of(tdx, tdx.clock) as (client, _):
        all_accounts(client)
        shown = f"{ADMIN!r} {USER!r} {STATIC!r} {client!r} {client._keeper.current()!r}"
        assert "value" not in shown.replace("value=", "")
        assert "e30." not in shown


@pytest.mark.parametrize(
    ("credentials", "settings"),
    [
        (
            AdminLogin("beid-value", "wrong-value"),
            "auth/loginadmin (HTTP 401): look at TDX_BEID and TDX_WEB_SERVICES_KEY",
        ),
        (UserLogin("user-value", "wrong-value"), "auth (HTTP 401): look at TDX_USERNAME and TDX_PASSWORD"),
    ],
)
def test_wrong_credentials_name_the_login_and_the_settings(
    credentials: TdxCredentials, settings: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "lsats_dagster")
    tdx = Tdx(VirtualClock())
    with client_of(tdx, tdx.clock, credentials) as (client, server):
        for _ in range(2):
            with pytest.raises(PermanentSourceError) as caught:
                all_accounts(client)
            assert str(caught.value) == f"TeamDynamix refused the login {settings}"
        assert len(server.requests) == 1
    assert "-value" not in caplog.text


def test_a_login_is_tried_again_when_the_connection_or_server_fails() -> None:
    tdx = Tdx(VirtualClock())
    faults = [reset, Reply(503), Reply(200, b"<html>sorry</html>"), Reply(429, b"", {"Retry-After": "30"})]

    def script(request: Request) -> Reply:
        return faults.pop() if faults else tdx(request)  # type: ignore[return-value]

    with client_of(script, tdx.clock) as (client, _):
        assert all_accounts(client) == [{"ID": 7}, None]
        assert client.evidence()["retries"] == 3
        assert client.evidence()["throttled"] == 1
    assert len(tdx.logins) == 1


def test_a_login_that_keeps_failing_is_transient_and_bounded() -> None:
    with client_of(lambda request: Reply(503), VirtualClock()) as (client, server):
        with pytest.raises(TransientSourceError, match="POST /api/auth/loginadmin: HTTP 503"):
            all_accounts(client)
        assert set(server.paths()) == {"/api/auth/loginadmin"}


@pytest.mark.parametrize("body", [b"<html>a.b.c</html>", b"", b"a.b", b"a.b.c.d", b"a.b\n.c"])
def test_a_login_answer_that_is_no_token_is_unreadable(body: bytes) -> None:
    with (
        client_of(lambda request: Reply(200, body), VirtualClock()) as (client, _),
        pytest.raises(UnreadableAnswerError, match="HTTP 200 without a token"),
    ):
        all_accounts(client)


@pytest.mark.parametrize("skew", [0.0, 7200.0, -7200.0])
def test_a_token_is_renewed_before_its_end_whatever_the_two_clocks_say(skew: float) -> None:
    tdx = Tdx(VirtualClock(), lifetime=300, skew=skew)
    with client_of(tdx, tdx.clock) as (client, _):
        for _ in range(20):
            client.account("7")
            tdx.clock.sleep_until(tdx.clock.now() + 50)
        assert client.evidence()["renewals"] == 0
    assert len(tdx.logins) == 4


def test_a_token_that_ends_during_a_wait_for_the_window_is_renewed_first() -> None:
    tdx = Tdx(VirtualClock(), lifetime=50)
    with client_of(tdx, tdx.clock) as (client, _):
        for _ in range(130):
            client.account("7")
        assert client.evidence()["renewals"] == 0
    assert len(tdx.logins) == 3


def test_a_revoked_token_is_renewed_once_by_many_threads() -> None:
    tdx = Tdx(VirtualClock())
    with client_of(tdx, tdx.clock) as (client, _):
        all_accounts(client)
        tdx.revoked = set(tdx.given)
        found: list[object] = []
        threads = [threading.Thread(target=lambda: found.append(client.account("7"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert found == [{"ID": 7, "Attributes": []}] * 8
    assert len(tdx.logins) == 2


def test_an_account_without_rights_ends_after_one_renewal() -> None:
    tdx = Tdx(VirtualClock())
    tdx.list = Reply(401)
    with (
        client_of(tdx, tdx.clock) as (client, _),
        pytest.raises(PermanentSourceError, match="POST /api/accounts/search: HTTP 401"),
    ):
        all_accounts(client)
    assert len(tdx.logins) == 2


def test_a_static_token_cannot_be_renewed() -> None:
    tdx = Tdx(VirtualClock())
    with client_of(tdx, tdx.clock, STATIC) as (client, _):
        all_accounts(client)
        tdx.revoked = {STATIC.token}
        for _ in range(2):
            with pytest.raises(PermanentSourceError, match=r"TDX_API_TOKEN .*cannot be renewed") as caught:
                all_accounts(client)
            assert "static-value" not in str(caught.value)
    assert tdx.logins == []


@pytest.mark.parametrize("token", ["", "static-value", "head.static-value.sign extra", "héad.b.c"])
def test_a_static_token_that_is_none_says_so(token: str) -> None:
    with client_of(Tdx(VirtualClock()), VirtualClock(), StaticToken(token)) as (client, server):
        with pytest.raises(PermanentSourceError, match="TDX_API_TOKEN does not hold a token"):
            all_accounts(client)
        assert server.requests == []


@pytest.mark.parametrize("body", [b"null", b'{"Message": "x"}', b'"text"', b"3"])
def test_accounts_must_be_a_list(body: bytes) -> None:
    tdx = Tdx(VirtualClock())
    tdx.list = Reply(200, body)
    with client_of(tdx, tdx.clock) as (client, _), pytest.raises(UnreadableAnswerError, match="not a list"):
        all_accounts(client)


def test_no_accounts_is_an_empty_list() -> None:
    tdx = Tdx(VirtualClock())
    tdx.list = Reply(200, b"[]")
    with client_of(tdx, tdx.clock) as (client, _):
        assert all_accounts(client) == []


def test_a_bad_account_is_handed_on_in_its_place() -> None:
    tdx = Tdx(VirtualClock())
    tdx.list = Reply(200, b'[{"ID": 7}, {"ID": 5, "ID": 6}, {"ID": 8}]')
    with client_of(tdx, tdx.clock) as (client, _):
        [first, bad, last] = all_accounts(client)
    assert (first, last) == ({"ID": 7}, {"ID": 8})
    assert isinstance(bad, UnreadableRecordError)
    assert bad.text == '{"ID": 5, "ID": 6}'


def test_a_list_that_is_cut_gives_no_account_and_is_asked_again() -> None:
    tdx = Tdx(VirtualClock())
    tdx.list = Reply(200, b'[{"ID": 7, "Attributes": []}, {"ID": 8, "Attributes": []')
    with client_of(tdx, tdx.clock) as (client, server):
        pages = client.accounts()
        with pytest.raises(UnreadableAnswerError, match="POST /api/accounts/search: HTTP 200 without JSON"):
            next(pages)
        assert server.paths().count("/api/accounts/search") == UNREADABLE_TRIES


def test_accounts_come_in_pages() -> None:
    tdx = Tdx(VirtualClock())
    tdx.list = Reply(200, json.dumps([{"ID": number} for number in range(2300)]).encode())
    with client_of(tdx, tdx.clock) as (client, _):
        assert [len(page) for page in client.accounts()] == [1000, 1000, 300]


def test_each_call_has_its_ceiling() -> None:
    tdx = Tdx(VirtualClock())
    tdx.list = Reply(200, b"[" + b" " * 3000 + b"]")
    tdx.details["7"] = Reply(200, b"{" + b" " * 3000 + b"}")
    for_lists = Ceilings(list_bytes=2000)
    with client_of(tdx, tdx.clock, ceilings=for_lists) as (client, _):
        for read in (lambda: all_accounts(client), client.probe):
            with pytest.raises(PermanentSourceError, match="HTTP_LIST_MEGABYTES"):
                read()
        assert client.account("7") == {}
    with client_of(tdx, tdx.clock, ceilings=Ceilings(record_bytes=2000)) as (client, _):
        with pytest.raises(UnreadableAnswerError, match="HTTP_RECORD_MEGABYTES"):
            client.account("7")
        assert all_accounts(client) == []
    with (
        client_of(tdx, tdx.clock, ceilings=Ceilings(login_bytes=20)) as (client, _),
        pytest.raises(UnreadableAnswerError, match="POST /api/auth/loginadmin: HTTP 200 without a token"),
    ):
        client.account("7")


def test_one_large_account_is_handed_on_as_unreadable() -> None:
    tdx = Tdx(VirtualClock())
    tdx.list = Reply(200, b'[{"ID": 7}, {"ID": 8, "Name": "%b"}]' % (b"x" * 3000))
    with client_of(tdx, tdx.clock, ceilings=Ceilings(record_bytes=2000)) as (client, _):
        [good, large] = all_accounts(client)
    assert good == {"ID": 7}
    assert isinstance(large, UnreadableRecordError)


@pytest.mark.parametrize("body", [b"null", b"[]", b'"text"'])
def test_an_account_must_be_an_object(body: bytes) -> None:
    tdx = Tdx(VirtualClock())
    tdx.details["7"] = Reply(200, body)
    with (
        client_of(tdx, tdx.clock) as (client, _),
        pytest.raises(UnreadableAnswerError, match=r"GET /api/accounts/7: .*not an object"),
    ):
        client.account("7")


@pytest.mark.parametrize("status", [400, 403, 405])
def test_a_refused_account_is_an_error_and_not_a_missing_one(status: int) -> None:
    tdx = Tdx(VirtualClock())
    tdx.details["7"] = Reply(status)
    with (
        client_of(tdx, tdx.clock) as (client, _),
        pytest.raises(PermanentSourceError, match=f"HTTP {status}"),
    ):
        client.account("7")


def test_a_404_of_something_in_between_is_no_missing_account() -> None:
    tdx = Tdx(VirtualClock())
    tdx.details["7"] = Reply(404, b"<html>no such page</html>", {"Content-Type": "text/html"})
    with (
        client_of(tdx, tdx.clock) as (client, _),
        pytest.raises(PermanentSourceError, match="GET /api/accounts/7: HTTP 404, not by the source"),
    ):
        client.account("7")


@pytest.mark.parametrize("account_id", ["", "..", "7/../8", "7?x=1", "٧", "-1", "abc"])
def test_only_a_number_names_an_account(account_id: str) -> None:
    with client_of(Tdx(VirtualClock()), VirtualClock()) as (client, server):
        with pytest.raises(ValueError, match="whole number"):
            client.account(account_id)
        assert server.requests == []


def test_a_redirect_does_not_carry_the_token_away() -> None:
    with serving(lambda request: Reply()) as other:
        tdx = Tdx(VirtualClock())
        tdx.details["7"] = Reply(302, b"", {"Location": other.url})
        with (
            client_of(tdx, tdx.clock) as (client, _),
            pytest.raises(PermanentSourceError, match="HTTP 302: a redirect"),
        ):
            client.account("7")
        assert other.requests == []


def test_limits_count_per_method_and_not_per_id() -> None:
    tdx = Tdx(VirtualClock())
    end = formatdate(tdx.clock.now() + 30, usegmt=True)
    headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": end}
    tdx.details["7"] = Reply(200, b"{}", headers)
    with client_of(tdx, tdx.clock) as (client, _):
        client.account("7")
        all_accounts(client)
        assert client.evidence()["waited_seconds"] == 0
        client.account("8")
        assert client.evidence()["waited_seconds"] == 31
