"""TeamDynamix Web API: login, accounts and one account (sources.md 4.1, 5 and 6)."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
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
        window: CallWindow,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        ceilings: Ceilings = DEFAULT_CEILINGS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._base = checked_url(base_url, "TDX_BASE_URL")
        self._host = urlsplit(self._base).netloc.lower()
        self._credentials = credentials
        self._clock = clock
        self._static_token_used = False
        self._http = HttpClient(window=window, timeouts=timeouts, ceilings=ceilings, clock=clock)
        self._keeper = TokenKeeper(self._login, clock)

    def accounts(self) -> Iterator[list[object]]:
        """All accounts, active or not, in pages as received: an element may be rubbish, or an UnreadableRecordError.

        The search is asked with IsActive null, so that a deactivated account is seen as changed and not as
        gone (sources.md 5). It is one answer, which is whole before the first page is given.
        """
        call = self._call("POST", "accounts/search", "list", json={"IsActive": None})
        _, found = self._http.exchange(call, Answer.array, self._keeper)
        if found is not None:
            yield from found.pages()

    def account(self, account_id: str) -> dict[str, object] | None:
        """One account with its attributes; None if TeamDynamix has none of this id (its own 404).

        Raises ValueError for an id that is not a whole number: in a path it could name something else.
        """
        if not (account_id.isascii() and account_id.isdigit()):
            raise ValueError("the id of a TeamDynamix account is a whole number")
        call = self._call("GET", "accounts/{id}", "record", path=f"accounts/{account_id}", signals=frozenset({404}))
        _, found = self._http.exchange(call, _object, self._keeper)
        return found

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
        return Call(verb, f"{self._base}/{path or method}", allowance, content, json=json, signals=signals)

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
