"""The campus as its users meet it: a real process, real sockets, and a side door."""

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from lsats_dagster.demo.campus import Campus, CampusError, running_campus

STREAMS = ("tdx/department", "tdx/department_detail", "umich_api/department")
ACCOUNTS, DETAILS, DEPARTMENTS = STREAMS
REPOSITORY = Path(__file__).resolve().parents[2]


class Visitor:
    """A client without any cleverness: every answer of the campus comes back as it is."""

    def __init__(self, campus: Campus, address: str = "127.0.0.1") -> None:
        self.environment = campus.environment
        self.tdx = campus.environment["TDX_BASE_URL"]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("http://", _FromAddress(address))
        self.token = campus.api_token()
        self.gateway_token = ""

    def login(self, path: str = "/auth/loginadmin", **body: str) -> requests.Response:
        body = body or {
            "BEID": self.environment["TDX_BEID"],
            "WebServicesKey": self.environment["TDX_WEB_SERVICES_KEY"],
        }
        return self.session.post(self.tdx + path, json=body, timeout=5)

    def get(self, path: str, token: str | None = None, timeout: float = 5) -> requests.Response:
        return self.session.get(self.tdx + path, headers=_bearer(token or self.token), timeout=timeout)

    def search(self, **criteria: Any) -> requests.Response:
        return self.session.post(
            self.tdx + "/accounts/search", json=criteria, headers=_bearer(self.token), timeout=5
        )

    def found(self, **criteria: Any) -> set[str]:
        return {str(account["ID"]) for account in self.search(**criteria).json()}

    def gateway_login(self, **changes: str) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.environment["UM_CLIENT_KEY"],
            "client_secret": self.environment["UM_CLIENT_SECRET"],
            "scope": "department",
        }
        return self.session.post(self.environment["UM_TOKEN_URL"], data=form | changes, timeout=5)

    def page(self, prefix: str = "", timeout: float = 5, **query: Any) -> requests.Response:
        if not self.gateway_token:
            self.gateway_token = self.gateway_login().json()["access_token"]
        url = f"{self.environment['UM_BASE_URL']}{prefix}/bf/Department/v2/DeptData"
        paging = {f"${name}" if name in ("start_index", "count") else name: query[name] for name in query}
        return self.session.get(url, params=paging, headers=_bearer(self.gateway_token), timeout=timeout)

    def rows(self, **query: Any) -> Any:
        return self.page(**query).json()["DepartmentList"]["DeptData"]

    def call(self, route: str, timeout: float = 5) -> requests.Response:
        """One call of a route that would be served."""
        match route:
            case "tdx/auth":
                return self.login(
                    "/auth",
                    username=self.environment["TDX_USERNAME"],
                    password=self.environment["TDX_PASSWORD"],
                )
            case "tdx/loginadmin":
                return self.login()
            case "tdx/accounts":
                return self.get("/accounts", timeout=timeout)
            case "tdx/accounts/search":
                return self.search(IsActive=None)
            case "tdx/accounts/{id}":
                return self.get("/accounts/" + str(min(self.found())), timeout=timeout)
            case "gateway/token":
                return self.gateway_login()
            case _:
                return self.page(timeout=timeout)


