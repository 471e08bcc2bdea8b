"""The clock of the campus: moved through the side door, so that no test waits for time to pass."""

import time
from typing import Any

import pytest

from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.demo.campus import Campus, CampusError
from lsats_dagster_tests.clocks import SharedClock
from lsats_dagster_tests.conftest import make_client, source_named
from lsats_dagster_tests.demo.conftest import ACCOUNTS, DEPARTMENTS, PATIENCE, Visitor, claims, moment

HOUR = 3600.0
sources = pytest.mark.parametrize(
    ("stream", "source", "login"),
    [(ACCOUNTS, "tdx", "tdx/loginadmin"), (DEPARTMENTS, "gateway", "gateway/token")],
)


def test_what_the_campus_says_of_the_time_moves_along(campus: Campus, visitor: Visitor) -> None:
    campus.limit("tdx", 5, HOUR)
    campus.advance(10 * HOUR)
    answer, token = visitor.get("/accounts"), visitor.login()
    now = time.time() + 10 * HOUR
    assert moment(answer, "Date") == pytest.approx(now, abs=PATIENCE)
    assert moment(answer, "X-RateLimit-Reset") == pytest.approx(now + HOUR, abs=PATIENCE)
    assert claims(token.text)["exp"] == pytest.approx(now + 24 * HOUR, abs=PATIENCE)
    campus.fault("tdx/accounts", "storm", seconds=HOUR)
    assert moment(visitor.get("/accounts"), "X-RateLimit-Reset") == pytest.approx(now + HOUR, abs=PATIENCE)


def test_tokens_end_with_their_time(campus: Campus, visitor: Visitor) -> None:
    campus.token_lifetime("tdx", HOUR)
    campus.token_lifetime("gateway", HOUR)
    token = visitor.login().text
    assert visitor.page().status_code == 200
    campus.advance(HOUR - 2 * PATIENCE)
    assert visitor.get("/accounts", token).status_code == 200
    assert visitor.page().status_code == 200
    campus.advance(2 * PATIENCE + 1)
    assert visitor.get("/accounts", token).status_code == 401
    assert visitor.page().status_code == 401


def test_window_ends_at_the_reset_told_and_not_before(campus: Campus, visitor: Visitor) -> None:
    campus.token_lifetime("gateway", 24 * HOUR)
    visitor.page()
    campus.limit("tdx", 1, HOUR)
    campus.limit("gateway", 1, HOUR)
    first, second = visitor.get("/accounts"), visitor.get("/accounts")
    assert (first.status_code, second.status_code) == (200, 429)
    assert [visitor.page().status_code for _ in range(2)] == [200, 429]
    campus.advance(HOUR - 2 * PATIENCE)
    last, refused = visitor.get("/accounts"), visitor.page()
    assert (last.status_code, refused.status_code) == (429, 429)
    campus.advance(moment(last, "X-RateLimit-Reset") - moment(last, "Date"))
    assert visitor.get("/accounts").status_code == 200
    campus.advance(int(refused.headers["Retry-After"]))
    assert visitor.page().status_code == 200


def test_modified_dates_move_along_and_stay_in_order(campus: Campus) -> None:
    key = min(campus.truth(ACCOUNTS))

    def touched() -> Any:
        campus.put(ACCOUNTS, key, {})
        return campus.truth(ACCOUNTS)[key]["ModifiedDate"][:19]

    dates = [touched()]
    campus.advance(3 * 24 * HOUR)
    dates.append(touched())
    campus.live_one_day()
    dates.append(touched())
    assert [date[:10] for date in dates] == ["2026-01-12", "2026-01-15", "2026-01-16"]


def test_a_clock_goes_ahead_only(campus: Campus) -> None:
    for seconds in (-1.0, float("inf"), float("nan")):
        with pytest.raises(CampusError, match="refused"):
            campus.advance(seconds)


@sources
def test_a_client_on_the_same_time_logs_in_before_its_token_ends(
    campus: Campus, stream: str, source: str, login: str
) -> None:
    campus.token_lifetime(source, HOUR)
    clock = SharedClock(campus)
    client = make_client(campus, source_named(stream.partition("/")[0]), clock=clock, window=LocalCallWindow(clock))
    client.probe()
    clock.sleep_until(clock.now() + 2 * HOUR)
    client.probe()
    client.close()
    (route,) = campus.calls().keys() - {login}
    assert campus.calls() == {login: {"200": 2}, route: {"200": 2}}


def test_a_client_on_the_same_time_keeps_to_windows_and_nobody_waits(campus: Campus) -> None:
    campus.limit("tdx", 2, 60)
    clock = SharedClock(campus)
    client = make_client(campus, source_named("tdx"), clock=clock, window=LocalCallWindow(clock))
    began = clock.now()
    for _ in range(7):
        client.probe()
    client.close()
    assert campus.calls()["tdx/accounts/search"] == {"200": 7}
    assert clock.now() - began > 60
