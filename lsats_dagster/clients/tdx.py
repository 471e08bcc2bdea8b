"""TeamDynamix Web API: login; accounts, people and assets, all of them and one by one (sources.md 4.1, 5 to 10)."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lsats_dagster.clients.answer import Answer
from lsats_dagster.clients.errors import LoginRefusedError, UnreadableAnswerError
from lsats_dagster.clients.http import (
    DEFAULT_CEILINGS,
    DEFAULT_TIMEOUTS,
    Call,
    Ceilings,
    Content,
    HttpClient,
    Probe,
    Timeouts,
    checked_url,
)
from lsats_dagster.clients.tokens import Token, TokenKeeper, token_for
from lsats_dagster.clients.window import SYSTEM_CLOCK, Allowance, CallWindow, Clock

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
_LOGIN_REFUSED = frozenset({400, 401, 403})
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class AdminLogin:
    """The administrative service account; the only one that some endpoints accept (sources.md 4.1.1)."""

    beid: str = field(repr=False)
    web_services_key: str = field(repr=False)


@dataclass(frozen=True)
class UserLogin:
    """An ordinary user of TeamDynamix."""

    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True)
class StaticToken:
    """A token that a person obtained in the browser. It lasts 24 hours and cannot be renewed by us."""

    token: str = field(repr=False)


TdxCredentials = AdminLogin | UserLogin | StaticToken


class TdxClient:
    """Reads TeamDynamix. Threads may share it: they log in once and share its connections.

    After bounded tries a read raises TransientSourceError, UnreadableAnswerError or PermanentSourceError.
    """

    def __init__(
        self,
        *,
        base_url: str,
        credentials: TdxCredentials,
        app_id: int,
        window: CallWindow,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        ceilings: Ceilings = DEFAULT_CEILINGS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._base = checked_url(base_url, "TDX_BASE_URL")
        self._host = urlsplit(self._base).netloc.lower()
        self._credentials = credentials
        self._app_id = app_id
        self._clock = clock
        self._static_token_used = False
        self._http = HttpClient(window=window, timeouts=timeouts, ceilings=ceilings, clock=clock)
        self._keeper = TokenKeeper(self._login, clock)

    def accounts(self) -> Iterator[list[object]]:
        """All accounts, active or not, in pages as received: an element may be rubbish, or an UnreadableRecordError.

        The search is asked with IsActive null, so that a deactivated account is seen as changed and not as
        gone (sources.md 5). It is one answer, which is whole before the first page is given.
        """
        yield from self._list("POST", "accounts/search", json={"IsActive": None})

    def account(self, account_id: str) -> dict[str, object] | None:
        """One account with its attributes; None if TeamDynamix has none of this id (its own 404).

        Raises ValueError for an id that is not a whole number: in a path it could name something else.
        """
        return self._one("accounts/{id}", _whole_number(account_id))

    def users(self, account_ids: Sequence[str], *, active: bool) -> Iterator[list[object]]:
        """The users whose default account is one of these, active or inactive ones, in pages as received.

        Where TeamDynamix refuses so many accounts at once (sources.md 24, Q1), each half is asked for by itself.
        """
        criteria = {"AccountIDs": [int(_whole_number(each)) for each in account_ids], "IsActive": active}
        splits = frozenset({400}) if len(account_ids) > 1 else frozenset()
        call = self._call("POST", "people/search", "list", json=criteria, signals=splits)
        status, found = self._http.exchange(call, Answer.array, self._keeper)
        if found is not None:
            yield from found.pages()
        elif status in splits:
            middle = len(account_ids) // 2
            yield from self.users(account_ids[:middle], active=active)
            yield from self.users(account_ids[middle:], active=active)

    def user_list(self) -> Iterator[list[object]] | None:
        """All users in a few words each, active or not; None where the login may not see it (sources.md 7)."""
        call = self._call("GET", "people/userlist", "list", signals=frozenset({403}))
        _, found = self._http.exchange(call, Answer.array, self._keeper)
        return None if found is None else found.pages()

    def user(self, uid: str) -> dict[str, object] | None:
        """One user with their collections; None if TeamDynamix has none of this UID (its own 404).

        Raises ValueError for what is not a GUID: in a path it could name something else.
        """
        if not _GUID.fullmatch(uid):
            raise ValueError("the UID of a TeamDynamix user is a GUID")
        return self._one("people/{uid}", uid)

    def asset_statuses(self) -> Iterator[list[object]]:
        """What the status of an asset may be."""
        yield from self._list("GET", "{app}/assets/statuses")

    def assets(self, status_ids: Sequence[int]) -> Iterator[list[object]]:
        """The assets of these statuses, in pages as received: one answer, whole before the first page is given.

        Raises ValueError without a status, for TeamDynamix would take that for no restriction.
        """
        if not status_ids:
            raise ValueError("assets are asked for by at least one status")
        yield from self._list("POST", "{app}/assets/search", json={"StatusIDs": list(status_ids)})

    def asset(self, asset_id: str) -> dict[str, object] | None:
        """One asset with its attributes; None if TeamDynamix has none of this id (its own 404)."""
        return self._one("{app}/assets/{id}", _whole_number(asset_id))

    def probe(self) -> Probe:
        """Log in and read one account by the search that reads all; what the answers told of limits and clock."""
        call = self._call("POST", "accounts/search", "list", json={"IsActive": None, "MaxResults": 1})
        self._http.exchange(call, lambda answer: answer.array().close(), self._keeper)
        return self._http.probe()

    def evidence(self) -> dict[str, str | int | float]:
        """What the calls so far took (see HttpClient.evidence), and what shapes what they see: the address, which tells the
        sandbox from production, and the kind of login.
        """
        login = {AdminLogin: "loginadmin", UserLogin: "user", StaticToken: "given token"}[type(self._credentials)]
        return {"address": self._base, "login": login, **self._http.evidence()}

    def close(self) -> None:
        self._http.close()

    def _list(self, verb: str, method: str, *, json: object = None) -> Iterator[list[object]]:
        _, found = self._http.exchange(self._call(verb, method, "list", json=json), Answer.array, self._keeper)
        if found is not None:
            yield from found.pages()

    def _one(self, method: str, key: str) -> dict[str, object] | None:
        path = re.sub(r"\{(id|uid)\}", key, method)
        call = self._call("GET", method, "record", path=path, signals=frozenset({404}))
        _, found = self._http.exchange(call, _object, self._keeper)
        return found

    def _call(
        self,
        verb: str,
        method: str,
        content: Content,
        *,
        path: str | None = None,
        json: object = None,
        signals: frozenset[int] = frozenset(),
    ) -> Call:
        """The call of a method; limits count per method, whatever the id in the path (sources.md 4.1.3)."""
        allowance = Allowance(f"{self._host} {verb} {method}")
        path = (path or method).replace("{app}", str(self._app_id))
        return Call(verb, f"{self._base}/{path}", allowance, content, json=json, signals=signals)

    def _login(self) -> Token:
        match self._credentials:
            case AdminLogin(beid, key):
                method, body = "auth/loginadmin", {"BEID": beid, "WebServicesKey": key}
                settings = "TDX_BEID and TDX_WEB_SERVICES_KEY"
            case UserLogin(username, password):
                method, body = "auth", {"username": username, "password": password}
                settings = "TDX_USERNAME and TDX_PASSWORD"
            case StaticToken(token):
                return self._static(token)
        call = self._call("POST", method, "login", json=body, signals=_LOGIN_REFUSED)
        status, fetched = self._http.exchange(call, self._read_token)
        if fetched is None:
            raise LoginRefusedError(f"TeamDynamix refused the login {method} (HTTP {status}): look at {settings}")
        return fetched

    def _static(self, token: str) -> Token:
        text = token.strip().strip('"')
        if not _JWT.fullmatch(text):
            raise LoginRefusedError("TDX_API_TOKEN does not hold a token of TeamDynamix")
        if self._static_token_used:
            raise LoginRefusedError(
                "TeamDynamix refused the token of TDX_API_TOKEN (HTTP 401): it has ended or lacks the right. "
                "It cannot be renewed by the hub: set a new one, or a login"
            )
        self._static_token_used = True
        return Token(text)

    def _read_token(self, answer: Answer) -> Token:
        """The bare JWT of a login answer; its end relates to the server's clock, which need not be ours."""
        text = answer.text().strip().strip('"')
        if not _JWT.fullmatch(text):
            raise UnreadableAnswerError("HTTP 200 without a token")
        end = _expiry(text)
        return token_for(text, None if end is None else end - answer.date, self._clock)


def _whole_number(key: str) -> str:
    if not (key.isascii() and key.isdigit()):
        raise ValueError("the id of a TeamDynamix account or asset is a whole number")
    return key


def _expiry(token: str) -> float | None:
    """The `exp` claim of a JWT (seconds since the epoch), None if it has none that can be read."""
    payload = token.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, binascii.Error):
        return None


def _object(answer: Answer) -> dict[str, object]:
    document = answer.document()
    if not isinstance(document, dict):
        raise UnreadableAnswerError("HTTP 200 with JSON that is not an object")
    return document