class _FromAddress(HTTPAdapter):
    """Connections from a certain loopback address, so that two clients can have two."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, source_address=(self._address, 0))


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def _moment(answer: requests.Response, header: str) -> float:
    return parsedate_to_datetime(answer.headers[header]).timestamp()


@pytest.fixture(scope="module")
def running() -> Iterator[Campus]:
    with running_campus() as campus:
        yield campus


@pytest.fixture
def campus(running: Campus) -> Campus:
    running.reset()
    return running


@pytest.fixture
def visitor(campus: Campus) -> Visitor:
    return Visitor(campus)


# H1, H2: logins and tokens


def test_logins_give_a_bare_token_that_opens_the_api(visitor: Visitor) -> None:
    names = {"username": visitor.environment["TDX_USERNAME"], "password": visitor.environment["TDX_PASSWORD"]}
    keys = {
        "beid": visitor.environment["TDX_BEID"],
        "WEBSERVICESKEY": visitor.environment["TDX_WEB_SERVICES_KEY"],
    }
    answers = [
        visitor.login("/auth", **names),
        visitor.login(
            "/auth/login", UserName=names["username"], Password=names["password"], Unknown="ignored"
        ),
        visitor.session.post(visitor.tdx + "/auth", data=names, timeout=5),
        visitor.login("/auth/loginadmin", **keys),
        visitor.session.post(visitor.tdx + "/auth/loginadmin", data=keys, timeout=5),
    ]
    for answer in answers:
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        claims = _claims(answer.text)
        assert claims["aud"] == "https://www.teamdynamix.com/"
        assert claims["exp"] - _moment(answer, "Date") == pytest.approx(86_400, abs=2)
        assert visitor.get("/accounts", answer.text).status_code == 200


def test_wrong_credentials_are_refused(visitor: Visitor) -> None:
    assert visitor.login("/auth", username="hub@campus.example", password="\ud800").status_code == 401
    assert visitor.login("/auth/loginadmin", BEID=visitor.environment["TDX_BEID"]).status_code == 401
    for garbage in ("[", "null", b"\xff", "[" * 100_000):
        assert visitor.session.post(visitor.tdx + "/auth", data=garbage, timeout=5).status_code == 400
    basic = {"Authorization": b"Basic \xff"}
    url = visitor.environment["UM_TOKEN_URL"]
    assert visitor.session.post(url, headers=basic, timeout=5).status_code == 401


def test_every_other_path_demands_a_valid_token(campus: Campus, visitor: Visitor) -> None:
    header, payload, signature = visitor.token.split(".")
    later = base64.urlsafe_b64encode(json.dumps(_claims(visitor.token) | {"exp": 9e9}).encode()).decode()
    for token in ("none", "a.b.c", f"{header}.{payload}.", f"{header}.{later.rstrip('=')}.{signature}"):
        assert visitor.get("/accounts", token).status_code == 401
    assert visitor.session.get(visitor.tdx + "/accounts", timeout=5).status_code == 401
    campus.expire_tokens("tdx")
    refused = visitor.get("/accounts")
    assert (refused.status_code, len(refused.content) < 100) == (401, True)
    assert visitor.get("/accounts", visitor.login().text).status_code == 200


def test_tokens_expire(campus: Campus, visitor: Visitor) -> None:
    campus.token_lifetime("tdx", 1)
    campus.token_lifetime("gateway", 1)
    token = visitor.login().text
    assert visitor.page().status_code == 200
    assert visitor.get("/accounts", token).status_code == 200
    time.sleep(max(0.0, _claims(token)["exp"] - time.time()) + 0.01)
    assert visitor.get("/accounts", token).status_code == 401
    assert visitor.page().status_code == 401


# H3: limits


def test_limit_counts_per_method_and_address(campus: Campus, visitor: Visitor) -> None:
    campus.limit("tdx", 2, 60)
    answers = [visitor.get("/accounts") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"2"}
    for answer in answers:
        assert answer.headers["X-RateLimit-Reset"].endswith(" GMT")
        assert 0 < _moment(answer, "X-RateLimit-Reset") - _moment(answer, "Date") <= 62
    assert len(answers[2].content) < 100
    assert visitor.search().status_code == 200
    assert Visitor(campus, "127.0.0.2").get("/accounts").status_code == 200
    refused = visitor.session.post(visitor.tdx + "/auth", json={}, timeout=5)
    assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (401, "1")


def test_window_has_ended_at_the_reset_told(campus: Campus, visitor: Visitor) -> None:
    campus.limit("tdx", 1, 0.3)
    first, second = visitor.get("/accounts"), visitor.get("/accounts")
    assert (first.status_code, second.status_code) == (200, 429)
    time.sleep(max(0.0, _moment(second, "X-RateLimit-Reset") - time.time()))
    assert visitor.get("/accounts").status_code == 200


# H4, H7, H8: accounts


def test_list_search_and_detail_agree_with_the_truth(campus: Campus, visitor: Visitor) -> None:
    truth, details = campus.truth(ACCOUNTS), campus.truth(DETAILS)
    everything = visitor.search(IsActive=None).json()
    assert {str(account["ID"]): account for account in everything} == truth
    assert len(everything) == len(truth) == 120
    active = visitor.get("/accounts").json()
    assert {str(account["ID"]) for account in active} == {k for k, a in truth.items() if a["IsActive"]}
    assert 0 < len(active) < len(truth)
    assert all(account["Attributes"] is None for account in everything)
    key = next(key for key, account in details.items() if account["Attributes"])
    assert visitor.get(f"/accounts/{key}").json() == details[key]
    for unknown in ("999999", "0", "x"):
        assert visitor.get(f"/accounts/{unknown}").status_code == 404


def test_search_honours_its_criteria(campus: Campus, visitor: Visitor) -> None:
    truth = campus.truth(ACCOUNTS)
    some = next(account for account in truth.values() if account["Code"].isdigit())
    parent, manager = some["ParentID"], next(a["ManagerUID"] for a in truth.values() if a["ManagerFullName"])
    inactive = {key for key, account in truth.items() if not account["IsActive"]}
    children = {key for key, account in truth.items() if account["ParentID"] == parent}
    assert visitor.found() == visitor.found(IsActive=None, Whatever=[1]) == set(truth)
    assert visitor.found(IsActive=False) == visitor.found(isactive="false") == inactive
    assert visitor.found(IsActive="True") == set(truth) - inactive
    assert visitor.found(PARENTACCOUNTID=str(parent)) == visitor.found(ParentAccountID=parent) == children
    assert visitor.found(SearchText=some["Name"].upper()) == {str(some["ID"])}
    assert str(some["ID"]) in visitor.found(SearchText=some["Code"])
    assert visitor.found(ManagerUids=[manager.upper()]) == {
        key for key, account in truth.items() if account["ManagerUID"] == manager
    }
    assert len(visitor.found(MaxResults="7")) == 7
    assert visitor.search(MaxResults="many").status_code == 400


@pytest.mark.parametrize(
    "prefix", ["/SBTDWebApi/api", "/TDWebApi//api//", "//TDWebApi/API", "/tdwebapi/api/"]
)
def test_spellings_of_the_path(visitor: Visitor, prefix: str) -> None:
    url = visitor.environment["UM_BASE_URL"] + prefix + "/Accounts"
    answer = visitor.session.get(url, headers=_bearer(visitor.token), timeout=5)
    assert answer.content == visitor.get("/accounts").content


def test_collections_left_out_are_null_or_empty(campus: Campus, visitor: Visitor) -> None:
    campus.empty_collections("list")
    for listed in (visitor.get("/accounts").json(), visitor.search().json()):
        assert all(account["Attributes"] == [] for account in listed)


@pytest.mark.parametrize("size", ["small", "demo"])
def test_world_has_what_makes_real_data_hard(size: str) -> None:
    with running_campus(size=size) as campus:
        details, rows = campus.truth(DETAILS), campus.truth(DEPARTMENTS)
        quota = campus.environment["UM_CALLS_PER_MINUTE"]
    accounts = details.values()
    codes = [account["Code"] for account in accounts]
    coded = {code for code in codes if code.isdigit()}
    assert (len(details), len(rows), quota) == {"small": (120, 110, "60000"), "demo": (240, 230, "200")}[size]
    assert coded - rows.keys()
    assert rows.keys() - coded
    assert any(code.startswith("0") for code in coded & rows.keys())
    assert "" in codes
    assert any(code and not code.isdigit() for code in codes)
    assert any(codes.count(code) == 2 for code in coded)
    assert {account["ParentID"] for account in accounts} >= {None, 0}
    assert "0001-01-01T00:00:00" in {account["CreatedDate"] for account in accounts}
    assert "00000000-0000-0000-0000-000000000000" in {account["ManagerUID"] for account in accounts}
    assert any(value == " " for row in rows.values() for value in row.values())
    assert any(value is None for row in rows.values() for value in row.values())
    names = {account["Code"]: account["Name"] for account in accounts if account["IsActive"]}
    assert any(names[code] != rows[code]["DeptDescription"] for code in names.keys() & rows.keys())
    assert len({account["Name"] for account in accounts}) == len(details)
    by_id = {account["ID"]: account for account in accounts}
    depths = []
    for account in accounts:
        depth, above = 0, account
        while above["ParentID"]:
            depth, above = depth + 1, by_id[above["ParentID"]]
        depths.append(depth)
    assert max(depths) >= 3
    without = sum(not account["Attributes"] for account in accounts)
    assert len(details) / 10 < without < len(details) / 3
    choices = [len(a["Choices"]) for account in accounts for a in account["Attributes"]]
    assert max(choices) >= 40


# H9, H10: gateway


def test_gateway_gives_tokens_for_form_and_basic(campus: Campus, visitor: Visitor) -> None:
    reply = visitor.gateway_login().json()
    assert (reply["token_type"], reply["expires_in"], reply["scope"]) == ("Bearer", 3600, "department")
    basic = visitor.session.post(
        visitor.environment["UM_TOKEN_URL"] + "?grant_type=client_credentials&scope=department",
        auth=(visitor.environment["UM_CLIENT_KEY"], visitor.environment["UM_CLIENT_SECRET"]),
        timeout=5,
    )
    visitor.gateway_token = basic.json()["access_token"]
    assert visitor.page().status_code == 200
    assert visitor.gateway_login(client_secret="wrong").status_code == 401
    assert visitor.gateway_login(grant_type="password").status_code == 400
    assert visitor.gateway_login(scope="weather").status_code == 400
    campus.expire_tokens("gateway")
    assert visitor.page().status_code == 401


def test_gateway_pages_are_capped_and_end_empty(campus: Campus, visitor: Visitor) -> None:
    truth = campus.truth(DEPARTMENTS)
    assert {row["DeptId"]: row for row in visitor.rows(start_index=0, count=1000)} == truth
    campus.page_size(50)
    pages = [visitor.rows(start_index=start, count=1000) for start in (0, 50, 100, 150)]
    assert [len(page) for page in pages] == [50, 50, 10, 0]
    assert {row["DeptId"] for page in pages for row in page} == set(truth)
    assert visitor.rows(start_index=48, count=4) == pages[0][48:] + pages[1][:2]
    plain = visitor.session.get(
        visitor.environment["UM_BASE_URL"] + "/um/bf/Department/v2/DeptData?$start_index=100&$count=5",
        headers=_bearer(visitor.gateway_token),
        timeout=5,
    )
    assert plain.json()["DepartmentList"]["DeptData"] == pages[2][:5]
    assert visitor.page(start_index="first").status_code == 400


def test_gateway_filters_and_single_rows(campus: Campus, visitor: Visitor) -> None:
    truth = campus.truth(DEPARTMENTS)
    row = truth[min(truth)]
    assert visitor.rows(DeptId=row["DeptId"]) == visitor.rows(DeptDescription=row["DeptDescription"]) == [row]
    assert {r["DeptId"] for r in visitor.rows(DeptGroup="COLLEGE_OF_IS")} == {
        key for key, r in truth.items() if r["DeptGroup"] == "COLLEGE_OF_IS"
    }
    campus.single_as_object(True)
    assert visitor.rows(DeptId=row["DeptId"]) == row
    assert len(visitor.rows(count=2)) == 2


def test_gateway_has_a_quota(campus: Campus, visitor: Visitor) -> None:
    visitor.page()
    campus.limit("gateway", 2, 60)
    answers = [visitor.page(prefix=prefix) for prefix in ("", "/um", "")]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 60
    assert campus.calls()["gateway/DeptData"] == {"200": 3, "429": 1}


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
                assert 1 < _moment(struck, "X-RateLimit-Reset") - _moment(struck, "Date") <= 4
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
        assert abs(_moment(dated, "Date") - time.time()) < 5


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


# The life of the campus


def _comparable(stream: str, payload: dict[str, Any]) -> dict[str, Any]:
    """What a hub would hash: volatile fields and choice lists left out."""
    if stream == DEPARTMENTS:
        return payload
    kept = {name: value for name, value in payload.items() if name != "ModifiedDate"}
    if stream == DETAILS:
        kept["Attributes"] = [
            {n: v for n, v in attribute.items() if n != "Choices"} for attribute in kept["Attributes"]
        ]
    return kept


def test_days_report_exactly_the_difference_and_bring_enough(campus: Campus) -> None:
    seen: dict[str, set[str]] = {stream: set(campus.truth(stream)) for stream in STREAMS}
    for day in range(1, 8):
        before = {stream: campus.truth(stream) for stream in STREAMS}
        report = campus.live_one_day()
        assert campus.day() == day
        for stream in STREAMS:
            old, new, brought = before[stream], campus.truth(stream), report[stream]
            appeared = new.keys() - old.keys()
            assert brought.new == sorted(appeared - seen[stream])
            assert brought.returned == sorted(appeared & seen[stream])
            assert brought.removed == sorted(old.keys() - new.keys())
            assert brought.changed == sorted(
                key
                for key in old.keys() & new.keys()
                if _comparable(stream, old[key]) != _comparable(stream, new[key])
            )
            seen[stream] |= new.keys()
            assert len(brought.new) >= 2
            assert len(brought.changed) >= 2
            assert len(brought.removed) >= 1
            assert len(brought.returned) == (day % 3 == 0)
        attribute_only = set(report[DETAILS].changed) - set(report[ACCOUNTS].changed)
        listed = campus.truth(ACCOUNTS)
        assert attribute_only
        for key in attribute_only:
            assert listed[key]["ModifiedDate"] != before[ACCOUNTS][key]["ModifiedDate"]


def _answers(visitor: Visitor) -> list[bytes]:
    return [
        visitor.get("/accounts").content,
        visitor.search().content,
        *(visitor.get(f"/accounts/{key}").content for key in sorted(visitor.found())[:20]),
        visitor.page().content,
    ]


def test_same_seed_and_operations_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def history(seed: int) -> list[bytes]:
        with running_campus(seed=seed) as campus:
            campus.live_one_day()
            added = campus.add(ACCOUNTS)
            campus.put(ACCOUNTS, added, {"Notes": "x"})
            campus.live_one_day()
            return _answers(Visitor(campus))

    monkeypatch.setenv("PYTHONHASHSEED", "1")
    once = history(7)
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    assert history(7) == once
    assert history(8)[1] != once[1]


def test_reset_gives_the_first_day_back(campus: Campus) -> None:
    first = _answers(Visitor(campus))
    campus.live_one_day()
    campus.delete(DEPARTMENTS, min(campus.truth(DEPARTMENTS)))
    campus.put(ACCOUNTS, min(campus.truth(ACCOUNTS)), {"Name": "Other"})
    campus.poison(ACCOUNTS, ["null"])
    campus.poison_detail(DETAILS, min(campus.truth(ACCOUNTS)), "null")
    campus.fault("tdx/accounts", "status", times=None)
    campus.limit("tdx", 1, 60)
    campus.limit("gateway", 1, 60)
    campus.token_lifetime("tdx", 5)
    campus.empty_collections("list")
    campus.single_as_object(True)
    campus.page_size(1)
    campus.reset()
    assert (campus.day(), campus.calls()) == (0, {})
    visitor = Visitor(campus)
    assert _answers(visitor) == first
    token = visitor.login()
    assert _claims(token.text)["exp"] - _moment(token, "Date") == pytest.approx(86_400, abs=2)


def test_state_carries_the_day_to_the_next_start(tmp_path: Path) -> None:
    state = tmp_path / "new" / "campus.json"
    with running_campus(state=state) as campus:
        campus.live_one_day()
        campus.live_one_day()
        truth = campus.truth(ACCOUNTS)
    with running_campus(state=state) as campus:
        assert (campus.day(), campus.truth(ACCOUNTS)) == (2, truth)
    with pytest.raises(CampusError), running_campus(seed=8, state=state):
        pass
    state.write_text("{")
    with pytest.raises(CampusError), running_campus(state=state):
        pass


def test_campus_ends_with_a_parent_that_was_killed() -> None:
    program = """
import time
from urllib.parse import urlsplit
from lsats_dagster.demo.campus import running_campus
with running_campus() as campus:
    print(urlsplit(campus.environment["TDX_BASE_URL"]).port, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert parent.stdout is not None
    with parent:
        port = int(parent.stdout.readline())
        assert _listens(port)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 10
        while _listens(port) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _listens(port)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
