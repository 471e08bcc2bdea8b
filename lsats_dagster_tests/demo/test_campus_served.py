"""What the campus answers: logins, limits, accounts, gateway (sources.md 23.1, H1-H10)."""

import base64
import json

import pytest
import requests

from lsats_dagster.demo.campus import Campus, running_campus
from lsats_dagster_tests.demo.conftest import ACCOUNTS, DEPARTMENTS, DETAILS, PATIENCE, Visitor, bearer, claims, moment

# H1, H2: logins and tokens


def test_logins_give_a_bare_token_that_opens_the_api(visitor: Visitor) -> None:
    names = {"username": visitor.environment["TDX_USERNAME"], "password": visitor.environment["TDX_PASSWORD"]}
    keys = {
        "beid": visitor.environment["TDX_BEID"],
        "WEBSERVICESKEY": visitor.environment["TDX_WEB_SERVICES_KEY"],
    }
    answers = [
        visitor.login("/auth", **names),
        visitor.login("/auth/login", UserName=names["username"], Password=names["password"], Unknown="ignored"),
        visitor.session.post(visitor.tdx + "/auth", data=names, timeout=PATIENCE),
        visitor.login("/auth/loginadmin", **keys),
        visitor.session.post(visitor.tdx + "/auth/loginadmin", data=keys, timeout=PATIENCE),
    ]
    for answer in answers:
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        told = claims(answer.text)
        assert told["aud"] == "https://www.teamdynamix.com/"
        assert told["exp"] - moment(answer, "Date") == pytest.approx(86_400, abs=2)
        assert visitor.get("/accounts", answer.text).status_code == 200


def test_wrong_credentials_are_refused(visitor: Visitor) -> None:
    assert visitor.login("/auth", username="hub@campus.example", password="\ud800").status_code == 401
    assert visitor.login("/auth/loginadmin", BEID=visitor.environment["TDX_BEID"]).status_code == 401
    for garbage in ("[", "null", b"\xff", "[" * 100_000):
        assert visitor.session.post(visitor.tdx + "/auth", data=garbage, timeout=PATIENCE).status_code == 400
    basic = {"Authorization": b"Basic \xff"}
    url = visitor.environment["UM_TOKEN_URL"]
    assert visitor.session.post(url, headers=basic, timeout=PATIENCE).status_code == 401


def test_every_other_path_demands_a_valid_token(campus: Campus, visitor: Visitor) -> None:
    header, payload, signature = visitor.token.split(".")
    later = base64.urlsafe_b64encode(json.dumps(claims(visitor.token) | {"exp": 9e9}).encode()).decode()
    for token in ("none", "a.b.c", f"{header}.{payload}.", f"{header}.{later.rstrip('=')}.{signature}"):
        assert visitor.get("/accounts", token).status_code == 401
    assert visitor.session.get(visitor.tdx + "/accounts", timeout=PATIENCE).status_code == 401
    campus.expire_tokens("tdx")
    refused = visitor.get("/accounts")
    assert (refused.status_code, len(refused.content) < 100) == (401, True)
    assert visitor.get("/accounts", visitor.login().text).status_code == 200


# H3: limits


def test_limit_counts_per_method_and_address(campus: Campus, visitor: Visitor) -> None:
    campus.limit("tdx", 2, 60)
    answers = [visitor.get("/accounts") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"2"}
    for answer in answers:
        assert answer.headers["X-RateLimit-Reset"].endswith(" GMT")
        assert 0 < moment(answer, "X-RateLimit-Reset") - moment(answer, "Date") <= 62
    assert len(answers[2].content) < 100
    assert visitor.search().status_code == 200
    assert Visitor(campus, "127.0.0.2").get("/accounts").status_code == 200
    refused = visitor.session.post(visitor.tdx + "/auth", json={}, timeout=PATIENCE)
    assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (401, "1")


# What clients ask for when they start


def test_applications_are_answered_as_any_other_call(campus: Campus, visitor: Visitor) -> None:
    url = visitor.tdx + "/applications"
    assert requests.get(url, timeout=PATIENCE).status_code == 401
    campus.limit("tdx", 2, 60)
    answer = requests.get(url, headers=bearer(visitor.token), timeout=PATIENCE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["X-RateLimit-Remaining"] == "1"
    applications = answer.json()
    assert {application["AppClass"] for application in applications} >= {"TDTickets", "TDAssets", "TDClient"}
    assert {application["Active"] for application in applications} == {True, False}
    assert len({application["AppID"] for application in applications}) == len(applications)
    for application in applications:
        assert application.keys() == {
            "AppID", "Name", "Description", "Type", "AppClass", "ExternalUrl", "Purpose", "Active", "PartialUrl",
        }  # fmt: skip
        assert isinstance(application["AppID"], int)
    user = visitor.call("tdx/auth")
    assert visitor.get("/Applications", user.text).content == answer.content
    assert visitor.get("/applications").status_code == 429


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
        gone = visitor.get(f"/accounts/{unknown}")
        assert (gone.status_code, gone.headers["Content-Type"]) == (404, "application/json; charset=utf-8")


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


@pytest.mark.parametrize("prefix", ["/SBTDWebApi/api", "/TDWebApi//api//", "//TDWebApi/API", "/tdwebapi/api/"])
def test_spellings_of_the_path(visitor: Visitor, prefix: str) -> None:
    url = visitor.environment["UM_BASE_URL"] + prefix + "/Accounts"
    answer = visitor.session.get(url, headers=bearer(visitor.token), timeout=PATIENCE)
    assert answer.content == visitor.get("/accounts").content


def test_collections_left_out_are_null_or_empty(campus: Campus, visitor: Visitor) -> None:
    campus.empty_collections("list")
    for listed in (visitor.get("/accounts").json(), visitor.search().json()):
        assert all(account["Attributes"] == [] for account in listed)


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_world_has_what_makes_real_data_hard(size: str) -> None:
    with running_campus(size=size) as campus:
        details, rows = campus.truth(DETAILS), campus.truth(DEPARTMENTS)
        quota = campus.environment["UM_CALLS_PER_MINUTE"]
    accounts = details.values()
    codes = [account["Code"] for account in accounts]
    coded = {code for code in codes if code.isdigit()}
    assert (len(details), len(rows), quota) == {"tiny": (120, 110, "60000"), "small": (240, 230, "200")}[size]
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
        timeout=PATIENCE,
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
        headers=bearer(visitor.gateway_token),
        timeout=PATIENCE,
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
