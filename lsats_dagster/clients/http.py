"""One HTTP exchange with a source: paced, bounded in time, retried, and silent about secrets.

Everything that crosses this border as an error is one of ours, raised without its cause: the exceptions of
requests and urllib3 quote whole URLs and headers.
"""

import http.client
import json
import logging
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from lsats_dagster.clients.addresses import is_loopback, may_be_called
from lsats_dagster.clients.answer import Answer, spooled
from lsats_dagster.clients.connections import BoundedAdapter
from lsats_dagster.clients.errors import (
    OversizedAnswerError,
    PermanentSourceError,
    SourceError,
    TransientSourceError,
    UnreadableAnswerError,
    error_of_exception,
    error_of_status,
)
from lsats_dagster.clients.tokens import Token, TokenKeeper
from lsats_dagster.clients.window import (
    LONGEST_WAIT,
    Allowance,
    CallWindow,
    Clock,
    http_date,
    limit_headers,
    seconds_until,
    throttle_seconds,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 5  # of one call, when the connection or the server fails
UNREADABLE_TRIES = 3  # of one call, when the answer is a 200 nobody can read
RETRY_SECONDS = 600.0  # no further try once the tries and pauses of one call have taken this long
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # most before the second try; before any try
THROTTLES = 10  # answers 429 that one call waits out; they do not count as tries
_ERROR_BODY = 1 << 16  # read of an answer that is an error

Content = Literal["list", "record", "login"]


@dataclass(frozen=True)
class Timeouts:
    """Limits of one answer, in seconds."""

    connect: float = 10.0
    read: float = 120.0  # of silence; the whole head must arrive within it
    answer: float = 600.0  # in all, checked whenever something arrives: at worst `read` later


DEFAULT_TIMEOUTS = Timeouts()


@dataclass(frozen=True)
class Ceilings:
    """The most bytes of one answer, after decoding, by what is asked for."""

    list_bytes: int = 1 << 30
    record_bytes: int = 16 << 20  # one record, whether asked for singly or in a list
    login_bytes: int = 64 << 10

    def of(self, content: Content) -> int:
        return {"list": self.list_bytes, "record": self.record_bytes, "login": self.login_bytes}[content]

    def excess(self, what: str, content: Literal["list", "record"]) -> str:
        """The sentence about something that is larger, with the setting that allows more."""
        setting = {"list": "HTTP_LIST_MEGABYTES", "record": "HTTP_RECORD_MEGABYTES"}[content]
        return f"{what} is larger than {self.of(content) / 2**20:g} MB, the limit that {setting} sets"


DEFAULT_CEILINGS = Ceilings()


@dataclass(frozen=True)
class Call:
    """One request, safe to repeat: a GET, a read-only search or a login.

    `signals` are the statuses that are answers to the caller and no errors.
    """

    verb: str
    url: str
    allowance: Allowance
    content: Content
    params: Mapping[str, str | int] | None = field(default=None, repr=False)
    json: object = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    signals: frozenset[int] = frozenset()

    @property
    def label(self) -> str:
        return f"{self.verb} {urlsplit(self.url).path}"


@dataclass(frozen=True)
class Probe:
    """What a source's answers told about itself.

    clock_difference: its clock minus ours, in seconds, None before an answer. limits: method -> (limit, remaining calls).
    """

    clock_difference: float | None
    limits: dict[str, tuple[int, int]]


class HttpClient:
    """Exchanges with one source. Threads may share it."""

    def __init__(self, *, window: CallWindow, timeouts: Timeouts, ceilings: Ceilings, clock: Clock) -> None:
        self._window = window
        self._timeouts = timeouts
        self._ceilings = ceilings
        self._clock = clock
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, BoundedAdapter(pool_maxsize=16, max_retries=0))
        self._closed = False
        self._count_lock = threading.Lock()
        self._under_way: Counter[str] = Counter()
        self._clock_difference: float | None = None
        self._limits: dict[str, tuple[int, int]] = {}
        self._counts: dict[str, int | float] = dict.fromkeys(
            ("calls", "retries", "throttled", "renewals", "bytes", "waited_seconds"), 0
        )

    def evidence(self) -> dict[str, int | float]:
        """Counts since the client was made.

        Calls sent (logins too), tries after the first (retries), 429s (throttled), 401s met by a new token
        (renewals), body bytes, and the seconds waited for the window and between tries.
        """
        with self._count_lock:
            return dict(self._counts)

    def probe(self) -> Probe:
        """What the answers so far told of the source's clock and limits."""
        return Probe(self._clock_difference, dict(self._limits))

    def close(self) -> None:
        """Close the connections. Calls that other threads have under way end with the answer or failure they wait for."""
        self._closed = True
        self._session.close()

    def exchange(
        self, call: Call, read: Callable[[Answer], T], keeper: TokenKeeper | None = None
    ) -> tuple[int, T | None]:
        """Send `call` until it is answered: (200, what `read` made of it), or (status, None) for its signals.

        Raises TransientSourceError, UnreadableAnswerError (as `read` may) or PermanentSourceError.
        """
        pace = call.allowance
        tries = throttles = 0
        spent = 0.0
        renewed = False
        while True:
            self._must_be_open(call)  # no login and no place in the window for a call that will not be sent
            if keeper is not None:
                keeper.current()  # a login that is due comes before the place in the window, not after
            with self._place(pace):
                token = keeper.current() if keeper is not None else None
                self._must_be_open(call)
                began = time.monotonic()
                answer = self._send(call, token)
            failure: SourceError
            asked = 0.0
            try:
                if isinstance(answer, SourceError):
                    raise answer
                if answer.status in call.signals:
                    if answer.status == 404 and answer.is_of_a_proxy():
                        raise PermanentSourceError("HTTP 404, not by the source: something in between answered")
                    return answer.status, None
                if answer.status == 200:
                    return answer.status, read(answer)
                if answer.status == 429:
                    throttles += 1
                    self._throttle(call, answer, throttles)
                    if throttles <= THROTTLES:
                        continue
                if answer.status == 401 and keeper is not None and token is not None and not renewed:
                    renewed = True
                    self._count(renewals=1)
                    keeper.refused(token)
                    continue
                asked = seconds_until(answer.headers.get("Retry-After", ""), answer.date) or 0.0
                failure = error_of_status(answer.status)
            except SourceError as error:
                failure = error
            tries += 1
            pause = max(asked, random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1))))
            spent += time.monotonic() - began + pause
            most = UNREADABLE_TRIES if isinstance(failure, UnreadableAnswerError) else TRIES
            final = isinstance(failure, PermanentSourceError | OversizedAnswerError) or throttles > THROTTLES
            if final or tries >= most or spent > RETRY_SECONDS:
                story = f"tries: {tries}" + (f", answers 429: {throttles}" if throttles else "")
                raise type(failure)(f"{call.label}: {failure} ({story})")
            # What shows it to people counts the wait down.
            told = (call.label, failure, tries + 1, most, math.ceil(pause))
            logger.warning("🔄 %s: %s; try %d of %d in %d s", *told, extra={"wait": pause})
            self._count(retries=1, waited_seconds=pause)
            self._clock.sleep_until(self._clock.now() + pause)

    def _must_be_open(self, call: Call) -> None:
        if self._closed:
            raise TransientSourceError(f"{call.label}: the client was closed")

    def _throttle(self, call: Call, answer: Answer, throttles: int) -> None:
        """Close the window of the call until the source opens it again: every next `wait` stands there."""
        told = throttle_seconds(answer.headers, answer.date)
        resets_in = min(5.0 * 2**throttles, LONGEST_WAIT) if told is None else told
        known = None if call.allowance.ceiling else limit_headers(answer.headers)
        limit = call.allowance.limit if known is None else known[0]
        shut = {"wait": resets_in}
        logger.warning("⚠️ %s: HTTP 429, the limit is used up for %d s", call.label, math.ceil(resets_in), extra=shut)
        self._count(throttled=1)
        self._window.observed(call.allowance.method, limit=limit, remaining=0, resets_in=resets_in)

    @contextmanager
    def _place(self, pace: Allowance) -> Iterator[None]:
        """A place in the window for one call, which is under way until the block ends."""
        method = pace.method
        waited = self._window.wait(
            method,
            limit=pace.limit,
            seconds=pace.seconds,
            ceiling=pace.ceiling,
            under_way=lambda: self._under_way[method],
        )
        self._count(waited_seconds=waited)
        with self._count_lock:
            self._under_way[method] += 1
        try:
            yield
        finally:
            with self._count_lock:
                self._under_way[method] -= 1

    def _send(self, call: Call, token: Token | None) -> Answer | SourceError:
        """The answer, or why there is none."""
        deadline = time.monotonic() + self._timeouts.answer
        headers = {"Accept": "application/json, text/plain;q=0.9", "User-Agent": "lsats-dagster"}
        data: bytes | Mapping[str, str] | None = call.form
        if call.json is not None:
            data = json.dumps(call.json).encode()
            headers["Content-Type"] = "application/json; charset=utf-8"
        self._count(calls=1)
        try:
            with self._session.request(
                call.verb,
                call.url,
                params=call.params,
                data=data,
                headers=headers,
                auth=_Authorization(token),
                timeout=(self._timeouts.connect, self._timeouts.read),
                stream=True,
                allow_redirects=False,
                proxies=_past_proxies(call.url),
            ) as response:
                status = response.status_code
                most = self._ceilings.of(call.content) if status == 200 else _ERROR_BODY
                body, size = spooled(response.raw, deadline, most)
                date = http_date(response.headers.get("Date", ""))
                self._clock_difference = None if date is None else date - self._clock.now()
                answer = Answer(
                    status, response.headers, body, size, date or self._clock.now(), self._ceilings.record_bytes
                )
        except SourceError as error:
            return error
        except (OSError, ValueError, urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
            return error_of_exception(error)
        self._count(bytes=answer.size)
        self._report_limit(call.allowance, answer)
        if status == 200 and answer.size > most:
            answer.body.close()
            return _oversized(call.content, self._ceilings)
        return answer

    def _report_limit(self, allowance: Allowance, answer: Answer) -> None:
        known = None if allowance.ceiling else limit_headers(answer.headers)
        resets_in = seconds_until(answer.headers.get("X-RateLimit-Reset", ""), answer.date)
        if known is not None and resets_in is not None:
            limit, remaining = known
            self._limits[allowance.method] = known
            # All that are under way but the one that brought this answer.
            others = self._under_way[allowance.method] - 1
            self._window.observed(
                allowance.method, limit=limit, remaining=remaining, resets_in=resets_in, under_way=others
            )

    def _count(self, **more: int | float) -> None:
        with self._count_lock:
            for name, number in more.items():
                self._counts[name] += number


def checked_url(url: str, setting: str) -> str:
    """`url` without closing slashes. PermanentSourceError naming `setting` if no secret should go there."""
    if not may_be_called(url.strip()):
        raise PermanentSourceError(
            f"{setting} is not usable: it must be an https address (http on loopback only) "
            "with a host and without user, query or fragment"
        )
    return url.strip().rstrip("/")


class _Authorization(AuthBase):
    """Our header or none. Given with every request, it keeps ~/.netrc out; proxies and CA bundles of the
    environment still hold.
    """

    def __init__(self, token: Token | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token.value}"
        return request


def _oversized(content: Content, ceilings: Ceilings) -> SourceError:
    if content == "login":  # a page of something in between, which passes
        return UnreadableAnswerError(f"HTTP 200 without a token (more than {ceilings.login_bytes} bytes)")
    kind = PermanentSourceError if content == "list" else OversizedAnswerError
    return kind(ceilings.excess("the answer", content))


def _past_proxies(url: str) -> dict[str, str] | None:
    """What keeps the proxies of the environment out of calls to this machine, which they could not reach."""
    host = urlsplit(url).hostname or ""
    return {"no_proxy": host} if is_loopback(host) else None
