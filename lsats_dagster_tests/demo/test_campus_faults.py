"""The faults and the side door of the campus (sources.md 23.1, H11 and H12)."""

import json
import time
from typing import Any

import pytest
import requests

from lsats_dagster.demo.campus import Campus, CampusError
from lsats_dagster_tests.demo.conftest import Visitor, moment

STREAMS = ("tdx/department", "tdx/department_detail", "umich_api/department")
ACCOUNTS, DETAILS, DEPARTMENTS = STREAMS


# H11: faults


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
            assert struck.status_code == {"status": 503, "storm": 429}.get(kind, 200)
            assert ("X-RateLimit-Reset" in struck.headers) == route.startswith("tdx/")
            assert struck.content != normal.content
            if kind == "cut_json":
                assert normal.content.startswith(struck.content)
            if kind == "empty":
                assert struck.json() == {"DepartmentList": {"DeptData": []}}
            if kind == "html":
                assert struck.headers["Content-Type"].startswith("text/html")
            if kind == "storm" and route.startswith("gateway"):
                assert struck.headers["Retry-After"] == "2"
            elif kind == "storm":
                assert 1 < moment(struck, "X-RateLimit-Reset") - moment(struck, "Date") <= 4
    again = visitor.call(route)
    assert again.status_code == 200
    if route not in ("tdx/auth", "tdx/loginadmin", "gateway/token"):
        assert again.content == normal.content
    outcome = {"status": "503", "storm": "429", "reset": "fault", "hang": "fault", "truncate": "fault"}
    struck_as = outcome.get(kind, "200")
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
    ):
        with pytest.raises(CampusError, match="refused"):
            refused()


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
