"""Tokens: renewed in time and once, by one thread for all; and a client that is closed sends nothing."""

import math
import threading
from collections.abc import Callable

import pytest

from lsats_dagster.clients.errors import PermanentSourceError, TransientSourceError
from lsats_dagster.clients.tokens import Token, TokenKeeper, token_for
from lsats_dagster_tests.clients.aids import GOOD, Caller, Logins, Reply, Request, VirtualClock, first


def test_a_401_renews_the_token_once() -> None:
    logins = Logins()

    def script(request: Request) -> Reply:
        return GOOD if request.headers["Authorization"] == "Bearer t2" else Reply(401)

    caller = Caller(script, keeper=TokenKeeper(logins, VirtualClock()))
    assert caller.get() == (200, {"a": 1})
    assert logins.count == 2
    assert caller.client.evidence()["renewals"] == 1


def test_a_second_401_is_final() -> None:
    logins = Logins()
    caller = Caller(first(Reply(401)), keeper=TokenKeeper(logins, VirtualClock()))
    with pytest.raises(PermanentSourceError, match="HTTP 401"):
        caller.get()
    assert logins.count == 2


def test_a_token_is_renewed_before_its_end() -> None:
    clock = VirtualClock()
    ends: list[float] = []
    keeper = TokenKeeper(lambda: ends.append(clock.now()) or token_for("t", 3600, clock), clock)  # type: ignore[func-returns-value]
    keeper.current()
    clock.sleep_until(clock.now() + 3539)
    keeper.current()
    assert len(ends) == 1
    clock.sleep_until(clock.now() + 1)
    keeper.current()
    assert len(ends) == 2


@pytest.mark.parametrize(
    ("lifetime", "renewed_after"),
    [
        (86400, 86340),
        (121, 61),
        (10, 5),
        (0, math.inf),
        (-5, math.inf),
        (None, math.inf),
        (math.nan, math.inf),
    ],
)
def test_when_a_token_is_renewed(lifetime: float | None, renewed_after: float) -> None:
    clock = VirtualClock()
    assert token_for("t", lifetime, clock).renew_at == clock.now() + renewed_after


def test_many_threads_log_in_once_and_renew_once() -> None:
    logins = Logins(slow=True)
    keeper = TokenKeeper(logins, VirtualClock())
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        token = keeper.current()
        barrier.wait()
        keeper.refused(token)
        keeper.current()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert logins.count == 2


class AnnouncingLock:
    """A lock that tells when a thread is about to wait for it."""

    def __init__(self, arrivals: threading.Semaphore) -> None:
        self._lock, self._arrivals = threading.Lock(), arrivals

    def __enter__(self) -> None:
        self._arrivals.release()
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def test_threads_that_wait_for_a_login_share_its_failure() -> None:
    """Each trying anew, the last of eight threads would wait eight times as long as a login may take."""
    logins: list[int] = []
    arrivals = threading.Semaphore(0)

    def login() -> Token:
        logins.append(1)
        if len(logins) > 1:
            return Token("t")
        for _ in range(8):
            arrivals.acquire()
        raise TransientSourceError("hangs")

    keeper = TokenKeeper(login, VirtualClock())
    keeper._lock = AnnouncingLock(arrivals)  # type: ignore[assignment]
    failures: list[str] = []

    def work() -> None:
        try:
            keeper.current()
        except TransientSourceError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == ["hangs"] * 8
    assert len(logins) == 1
    assert keeper.current() == Token("t")


def test_a_refused_login_is_not_repeated() -> None:
    tries: list[int] = []

    def login() -> Token:
        tries.append(1)
        raise PermanentSourceError("wrong")

    keeper = TokenKeeper(login, VirtualClock())
    for _ in range(3):
        with pytest.raises(PermanentSourceError, match="wrong"):
            keeper.current()
    assert len(tries) == 1


class EventfulWindow:
    """A window that lets every call through, and does something while it waits."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile, self.waits = meanwhile, 0

    def wait(self, method: str, **_: object) -> float:
        self.waits += 1
        self.meanwhile()
        return 0.0

    def observed(self, method: str, **_: object) -> None:
        pass


def test_a_client_closed_while_a_call_waits_for_the_window_sends_nothing() -> None:
    caller = Caller(first(GOOD), window=EventfulWindow(lambda: caller.client.close()))
    with pytest.raises(TransientSourceError, match="GET /thing: the client was closed"):
        caller.get()
    assert caller.requests == []


def test_a_client_closed_while_a_call_waits_for_a_login_sends_nothing() -> None:
    def login() -> Token:
        tokens.append(Token(f"t{len(tokens)}"))
        if len(tokens) == 2:
            caller.client.close()
        return tokens[-1]

    tokens: list[Token] = []
    keeper = TokenKeeper(login, VirtualClock())
    window = EventfulWindow(lambda: keeper.refused(tokens[-1]))  # the token ends meanwhile
    caller = Caller(first(GOOD), keeper=keeper, window=window)
    with pytest.raises(TransientSourceError, match="GET /thing: the client was closed"):
        caller.get()
    assert len(tokens) == 2
    assert caller.requests == []


def test_a_client_closed_in_a_pause_neither_logs_in_nor_takes_a_place_in_the_window() -> None:
    logins = Logins()
    keeper = TokenKeeper(logins, VirtualClock())

    def script(request: Request) -> Reply:
        keeper.refused(keeper.current())
        caller.client.close()
        return Reply(503)

    window = EventfulWindow(lambda: None)
    caller = Caller(script, keeper=keeper, window=window)
    with pytest.raises(TransientSourceError, match="GET /thing: the client was closed"):
        caller.get()
    assert (len(caller.requests), logins.count, window.waits) == (1, 1, 1)
