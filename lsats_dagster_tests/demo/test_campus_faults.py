"""The faults and the side door of the campus (sources.md 23.1, H11 and H12)."""

import json
import time
from typing import Any

import pytest
import requests

from lsats_dagster.demo.campus import Campus, CampusError
from lsats_dagster_tests.demo.conftest import ACCOUNTS, DEPARTMENTS, DETAILS, Visitor, moment

# H11: faults

STATUSES = {"status": 503, "storm": 429, "throttle_now": 429, "html_404": 404}


@pytest.mark.parametrize(
    ("route", "kind"),
    [
        ("tdx/auth", "status"),
        ("tdx/loginadmin", "html"),
        ("tdx/accounts", "reset"),
        ("tdx/accounts", "hang"),
        ("tdx/accounts/search", "truncate"),
        ("tdx/accounts/search", "storm"),
        ("tdx/accounts/{id}", "cut_json"),
        ("gateway/token", "reset"),
        ("gateway/DeptData", "truncate"),
        ("gateway/DeptData", "empty"),
        ("gateway/DeptData", "shift"),
        ("gateway/DeptData", "storm"),
        ("tdx/applications", "html_404"),
        ("tdx/accounts/{id}", "html_404"),
        ("gateway/DeptData", "html_404"),
        ("tdx/accounts/search", "gzip_bomb"),
        ("gateway/token", "gzip_bomb"),
        ("tdx/auth", "throttle_now"),
        ("tdx/people/search", "cut_json"),
        ("tdx/assets/search", "truncate"),
        ("tdx/assets/{id}", "html_404"),
        ("gateway/DeptData", "throttle_now"),
    ],
)
def test_fault_strikes_exactly_once(campus: Campus, visitor: Visitor, route: str, kind: str) -> None:
    normal = visitor.call(route)
    campus.reset_calls()
    campus.fault(route, kind, after=1)
    assert visitor.call(route).status_code == 200
    match kind:
        case "reset":
            with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
                visitor.call(route)
        case "hang":
            with pytest.raises(requests.ReadTimeout):
                visitor.call(route, timeout=0.2)
        case "truncate":
            with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
                visitor.call(route)
        case _:
            struck = visitor.call(route)
            assert struck.status_code == STATUSES.get(kind, 200)
            of_the_source = kind not in ("html_404", "throttle_now")
            assert ("X-RateLimit-Reset" in struck.headers) == (route.startswith("tdx/") and of_the_source)
            assert struck.content != normal.content
            if kind == "cut_json":
                assert normal.content.startswith(struck.content)
            if kind == "empty":
                assert struck.json() == {"DepartmentList": {"DeptData": []}}
            if kind == "throttle_now":
                assert struck.headers["Retry-After"] == "0"
            if kind.startswith("html"):
                assert struck.headers["Content-Type"].startswith("text/html")
            if kind == "storm" and route.startswith("gateway"):
                assert struck.headers["Retry-After"] == "2"
            elif kind == "storm":
                assert 1 < moment(struck, "X-RateLimit-Reset") - moment(struck, "Date") <= 4
    again = visitor.call(route)
    assert again.status_code == 200
    if route not in ("tdx/auth", "tdx/loginadmin", "gateway/token"):
        assert again.content == normal.content
    struck_as = "fault" if kind in ("reset", "hang", "truncate") else str(STATUSES.get(kind, 200))
    assert campus.calls()[route] == ({"200": 3} if struck_as == "200" else {"200": 2, struck_as: 1})


