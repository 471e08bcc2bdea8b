"""Both clients against the simulated campus (sources.md 23.4: A8 to A10 and what they rest on)."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from lsats_dagster.clients import http
from lsats_dagster.clients.errors import (
    PartialFetchError,
    PermanentSourceError,
    TransientSourceError,
    UnreadableAnswerError,
)
from lsats_dagster.clients.http import Timeouts
from lsats_dagster.clients.tdx import AdminLogin, StaticToken, TdxClient, TdxCredentials, UserLogin
from lsats_dagster.clients.umich_api import UmichApiClient
from lsats_dagster.clients.window import SYSTEM_CLOCK, Clock, LocalCallWindow
from lsats_dagster.demo.campus import Campus, running_campus
from lsats_dagster_tests.clients.aids import PATIENT, SILENCE, VirtualClock

SEARCH, DETAIL, DATA = "tdx/accounts/search", "tdx/accounts/{id}", "gateway/DeptData"


@pytest.fixture(scope="module")
def started() -> Iterator[Campus]:
    with running_campus() as campus:
        yield campus


@pytest.fixture
def campus(started: Campus) -> Campus:
    started.reset()
    started.reset_calls()
    return started


def tdx_client(
    campus: Campus,
    credentials: TdxCredentials | None = None,
    *,
    clock: Clock | None = None,
    window: LocalCallWindow | None = None,
    timeouts: Timeouts = PATIENT,
) -> TdxClient:
    told = campus.environment
    clock = clock or VirtualClock(time.time())
    return TdxClient(
        base_url=told["TDX_BASE_URL"],
        credentials=credentials or AdminLogin(told["TDX_BEID"], told["TDX_WEB_SERVICES_KEY"]),
        app_id=48,
        window=window or LocalCallWindow(clock),
        timeouts=timeouts,
        clock=clock,
    )


def gateway_client(campus: Campus, *, timeouts: Timeouts = PATIENT, page_size: int = 1000) -> UmichApiClient:
    told = campus.environment
    clock = VirtualClock(time.time())
    return UmichApiClient(
        base_url=told["UM_BASE_URL"],
        token_url=told["UM_TOKEN_URL"],
        category_id=told["UM_CATEGORY_ID"],
        client_key=told["UM_CLIENT_KEY"],
        client_secret=told["UM_CLIENT_SECRET"],
        window=LocalCallWindow(clock),
        page_size=page_size,
        timeouts=timeouts,
        clock=clock,
    )


def by_key(rows: list[object], name: str) -> dict[str, object]:
    keyed: dict[str, object] = {str(row[name]): row for row in rows if isinstance(row, dict)}
    assert len(keyed) == len(rows)
    return keyed


def all_accounts(client: TdxClient) -> list[object]:
    return [account for page in client.accounts() for account in page]


def read_accounts(campus: Campus, *, timeouts: Timeouts = PATIENT) -> dict[str, object]:
    client = tdx_client(campus, timeouts=timeouts)
    try:
        return by_key(all_accounts(client), "ID")
    finally:
        client.close()


def read_departments(campus: Campus, *, timeouts: Timeouts = PATIENT, page_size: int = 1000) -> dict[str, object]:
    client = gateway_client(campus, timeouts=timeouts, page_size=page_size)
    try:
        return by_key([row for page in client.departments() for row in page], "DeptId")
    finally:
        client.close()


def test_all_accounts_and_details_are_read(campus: Campus) -> None:
    truth = campus.truth("tdx/department")
    assert any(account["IsActive"] is False for account in truth.values())
    assert read_accounts(campus) == truth
    client = tdx_client(campus)
    details = campus.truth("tdx/department_detail")
    for key in list(details)[:20]:
        assert client.account(key) == details[key]
    gone = next(iter(details))
    campus.delete("tdx/department", gone)
    assert client.account(gone) is None
    client.close()


@pytest.mark.parametrize("way", ["admin", "user", "static"])
def test_every_way_to_log_in(campus: Campus, way: str) -> None:
    told = campus.environment
    ways: dict[str, TdxCredentials] = {
        "admin": AdminLogin(told["TDX_BEID"], told["TDX_WEB_SERVICES_KEY"]),
        "user": UserLogin(told["TDX_USERNAME"], told["TDX_PASSWORD"]),
        "static": StaticToken(campus.api_token()),
    }
    client = tdx_client(campus, ways[way])
    assert len(all_accounts(client)) == len(campus.truth("tdx/department"))
    campus.expire_tokens("tdx")
    if way == "static":
        with pytest.raises(PermanentSourceError, match="cannot be renewed"):
            all_accounts(client)
    else:
        assert len(all_accounts(client)) == len(campus.truth("tdx/department"))
    client.close()
    logins = {"admin": ["tdx/loginadmin"], "user": ["tdx/auth"], "static": []}[way]
    assert [route for route in campus.calls() if route in ("tdx/auth", "tdx/loginadmin")] == logins


def test_all_departments_are_read_however_the_pages_are_cut(campus: Campus) -> None:
    truth = campus.truth("umich_api/department")
    assert len(truth) > 100
    assert read_departments(campus) == truth
    for cap in (50, len(truth), len(truth) - 1, 2):
        campus.page_size(cap)
        campus.single_as_object(cap == 2)
        assert read_departments(campus) == truth
    campus.page_size(1000)
    assert read_departments(campus, page_size=50) == truth


@pytest.mark.parametrize("page", [1, 2])
def test_rows_that_shift_between_pages_make_the_read_partial(campus: Campus, page: int) -> None:
    campus.page_size(50)
    campus.fault(DATA, "shift", times=1, after=page, rows=3)
    with pytest.raises(PartialFetchError, match="pages moved"):
        read_departments(campus)
    assert read_departments(campus) == campus.truth("umich_api/department")


def test_a_department_removed_during_the_read_makes_it_partial(campus: Campus) -> None:
    campus.page_size(50)
    client = gateway_client(campus)
    pages = client.departments()
    first_page = next(pages)
    campus.delete("umich_api/department", next(iter(by_key(first_page, "DeptId"))))
    with pytest.raises(PartialFetchError, match="pages moved"):
        list(pages)
    assert by_key([row for page in client.departments() for row in page], "DeptId") == campus.truth(
        "umich_api/department"
    )
    client.close()


FAULTS = ("hang", "reset", "truncate", "html", "cut_json")
READS: dict[str, Callable[..., dict[str, object]]] = {SEARCH: read_accounts, DATA: read_departments}
STREAMS = {SEARCH: "tdx/department", DATA: "umich_api/department"}


@pytest.mark.parametrize("route", READS)
@pytest.mark.parametrize("kind", FAULTS)
def test_a_passing_fault_costs_a_try_and_no_record(campus: Campus, route: str, kind: str) -> None:
    campus.fault(route, kind, times=2)
    timeouts = SILENCE if kind == "hang" else PATIENT
    assert READS[route](campus, timeouts=timeouts) == campus.truth(STREAMS[route])


@pytest.mark.parametrize("route", READS)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_burst_of_errors_passes(campus: Campus, route: str, status: int) -> None:
    campus.fault(route, "status", times=http.TRIES - 1, status=status)
    assert READS[route](campus) == campus.truth(STREAMS[route])
    assert campus.calls()[route][str(status)] == http.TRIES - 1


@pytest.mark.parametrize("route", READS)
@pytest.mark.parametrize(
    ("kind", "error", "tries"),
    [
        ("hang", TransientSourceError, http.TRIES),
        ("reset", TransientSourceError, http.TRIES),
        ("truncate", TransientSourceError, http.TRIES),
        ("html", UnreadableAnswerError, http.UNREADABLE_TRIES),
        ("cut_json", UnreadableAnswerError, http.UNREADABLE_TRIES),
        ("status", TransientSourceError, http.TRIES),
    ],
)
def test_a_lasting_fault_ends_after_bounded_tries(
    campus: Campus, route: str, kind: str, error: type[Exception], tries: int
) -> None:
    campus.fault(route, kind, times=None)
    with pytest.raises(error):
        READS[route](campus, timeouts=SILENCE if kind == "hang" else PATIENT)
    assert sum(campus.calls()[route].values()) == tries


def test_a_page_that_fails_for_good_is_not_the_end(campus: Campus) -> None:
    campus.page_size(50)
    campus.fault(DATA, "status", times=None, after=2)
    client = gateway_client(campus)
    rows: list[object] = []
    pages = client.departments()
    for _ in range(2):
        rows += next(pages)
    with pytest.raises(TransientSourceError, match="HTTP 503"):
        next(pages)
    client.close()
    assert len(rows) == 99


def test_an_empty_answer_is_empty_at_first_and_partial_later(campus: Campus) -> None:
    campus.fault(SEARCH, "empty")
    assert read_accounts(campus) == {}
    campus.fault(DATA, "empty")
    assert read_departments(campus) == {}
    campus.page_size(50)
    campus.fault(DATA, "empty", after=1)
    with pytest.raises(PartialFetchError):
        read_departments(campus)


@pytest.mark.parametrize("route", READS)
def test_a_storm_of_429s_passes(campus: Campus, route: str) -> None:
    campus.fault(route, "storm", times=http.THROTTLES, seconds=30)
    assert READS[route](campus) == campus.truth(STREAMS[route])
    assert campus.calls()[route]["429"] == http.THROTTLES


def test_threads_and_clients_together_respect_the_limit(campus: Campus) -> None:
    campus.limit("tdx", 30, 1.0)
    keys = list(campus.truth("tdx/department_detail"))[:70]
    window = LocalCallWindow()
    clients = [tdx_client(campus, clock=SYSTEM_CLOCK, window=window) for _ in range(2)]
    left = list(keys)
    found: list[object] = []

    def work(client: TdxClient) -> None:
        while True:
            try:
                key = left.pop()
            except IndexError:
                return
            found.append(client.account(key))

    threads = [threading.Thread(target=work, args=(client,)) for client in clients for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for client in clients:
        client.close()
    assert set(by_key(found, "ID")) == set(keys)
    assert campus.calls()[DETAIL] == {"200": len(keys)}
    assert campus.calls()["tdx/loginadmin"] == {"200": 2}


def test_tokens_that_end_mid_way_cost_no_record(campus: Campus) -> None:
    campus.page_size(50)
    client = gateway_client(campus)
    rows: list[object] = []
    for page in client.departments():
        rows += page
        campus.expire_tokens("gateway")
    assert by_key(rows, "DeptId") == campus.truth("umich_api/department")
    calls = campus.calls()
    assert calls["gateway/token"]["200"] == calls[DATA]["401"] + 1
    client.close()


def test_a_token_near_its_end_is_renewed_before_anybody_refuses_it(campus: Campus) -> None:
    campus.token_lifetime("tdx", 2)
    key = next(iter(campus.truth("tdx/department_detail")))
    client = tdx_client(campus, clock=SYSTEM_CLOCK)
    until = SYSTEM_CLOCK.now() + 4.5
    while SYSTEM_CLOCK.now() < until:
        assert client.account(key) is not None
        SYSTEM_CLOCK.sleep_until(SYSTEM_CLOCK.now() + 0.3)
    client.close()
    assert set(campus.calls()[DETAIL]) == {"200"}
    assert campus.calls()["tdx/loginadmin"]["200"] >= 2


def test_poison_spoils_its_own_record_only(campus: Campus) -> None:
    campus.poison("tdx/department", ["null", '{"Name":"x"}', '{"ID":1,"Name":"\\ud800"}'])
    client = tdx_client(campus)
    assert all_accounts(client)[-3:] == [None, {"Name": "x"}, {"ID": 1, "Name": "\ud800"}]
    campus.poison_detail("tdx/department_detail", "1", "null")
    with pytest.raises(UnreadableAnswerError):
        client.account("1")
    client.close()


def test_wrong_credentials_are_refused_once(campus: Campus) -> None:
    client = tdx_client(campus, UserLogin(campus.environment["TDX_USERNAME"], "wrong"))
    for _ in range(3):
        with pytest.raises(PermanentSourceError, match="TDX_USERNAME and TDX_PASSWORD"):
            all_accounts(client)
    client.close()
    assert campus.calls()["tdx/auth"] == {"401": 1}
