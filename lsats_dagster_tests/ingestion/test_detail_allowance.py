"""A long queue of details on a clock of the test's own: how much of the allowance it uses, and when it says that it ends."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest

from lsats_dagster.clients.tdx import StaticToken, TdxClient
from lsats_dagster.database import Database
from lsats_dagster.ingestion import detail_calls
from lsats_dagster.ingestion.call_window import PostgresCallWindow
from lsats_dagster.runs import Run
from lsats_dagster_tests import depth
from lsats_dagster_tests.clients.aids import PATIENT, Reply, Request, VirtualClock, serving
from lsats_dagster_tests.clients.test_window import START, FixedWindow
from lsats_dagster_tests.ingestion.memory import Things

# In depth 24 hours of 60 calls a minute, as TeamDynamix grants them: 86,400 calls. Else fewer, of which chance makes more.
CALLS_A_MINUTE, HOURS, WITHIN = (60, 24, 0.05) if depth.PROOF else (6, 1.5, 0.2)
ALLOWED = round(CALLS_A_MINUTE * 60 * HOURS)


def announced(run: Run) -> float:
    """The seconds until the moment that a run has just told as its queue's end."""
    finish = datetime.fromisoformat(run.metadata["extract"]["expected_finish"])
    return (finish - datetime.now(UTC)).total_seconds()


class Between:
    """Time stands still while a run does anything but call: it asks for this evidence right before its calls, and behind them."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock, self._calling, self._held = clock, False, ExitStack()
        self._held.enter_context(clock.taking_part())

    def __call__(self, _client: Any) -> dict[str, Any]:
        if self._calling:
            self._held.enter_context(self._clock.taking_part())
        else:
            self._held.close()
        self._calling = not self._calling
        return {}

    def close(self) -> None:
        self._held.close()


class Near:
    """A client without a wire, which in depth would cost most of all."""

    def __init__(
        self, window: PostgresCallWindow, source: Callable[[], tuple[bool, int, float]], clock: VirtualClock
    ) -> None:
        self._window, self._source, self._clock = window, source, clock

    def account(self, key: str) -> dict[str, str]:
        self._window.wait("m", limit=CALLS_A_MINUTE)
        now = self._clock.now()
        _, remaining, end = self._source()
        self._window.observed("m", limit=CALLS_A_MINUTE, remaining=remaining, resets_in=int(end) - int(now) + 1)
        return {"ID": key}

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.deep
@pytest.mark.budget(15, "540 calls over the wire, and in depth 160 times as many")
def test_two_runs_use_the_allowance_of_a_day_and_end_when_they_said(
    hub: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of one method, each with three calls at a time, on the window that runs share. One is cut in the middle of the
    day, tells when it will be done, and goes on; the other lasts all day. In depth the day has its 24 hours and 86,400 calls.
    """
    clock, source = VirtualClock(START), FixedWindow(CALLS_A_MINUTE, 60)
    granted_at: list[float] = []
    real = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: real + clock.now() - START)
    monkeypatch.setattr(detail_calls, "SECONDS_PER_COMMIT", 3600.0)

    def arrives() -> tuple[bool, int, float]:
        now = clock.now()
        told = source.arrives(now)
        if told[0]:
            granted_at.append(now)
        return told

    def script(request: Request) -> Reply:
        granted, remaining, end = arrives()
        headers = {
            "X-RateLimit-Limit": str(CALLS_A_MINUTE),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": formatdate(end, usegmt=True),
        }
        body = json.dumps({"ID": request.path.rpartition("/")[2]}).encode()
        return Reply(200 if granted else 429, body, headers)

    def fetch(client: Any, key: str) -> Any:
        with clock.taking_part():
            return client.account(key)

    def details(name: str, count: int) -> Things:
        things = Things(Database(hub.url.render_as_string(hide_password=False)), count, entity_type=name)
        things.detail_declared = {"entity_type": f"{name}_detail", "evidence": between[name]}
        things.fetch = fetch  # type: ignore[method-assign]
        things.ingest()
        return things

    def run(things: Things, hours: float) -> Run:
        window = PostgresCallWindow(things.hub, clock)
        client = Near(window, arrives, clock) if depth.PROOF else TdxClient(
            base_url=server.url, credentials=StaticToken("a.b.c"), app_id=48, timeouts=PATIENT, clock=clock, window=window
        )  # fmt: skip
        try:
            return things.enrich(client=client, minutes=hours * 60, every_minutes=hours * 60, workers=3)
        finally:
            client.close()

    def in_two_parts() -> tuple[float, float]:
        with closing(between["cut"]):
            first = run(cut, HOURS / 2)
            said, at = announced(first), clock.now()
            rest = run(cut, HOURS)
            assert rest.metadata["extract"]["state"] == "complete"
            return said, clock.now() - at

    def in_one() -> Run:
        with closing(between["all_day"]):
            return run(all_day, HOURS)

    between = {name: Between(clock) for name in ("cut", "all_day")}
    cut, all_day = details("cut", round(0.45 * ALLOWED)), details("all_day", ALLOWED)
    with serving(script, now=clock.now) as server, ThreadPoolExecutor(2) as pool:
        parts, day = pool.submit(in_two_parts), pool.submit(in_one)
        said, took = parts.result()
        assert day.result().metadata["extract"]["unanswered"] == 0
    for things in (cut, all_day):
        things.hub.dispose()
    used = sum(at < START + 3600 * HOURS for at in granted_at)
    assert source.refused == 0
    assert used >= 0.98 * ALLOWED, f"{used} of {ALLOWED} calls"
    assert abs(took - said) <= WITHIN * said, f"{said:.0f} s were announced, it took {took:.0f} s"
