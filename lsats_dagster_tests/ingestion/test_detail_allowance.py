"""A long queue of details on a clock of the test's own: how much of the allowance it uses, and when it says that it ends."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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
CALLS_A_MINUTE, HOURS, WITHIN = (60, 24, 0.05) if depth.PROOF else (6, 2, 0.2)
ALLOWED = CALLS_A_MINUTE * 60 * HOURS


def announced(run: Run) -> float:
    """The seconds until the moment that a run has just told as its queue's end."""
    finish = datetime.fromisoformat(run.metadata["extract"]["expected_finish"])
    return (finish - datetime.now(UTC)).total_seconds()


@pytest.mark.deep
@pytest.mark.budget(20, "720 calls over the wire, and in depth 120 times as many")
def test_two_runs_use_the_allowance_of_a_day_and_end_when_they_said(
    hub: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of one method, each with three calls at a time, on the window that runs share. One is cut in the middle of the
    day, tells when it will be done, and goes on; the other lasts all day.
    """
    clock, source = VirtualClock(START), FixedWindow(CALLS_A_MINUTE, 60)
    granted_at: list[float] = []
    real = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: real + clock.now() - START)
    monkeypatch.setattr(detail_calls, "SECONDS_PER_COMMIT", 3600.0)

    def script(request: Request) -> Reply:
        server.requests.clear()
        now = clock.now()
        granted, remaining, end = source.arrives(now)
        if granted:
            granted_at.append(now)
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
        things.detail_declared = {"entity_type": f"{name}_detail"}
        things.fetch = fetch  # type: ignore[method-assign]
        things.ingest()
        return things

    def run(things: Things, hours: float) -> Run:
        client = TdxClient(
            base_url=server.url, credentials=StaticToken("a.b.c"), app_id=48, timeouts=PATIENT, clock=clock,
            window=PostgresCallWindow(things.hub, clock),
        )  # fmt: skip
        begin.wait(60)
        try:
            return things.enrich(client=client, minutes=hours * 60, every_minutes=hours * 60, workers=3)
        finally:
            client.close()

    def in_two_parts() -> tuple[float, float]:
        first = run(cut, HOURS / 2)
        said, at = announced(first), clock.now()
        rest = run(cut, HOURS)
        assert rest.metadata["extract"]["state"] == "complete"
        return said, clock.now() - at

    cut, all_day = details("cut", round(0.45 * ALLOWED)), details("all_day", ALLOWED)
    begin = threading.Event()
    with serving(script, now=clock.now) as server, ThreadPoolExecutor(2) as pool:
        parts, day = pool.submit(in_two_parts), pool.submit(run, all_day, HOURS)
        begin.set()
        said, took = parts.result()
        assert day.result().metadata["extract"]["unanswered"] == 0
    for things in (cut, all_day):
        things.hub.dispose()
    used = sum(at < START + 3600 * HOURS for at in granted_at)
    assert source.refused == 0
    assert used >= 0.98 * ALLOWED, f"{used} of {ALLOWED} calls"
    assert abs(took - said) <= WITHIN * said, f"{said:.0f} s were announced, it took {took:.0f} s"