def test_faults_last_repeat_and_clear(campus: Campus, visitor: Visitor) -> None:
    campus.fault("tdx/accounts", "status", times=2, status=502)
    campus.fault("tdx/accounts", "status", after=3, status=504, retry_after=7)
    answers = [visitor.get("/accounts") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [502, 502, 200, 504, 200]
    assert answers[3].headers["Retry-After"] == "7"
    campus.fault("tdx/accounts", "status", times=None, status=500)
    assert {visitor.get("/accounts").status_code for _ in range(4)} == {500}
    campus.clear_faults()
    assert visitor.get("/accounts").status_code == 200


def test_fault_waits_for_a_call_that_would_be_served(campus: Campus, visitor: Visitor) -> None:
    campus.fault("tdx/accounts", "status")
    assert visitor.get("/accounts", "expired").status_code == 401
    assert visitor.get("/accounts").status_code == 503


def test_latency_delays_the_true_answer(campus: Campus, visitor: Visitor) -> None:
    campus.fault("tdx/accounts", "latency", seconds=30)
    campus.fault("tdx/accounts", "latency", seconds=0.01)
    with pytest.raises(requests.ReadTimeout):
        visitor.get("/accounts", timeout=0.1)
    assert visitor.get("/accounts").content == visitor.get("/accounts").content
    assert campus.calls()["tdx/accounts"] == {"fault": 1, "200": 2}


def test_shifted_pages_do_not_overlap(campus: Campus, visitor: Visitor) -> None:
    first = visitor.rows(start_index=0, count=10)
    campus.fault("gateway/DeptData", "shift", rows=1)
    assert visitor.rows(start_index=9, count=10)[0] != first[9]


def test_answers_carry_a_date_and_unknown_paths_are_counted(campus: Campus, visitor: Visitor) -> None:
    answer = visitor.get("/tickets")
    assert (answer.status_code, campus.calls()["unknown"]) == (404, {"404": 1})
    for dated in (answer, visitor.get("/accounts"), visitor.gateway_login()):
        assert abs(moment(dated, "Date") - time.time()) < 5


def test_the_404_of_a_fault_is_that_of_the_source(campus: Campus, visitor: Visitor) -> None:
    own = visitor.get("/accounts/999999")
    campus.fault("tdx/accounts/{id}", "status", status=404)
    campus.fault("gateway/DeptData", "status", status=404)
    struck = visitor.get(f"/accounts/{min(campus.truth(ACCOUNTS))}")
    assert (struck.status_code, struck.content) == (404, own.content)
    assert struck.headers["Content-Type"] == own.headers["Content-Type"] == "application/json; charset=utf-8"
    assert struck.json().keys() == {"Message"}
    assert visitor.page().json() == {"error": "not found"}


@pytest.mark.parametrize("route", ["tdx/loginadmin", "tdx/accounts/search", "tdx/accounts/{id}", "gateway/DeptData"])
def test_an_endless_body_goes_on_until_the_client_leaves(campus: Campus, visitor: Visitor, route: str) -> None:
    normal = visitor.call(route)
    campus.fault(route, "endless")
    visitor.session.stream = True
    struck = visitor.call(route)
    assert struck.status_code == 200
    head = struck.raw.read(len(normal.content) - 1)
    assert head == normal.content[:-1] or route == "tdx/loginadmin"
    assert struck.raw.read(20_000_000) == b" " * 20_000_000
    struck.close()
    assert visitor.call(route).status_code == 200
    assert campus.calls()[route]["fault"] == 1


def test_a_gzip_bomb_is_small_and_decodes_to_the_true_answer(campus: Campus, visitor: Visitor) -> None:
    truth = visitor.search().content
    campus.fault("tdx/accounts/search", "gzip_bomb", megabytes=30)
    struck = visitor.search()
    assert struck.headers["Content-Encoding"] == "gzip"
    assert int(struck.headers["Content-Length"]) < 100_000
    assert struck.content == truth + b" " * (30 << 20)


def test_a_429_can_name_a_time_that_is_past(campus: Campus, visitor: Visitor) -> None:
    campus.fault("tdx/accounts", "throttle_now", reset_ago=60)
    struck = visitor.get("/accounts")
    assert (struck.status_code, struck.headers["X-RateLimit-Remaining"]) == (429, "0")
    assert moment(struck, "X-RateLimit-Reset") - moment(struck, "Date") == pytest.approx(-60, abs=2)
    assert "Retry-After" not in struck.headers


# H12: the side door


def test_every_kind_of_mutation_shows_where_it_should(campus: Campus, visitor: Visitor) -> None:
    details = campus.truth(DETAILS)
    key = next(key for key, account in details.items() if account["Attributes"] and account["IsActive"])
    before = details[key]

    def now() -> dict[str, Any]:
        account: dict[str, Any] = visitor.get(f"/accounts/{key}").json()
        return account

    campus.put(ACCOUNTS, key, {"Name": "Renamed \ud800 \x00"})
    assert now()["Name"] == campus.truth(ACCOUNTS)[key]["Name"] == "Renamed \ud800 \x00"
    assert now()["ModifiedDate"] != before["ModifiedDate"]
    moved = now()["ModifiedDate"]
    campus.put(ACCOUNTS, key, {"ParentID": 1, "ParentName": "Elsewhere"}, touch=False)
    assert (now()["ParentID"], now()["ModifiedDate"]) == (1, moved)
    campus.put(ACCOUNTS, key, {"IsActive": False, "Unheard": {"of": [1.5]}})
    assert key not in {str(account["ID"]) for account in visitor.get("/accounts").json()}
    assert now()["Unheard"] == {"of": [1.5]}

    listed = campus.truth(ACCOUNTS)[key]
    campus.put(DETAILS, key, {"Attributes": []})
    assert now()["Attributes"] == []
    assert campus.truth(ACCOUNTS)[key] == listed | {"ModifiedDate": now()["ModifiedDate"]}
    only_date = now()
    campus.put(ACCOUNTS, key, {})
    assert now() == only_date | {"ModifiedDate": now()["ModifiedDate"]} != only_date

    kept = now()
    campus.delete(ACCOUNTS, key)
    assert visitor.get(f"/accounts/{key}").status_code == 404
    assert key not in visitor.found()
    campus.restore(DETAILS, key)
    assert now() == kept
    assert key in visitor.found()


def test_side_door_adds_and_refuses(campus: Campus, visitor: Visitor) -> None:
    account, department = campus.add(ACCOUNTS), campus.add(DEPARTMENTS)
    assert account in visitor.found(IsActive=True)
    assert visitor.get(f"/accounts/{account}").json()["ID"] == int(account)
    assert [row["DeptId"] for row in visitor.rows(DeptId=department)] == [department]
    campus.delete(DEPARTMENTS, department)
    assert visitor.rows(DeptId=department) == []
    for refused in (
        lambda: campus.truth("tdx/nothing"),
        lambda: campus.put(DEPARTMENTS, department, {}),
        lambda: campus.restore(ACCOUNTS, account),
        lambda: campus.fault("tdx/nothing", "hang"),
        lambda: campus.fault("tdx/accounts", "explode"),
        lambda: campus.fault("tdx/accounts", "hang", seconds=1),
        lambda: campus.limit("nothing", 1, 1),
        lambda: campus.poison(DETAILS, []),
        lambda: campus.double(DETAILS, account, {}),
        lambda: campus.double(DEPARTMENTS, department, {}),
        lambda: campus.reorder(DETAILS, 1),
    ):
        with pytest.raises(CampusError, match="refused"):
            refused()


RAW = {
    "control character": '{"ID":1,"Name":"a\x01b\nc\x00"}',
    "nested": '{"ID":1,"Deep":' + "[" * 2000 + "]" * 2000 + "}",
    "one name twice": '{"ID":5,"ID":6}',
    "no number": '{"ID":1,"Name":NaN,"Notes":-Infinity}',
    "large": '{"ID":1,"Notes":"' + "x" * 20_000_000 + '"}',
    "half a surrogate": '{"ID":1,"Name":"\\ud800"}',
    "no JSON": "{]",
}


@pytest.mark.parametrize("raw", RAW.values(), ids=RAW)
def test_a_raw_text_comes_unchanged(campus: Campus, visitor: Visitor, raw: str) -> None:
    for stream, calls in (
        (ACCOUNTS, (visitor.search, lambda: visitor.get("/accounts"))),
        (DEPARTMENTS, (visitor.page,)),
    ):
        campus.poison(stream, [raw])
        for call in calls:
            assert call().content.removesuffix(b"}}").endswith(b"," + raw.encode() + b"]")
    key = min(campus.truth(ACCOUNTS))
    campus.poison_detail(DETAILS, key, raw)
    assert visitor.get(f"/accounts/{key}").content == raw.encode()


def _sequence(visitor: Visitor, size: int = 40) -> list[dict[str, Any]]:
    """The gateway's rows, walked page by page."""
    rows: list[dict[str, Any]] = []
    while page := visitor.rows(start_index=len(rows), count=size):
        rows += page
    return rows


def test_a_doubled_key_comes_twice_at_places_that_stay(campus: Campus, visitor: Visitor) -> None:
    truth, order = campus.truth(DEPARTMENTS), _sequence(visitor)
    key, other = sorted(truth)[3:5]
    campus.double(DEPARTMENTS, key, {})
    campus.double(DEPARTMENTS, other, {"DeptDescription": "Twin"})
    doubled = _sequence(visitor)
    assert _sequence(visitor, 7) == doubled
    assert campus.truth(DEPARTMENTS) == truth
    at = [place for place, row in enumerate(doubled) if row["DeptId"] == key]
    assert [doubled[place] for place in at] == [truth[key]] * 2
    assert len(truth) / 4 < at[1] - at[0] < 3 * len(truth) / 4
    twins = [row for row in doubled if row["DeptId"] == other]
    assert sorted(row["DeptDescription"] == "Twin" for row in twins) == [False, True]
    assert {**truth[other], "DeptDescription": "Twin"} in twins
    assert len(visitor.rows(DeptId=key)) == 2
    campus.put(DEPARTMENTS, other, {"DeptGroup": "MOVED"})
    assert [row["DeptGroup"] for row in visitor.rows(DeptId=other)] == ["MOVED", "MOVED"]
    campus.delete(DEPARTMENTS, other)
    assert visitor.rows(DeptId=other) == []
    campus.restore(DEPARTMENTS, other)
    campus.put(DEPARTMENTS, other, truth[other])
    for ended in (key, other):
        campus.double(DEPARTMENTS, ended, None)
    assert _sequence(visitor) == order


def test_a_doubled_account_is_one_entity_with_one_detail(campus: Campus, visitor: Visitor) -> None:
    key = next(key for key, account in campus.truth(ACCOUNTS).items() if account["IsActive"])
    campus.double(ACCOUNTS, key, {"Name": "Twin"})
    for listed in (visitor.search().json(), visitor.get("/accounts").json()):
        assert sorted(a["Name"] == "Twin" for a in listed if str(a["ID"]) == key) == [False, True]
    assert visitor.get(f"/accounts/{key}").json() == campus.truth(DETAILS)[key]


def test_another_order_shows_the_same_records(campus: Campus, visitor: Visitor) -> None:
    key = min(campus.truth(DEPARTMENTS))
    campus.double(DEPARTMENTS, key, {"DeptDescription": "Twin"})
    first = _sequence(visitor)
    orders, twin_first = [], set()
    for seed in range(1, 9):
        campus.reorder(DEPARTMENTS, seed)
        orders.append(_sequence(visitor))
        assert _sequence(visitor, 7) == orders[-1]
        twin_first.add(next(row for row in orders[-1] if row["DeptId"] == key)["DeptDescription"] == "Twin")
    by_text = sorted(json.dumps(row) for row in first)
    for order in orders:
        assert sorted(json.dumps(row) for row in order) == by_text
        assert sum(old == new for old, new in zip(first, order, strict=True)) < len(first) / 4
    assert twin_first == {True, False}, "either record can be the first"
    campus.reorder(DEPARTMENTS, 0)
    assert _sequence(visitor) == first
    accounts = visitor.search().json()
    campus.reorder(ACCOUNTS, 1)
    assert visitor.search().json() != accounts
    assert {account["ID"] for account in visitor.search().json()} == {account["ID"] for account in accounts}


def test_poison_is_added_verbatim(campus: Campus, visitor: Visitor) -> None:
    poison = ["null", '{"Name":"x"}', '{"ID":1,"Name":"\\ud800"}', "17"]
    truth = campus.truth(ACCOUNTS)
    campus.poison(ACCOUNTS, poison)
    campus.poison(DEPARTMENTS, poison)
    assert visitor.search().json()[len(truth) :] == [json.loads(raw) for raw in poison]
    assert visitor.rows(start_index=110, count=9) == [json.loads(raw) for raw in poison]
    assert campus.truth(ACCOUNTS) == truth
    key = min(truth)
    campus.poison_detail(DETAILS, key, "[{")
    assert visitor.get(f"/accounts/{key}").content == b"[{"
    campus.poison_detail(DETAILS, key, None)
    campus.poison(ACCOUNTS, [])
    assert len(visitor.search().json()) == len(truth)
    assert visitor.get(f"/accounts/{key}").json()["ID"] == int(key)
