"""UMich API gateway: token, departments and appointments (sources.md 4.2, 11 and 12)."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from lsats_dagster.clients.answer import Answer
from lsats_dagster.clients.errors import (
    LoginRefusedError,
    PartialFetchError,
    PermanentSourceError,
    UnreadableAnswerError,
    UnreadableRecordError,
)
from lsats_dagster.clients.http import (
    DEFAULT_CEILINGS,
    DEFAULT_TIMEOUTS,
    Call,
    Ceilings,
    HttpClient,
    Probe,
    Timeouts,
    checked_url,
)
from lsats_dagster.clients.tokens import Token, TokenKeeper, token_for
from lsats_dagster.clients.window import SYSTEM_CLOCK, Allowance, CallWindow, Clock

MOST_PAGES = 10_000  # of one read; a source that never ends is not read for ever
SCOPE = "department"
_TOKEN = re.compile(r"[!-~]+")
_LOGIN_REFUSED = frozenset({400, 401, 403})
_MOVED = "pages moved while they were read"


@dataclass(frozen=True)
class Data:
    """One endpoint of rows: its name, where its list stands in an answer, and the fields that name a row."""

    name: str
    path: tuple[str, ...]
    key_fields: tuple[str, ...]

    def key(self, row: object) -> str | None:
        """What names a row, None where a part of it is missing or blank."""
        parts = [row.get(field) if isinstance(row, dict) else None for field in self.key_fields]
        found = [str(part).strip() for part in parts if isinstance(part, str | int)]
        return ":".join(found) if all(found) and len(found) == len(parts) else None


DEPARTMENTS = Data("DeptData", ("DepartmentList", "DeptData"), ("DeptId",))
APPOINTMENTS = Data("DeptEmpData", ("DeptEmpInfo", "DeptEmpData"), ("EmplId", "EmplRcd"))


class UmichApiClient:
    """Reads the gateway. Threads may share it: they log in once and share its connections.

    After bounded tries a read raises TransientSourceError, UnreadableAnswerError or PermanentSourceError.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token_url: str,
        category_id: str,
        client_key: str,
        client_secret: str,
        window: CallWindow,
        calls_per_minute: int = 200,
        page_size: int = 1000,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        ceilings: Ceilings = DEFAULT_CEILINGS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if page_size < 2:
            raise ValueError("pages overlap by one row, so they need at least two")
        if not re.fullmatch(r"[\w-]+", category_id, re.ASCII):
            raise PermanentSourceError("UM_CATEGORY_ID is not usable: it must be one plain path segment")
        base = checked_url(base_url, "UM_BASE_URL")
        self._data_url = f"{base}/{category_id}/Department/v2"
        self._token_url = checked_url(token_url, "UM_TOKEN_URL")
        self._client_key = client_key
        self._client_secret = client_secret
        self._page_size = page_size
        self._clock = clock
        # One quota for all calls of the application (sources.md 4.2). The gateway need not say where its
        # window stands, so ours is a second longer; the setting may be lower, to leave some to others.
        self._allowance = Allowance(f"{urlsplit(base).netloc.lower()} gateway", calls_per_minute, 61.0, ceiling=True)
        self._http = HttpClient(window=window, timeouts=timeouts, ceilings=ceilings, clock=clock)
        self._keeper = TokenKeeper(self._login, clock)
        self._pages = self._rows = self._doubled_keys = 0

    def departments(self) -> Iterator[list[object]]:
        """All departments in pages, as received: an element may be rubbish, or an UnreadableRecordError. See `_read`."""
        return self._read(DEPARTMENTS)

    def appointments(self) -> Iterator[list[object]]:
        """All appointments of employees in pages, as received: the same. See `_read`."""
        return self._read(APPOINTMENTS)

    def _read(self, data: Data) -> Iterator[list[object]]:
        """All rows of an endpoint.

        The order of the gateway is not promised and the pages are cut by offset, so the read proves itself:
        each page begins with the last row of the one before (dropped here). A page shorter than asked for may
        be the gateway's own limit; the end is a page with nothing behind the repeated row. If a key comes
        twice, rows may have moved or the gateway may have two: the list is read once more without being given,
        and the same sequence of rows proves the second.
        Raises PartialFetchError if rows moved between the pages: reading once more can help.
        """
        keys: set[str] = set()
        doubled: set[str] = set()
        sequence, again = hashlib.sha256(), hashlib.sha256()
        for rows in self._walk(data):
            for row in rows:
                sequence.update(_canonical(row))
                key = data.key(row)
                if key is not None:
                    (doubled if key in keys else keys).add(key)
            self._rows += len(rows)
            yield rows
        if not doubled:
            return
        self._doubled_keys += len(doubled)
        for rows in self._walk(data):
            for row in rows:
                again.update(_canonical(row))
        if again.digest() != sequence.digest():
            raise PartialFetchError(_MOVED)

    def probe(self) -> Probe:
        """Log in and read one row; what the answers told of limits and clock."""
        list(self._page(DEPARTMENTS, 0, 1))
        return self._http.probe()

    def evidence(self) -> dict[str, str | int | float]:
        """What the calls so far took (see HttpClient.evidence), from where and by which login, the pages read, the
        rows given, and how many keys came twice.
        """
        reading = {"address": self._data_url, "login": f"client credentials, scope {SCOPE}"}
        return {
            **reading,
            **self._http.evidence(),
            "pages": self._pages,
            "rows": self._rows,
            "doubled_keys": self._doubled_keys,
        }

    def close(self) -> None:
        self._http.close()

    def _walk(self, data: Data) -> Iterator[list[object]]:
        """The rows of all pages, each once."""
        last: object = None
        taken = largest = 0
        for _ in range(MOST_PAGES):
            overlap = min(taken, 1)
            received = 0
            for rows in self._page(data, taken - overlap, self._page_size):
                new = rows if received else rows[overlap:]
                if overlap and not received and _canonical(rows[0]) != _canonical(last):
                    raise PartialFetchError(_MOVED)
                received += len(rows)
                if new:
                    last = new[-1]
                    yield new
            if received < overlap:
                raise PartialFetchError(_MOVED)
            taken += received - overlap
            largest = max(largest, received)
            if received == overlap:
                # A gateway that grants one row a page would look like the end, so ask for the row behind.
                if largest == 1 and any(self._page(data, taken, self._page_size)):
                    raise PartialFetchError("the gateway gives single rows, which cannot overlap")
                return
        raise PartialFetchError(f"no end after {MOST_PAGES} pages")

    def _page(self, data: Data, start: int, size: int) -> Iterator[list[object]]:
        params: dict[str, str | int] = {"$start_index": start, "$count": size}
        call = Call("GET", f"{self._data_url}/{data.name}", self._allowance, "list", params=params)
        # One row may come as an object (sources.md 4.2).
        _, rows = self._http.exchange(call, lambda answer: answer.array(*data.path), self._keeper)
        self._pages += 1
        return iter(()) if rows is None else rows.pages()

    def _login(self) -> Token:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_key,
            "client_secret": self._client_secret,
            "scope": SCOPE,
        }
        call = Call("POST", self._token_url, self._allowance, "login", form=form, signals=_LOGIN_REFUSED)
        status, token = self._http.exchange(call, self._read_token)
        if token is None:
            raise LoginRefusedError(
                f"the gateway refused the client credentials (HTTP {status}): "
                "look at UM_CLIENT_KEY and UM_CLIENT_SECRET"
            )
        return token

    def _read_token(self, answer: Answer) -> Token:
        document = answer.document()
        value = document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise UnreadableAnswerError("HTTP 200 without a token")
        try:
            lifetime: float | None = float(document.get("expires_in"))
        except (TypeError, ValueError, OverflowError):
            lifetime = None
        return token_for(value, lifetime, self._clock)


def _canonical(row: object) -> bytes:
    """Rows that are equal as JSON are the same bytes. Python's own comparison holds True equal to 1."""
    return json.dumps(row.text if isinstance(row, UnreadableRecordError) else row, sort_keys=True).encode() + b"\n"
