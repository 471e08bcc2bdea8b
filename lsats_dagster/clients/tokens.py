"""The bearer token of a client: when it is renewed, and that threads log in once."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from lsats_dagster.clients.errors import PermanentSourceError, SourceError
from lsats_dagster.clients.window import Clock


@dataclass(frozen=True)
class Token:
    """A bearer token and the time of our clock at which to fetch the next (infinite: when it is refused)."""

    value: str = field(repr=False)
    renew_at: float = math.inf


def token_for(value: str, lifetime: float | None, clock: Clock) -> Token:
    """A token valid for `lifetime` more seconds: renewed 60 s before its end, or at half of a short life."""
    if lifetime is None or not 0 < lifetime < math.inf:
        return Token(value)
    return Token(value, clock.now() + lifetime - min(60.0, lifetime / 2))


class TokenKeeper:
    """The current token of a client. However many threads ask, one logs in and the others get its result, a failure too."""

    def __init__(self, login: Callable[[], Token], clock: Clock) -> None:
        self._login = login
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._refusal: str | None = None
        self._logins = 0
        self._failure: SourceError | None = None  # of the last login

    def current(self) -> Token:
        """A valid token; the error of the login if there is none.

        A thread waits for one login at most: with each thread trying anew, the last of many would wait for all of them.
        """
        logins = self._logins
        with self._lock:
            if self._refusal is not None:  # repeating a refused login, perhaps from many threads, locks accounts
                raise PermanentSourceError(self._refusal)
            if self._token is None or self._clock.now() >= self._token.renew_at:
                if self._failure is not None and self._logins != logins:
                    raise type(self._failure)(str(self._failure))
                self._token = self._renewed()
            return self._token

    def refused(self, token: Token) -> None:
        """The source answered 401 to `token`. Nothing happens if another thread has replaced it meanwhile."""
        with self._lock:
            if self._token is token:
                self._token = None

    def _renewed(self) -> Token:
        self._failure = None
        try:
            return self._login()
        except PermanentSourceError as error:
            self._refusal = str(error)
            raise
        except SourceError as error:
            self._failure = error
            raise
        finally:
            self._logins += 1
