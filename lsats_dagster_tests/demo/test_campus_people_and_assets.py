"""People, appointments and assets of the campus (sources.md 7 to 10, 12; 23.1, H5, H6, H8, H9)."""

import math
from collections import Counter
from typing import Any

import pytest

from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.campus.truth import DIRT
from lsats_dagster.demo.campus.world import World
from lsats_dagster_tests.demo.conftest import (
    ACCOUNTS,
    APPOINTMENTS,
    ASSET_DETAILS,
    ASSETS,
    DEPARTMENTS,
    USER_DETAILS,
    USERS,
    Visitor,
)

COLLECTIONS = ("Applications", "Attributes", "GroupIDs", "OrgApplications", "Permissions")


def _post(visitor: Visitor, path: str, **body: Any) -> Any:
    answer = visitor.post(path, **body)
    return answer.json() if answer.status_code == 200 else answer.status_code


def _uids(found: Any) -> set[str]:
    return {user["UID"] for user in found}


def _ids(found: Any) -> set[str]:
    return {str(asset["ID"]) for asset in found}


# H5: people


def test_people_are_searched_by_their_default_account_and_active_unless_said(campus: Campus, visitor: Visitor) -> None:
    truth = campus.truth(USERS)
    accounts = sorted({user["DefaultAccountID"] for user in truth.values()} - {0})

    def of(active: bool, *wanted: int) -> set[str]:
        return {uid for uid, u in truth.items() if u["DefaultAccountID"] in wanted and u["IsActive"] is active}

    some = accounts[:20]
    assert _uids(_post(visitor, "/people/search", AccountIDs=some)) == of(True, *some)
    inactive = {u["DefaultAccountID"] for u in truth.values() if not u["IsActive"]}
    assert _uids(_post(visitor, "/people/search", accountids=list(inactive), isactive=False)) == of(False, *inactive)
    everybody = _post(visitor, "/people/search", IsActive=None)
    assert {user["UID"]: user for user in everybody} == truth
    without = {uid for uid, user in truth.items() if user["DefaultAccountID"] == 0}
    assert without
    assert not without & _uids(_post(visitor, "/people/search", AccountIDs=accounts[:200]))
    assert _post(visitor, "/people/search", AccountIDs=list(range(1, 202))) == 400
    assert _post(visitor, "/people/search", AccountIDs=["many"]) == 400


def test_people_are_found_by_what_clients_know_of_them(campus: Campus, visitor: Visitor) -> None:
    user = next(u for u in campus.truth(USERS).values() if u["IsActive"] and u["ExternalID"])
    for criteria in (
        {"ExternalID": user["ExternalID"]}, {"UserName": user["UserName"].upper()}, {"SearchText": user["PrimaryEmail"]},
        {"ReferenceIDs": [user["ReferenceID"]]},
    ):  # fmt: skip
        assert _uids(_post(visitor, "/people/search", **criteria)) == {user["UID"]}
    assert user["UID"] in _uids(visitor.get(f"/people/lookup?searchText={user['LastName']}").json())
    assert len(_post(visitor, "/people/search", MaxResults=3)) == 3


def test_a_person_alone_shows_collections_and_place(campus: Campus, visitor: Visitor) -> None:
    truth, listed = campus.truth(USER_DETAILS), campus.truth(USERS)
    rich = next(uid for uid, user in truth.items() if user["GroupIDs"])
    assert visitor.get(f"/people/{rich.upper()}").json() == truth[rich]
    assert all(truth[rich][name] for name in COLLECTIONS)
    assert [group["GroupID"] for group in visitor.get(f"/people/{rich}/groups").json()] == truth[rich]["GroupIDs"]
    assert {(listed[rich][name]) for name in COLLECTIONS} == {None}
    assert (listed[rich]["LocationID"], truth[rich]["LocationID"] > 0) == (0, True)
    assert visitor.get("/people/00000000-0000-0000-0000-00000000000a").status_code == 404
    campus.empty_collections("list")
    assert all(user[name] == [] for user in _post(visitor, "/people/search") for name in COLLECTIONS)


def test_the_light_list_of_all_is_for_administrative_logins(campus: Campus, visitor: Visitor) -> None:
    truth = campus.truth(USERS)
    assert visitor.get("/people/userlist").status_code == 403
    ordinary = visitor.login(
        "/auth", username=visitor.environment["TDX_USERNAME"], password=visitor.environment["TDX_PASSWORD"]
    ).text
    assert visitor.get("/people/userlist", ordinary).status_code == 403
    token = visitor.login().text
    light = visitor.get("/people/userlist", token).json()
    assert _uids(light) == set(truth)
    assert all(truth[user["UID"]] | user == truth[user["UID"]] for user in light)
    active = visitor.get("/people/userlist?isActive=true&userType=2", token).json()
    assert _uids(active) == {uid for uid, user in truth.items() if user["IsActive"] and user["TypeID"] == 2}
    assert visitor.get("/people/userlist?isActive=perhaps", token).status_code == 400


def test_poison_comes_once_in_a_read_by_batches(campus: Campus, visitor: Visitor) -> None:
    campus.poison(USERS, ["null"])
    campus.poison(ASSETS, ["null"])
    accounts = sorted(int(key) for key in campus.truth(ACCOUNTS))
    found = [
        record
        for active in (True, False)
        for begin in range(0, len(accounts), 50)
        for record in _post(visitor, "/people/search", AccountIDs=accounts[begin : begin + 50], IsActive=active)
    ]
    assert found.count(None) == 1
    by_status = [
        _post(visitor, "/48/assets/search", StatusIDs=[s["ID"]]) for s in visitor.get("/48/assets/statuses").json()
    ]
    assert sum(assets.count(None) for assets in by_status) == _post(visitor, "/48/assets/search").count(None) == 1


# H6: assets


def test_assets_are_searched_by_any_spelling_of_the_criteria(campus: Campus, visitor: Visitor) -> None:
    truth = campus.truth(ASSETS)
    statuses = {status["ID"]: status["Name"] for status in visitor.get("/48/assets/statuses").json()}
    assert {asset["ID"]: asset for asset in _post(visitor, "/48/assets/search")} == {a["ID"]: a for a in truth.values()}
    assert {(a["StatusID"], a["StatusName"]) for a in truth.values()} <= set(statuses.items())
    counts = Counter(asset["StatusID"] for asset in truth.values())
    assert len(counts) > 5
    for status in statuses:
        assert len(_post(visitor, "/48/assets/search", statusIDs=[status])) == counts[status]
    asset = next(a for a in truth.values() if a["SerialNumber"] and a["OwningDepartmentID"])
    assert str(asset["ID"]) in _ids(_post(visitor, "/48/assets/search", SerialLike=asset["SerialNumber"][:6].lower()))
    owner = asset["OwningCustomerID"]
    assert _ids(_post(visitor, "/48/assets/search", OWNINGCUSTOMERIDS=[owner.upper()])) == {
        key for key, a in truth.items() if a["OwningCustomerID"] == owner
    }
    assert _post(visitor, "/48/assets/search", StatusIDs=["x"]) == 400
    assert _post(visitor, "/47/assets/search") == visitor.get("/47/assets/statuses").status_code == 404


def test_an_asset_alone_shows_its_attributes_in_the_shares_of_the_specification(
    campus: Campus, visitor: Visitor
) -> None:
    details = campus.truth(ASSET_DETAILS)
    key = next(key for key, asset in details.items() if len(asset["Attributes"]) > 6)
    assert visitor.get(f"/48/assets/{key}").json() == details[key]
    assert visitor.get("/48/assets/9").status_code == visitor.get(f"/47/assets/{key}").status_code == 404
    carried = Counter(a["Name"] for asset in details.values() for a in asset["Attributes"])
    assert carried["Support Group(s)"] > 0.95 * len(details)
    assert 0.02 * len(details) < carried["Reserved IP Address(es)"] < 0.3 * len(details)
    known = {a["Name"] for a in visitor.get("/attributes/custom?componentId=27&appId=48").json()}
    assert set(carried) <= known


def test_what_clients_ask_for_at_their_start_is_answered(visitor: Visitor) -> None:
    for path in ("/locations", "/48/assets/models", "/48/assets/models/types", "/48/assets/vendors", "/48/assets/forms",
                 "/attributes/custom?componentId=14", "/attributes/custom?componentId=31"):  # fmt: skip
        entries = visitor.get(path).json()
        assert entries
        assert len({entry["ID"] for entry in entries}) == len(entries)
    building = visitor.get("/locations").json()[3]
    assert visitor.get(f"/locations/{building['ID']}").json() == building
    assert visitor.get("/locations/1").status_code == 404
    assert _post(visitor, "/locations/search", NameText=building["Name"]) == [building]
    assert len(_post(visitor, "/groups/search", NameLike="Desk 40")) == 10


# H9: appointments


def test_appointments_come_in_pages_and_by_filter(campus: Campus, visitor: Visitor) -> None:
    truth = campus.truth(APPOINTMENTS)

    def page(**query: Any) -> Any:
        return visitor.page("/um", data="DeptEmpData", **query).json()["DeptEmpInfo"]["DeptEmpData"]

    campus.page_size(60)
    pages = [page(start_index=start, count=1000) for start in range(0, 240, 60)]
    rows = [row for rows in pages for row in rows]
    assert {f"{row['EmplId']}:{int(row['EmplRcd'])}": row for row in rows} == truth
    several = next(key for key, count in Counter(row["EmplId"] for row in rows).items() if count > 1)
    assert len(page(EmplId=several)) > 1
    named = next(row for row in rows if row["UniqName"] and row["UniqName"].strip())
    assert named in page(Uniqname=named["UniqName"].lower())
    assert {str, int} == {type(row["EmplRcd"]) for row in rows}


# One world


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_dirt_has_its_rate_and_is_where_the_truth_says(size: str) -> None:
    world = World(7, size)
    shown = {name: world.stream(name).truth() for name in (USERS, APPOINTMENTS, ASSETS, ASSET_DETAILS)}
    dirt, people = world.truth.dirt, {person.uid: person for person in world.truth.people}

    def cards(key: str) -> str:
        return "".join(a["Value"] for a in shown[ASSET_DETAILS][key]["Attributes"] if a["Name"] == "MAC Address(es)")

    sees = {
        "appointment without uniqname": lambda key: not str(shown[APPOINTMENTS][key]["UniqName"] or "").strip(),
        "appointment without supervisor": lambda key: not shown[APPOINTMENTS][key]["SupervisorId"],
        "record number as text": lambda key: isinstance(shown[APPOINTMENTS][key]["EmplRcd"], str),
        "user without account": lambda key: shown[USERS][key]["DefaultAccountID"] == 0,
        "user without employee id": lambda key: not shown[USERS][key]["ExternalID"],
        "user with a mail address as uniqname": lambda key: "@" in shown[USERS][key]["AlternateID"],
        "user with the uniqname of another": lambda key: shown[USERS][key]["AlternateID"].lower() != people[key].uniqname,
        "user whose name is spelled otherwise": lambda key: shown[USERS][key]["FirstName"] != people[key].first,
        "inactive user": lambda key: not shown[USERS][key]["IsActive"],
        "asset without serial": lambda key: shown[ASSETS][key]["SerialNumber"] == "",
        "shared serial": lambda key: sum(
            a["SerialNumber"] == shown[ASSETS][key]["SerialNumber"] for a in shown[ASSETS].values()
        ) > 1,
        "asset without MAC": lambda key: cards(key) == "",
        "MAC of a dock": lambda key: len(cards(key)) > 20,
        "several cards": lambda key: len(cards(key)) > 20,
        "owner who left": lambda key: shown[ASSETS][key]["OwningCustomerID"] not in people,
        "duplicate name": lambda key: sum(a["Name"] == shown[ASSETS][key]["Name"] for a in shown[ASSETS].values()) > 1,
        "asset without tag": lambda key: not (shown[ASSETS][key]["Tag"] or "").strip(),
    }  # fmt: skip
    for name, seen in sees.items():
        assert dirt[name]
        assert all(map(seen, dirt[name])), name
    assert len(dirt["appointment without uniqname"]) == math.ceil(
        DIRT["appointment without uniqname"] * len(shown[APPOINTMENTS])
    )
    assert len(dirt["MAC of a dock"]) >= 3


def test_sources_speak_of_the_same_people_units_and_machines(campus: Campus) -> None:
    users, rows, assets = campus.truth(USERS), campus.truth(APPOINTMENTS), campus.truth(ASSETS)
    accounts, departments = campus.truth(ACCOUNTS), campus.truth(DEPARTMENTS)
    employees = {user["ExternalID"] for user in users.values()}
    paid = {row["EmplId"] for row in rows.values()}
    assert len(paid & employees) > 0.8 * len(paid)
    assert {row["DepartmentId"] for row in rows.values()} <= departments.keys()
    assert all(row["Dept_Description"] for row in rows.values())
    assert {str(user["DefaultAccountID"]) for user in users.values()} - {"0"} <= accounts.keys()
    assert {account["ManagerUID"] for account in accounts.values() if account["ManagerFullName"]} <= users.keys()
    owned = [asset for asset in assets.values() if asset["OwningCustomerID"] in users]
    assert len(owned) > 0.8 * len(assets)
    for asset in owned:
        owner = users[asset["OwningCustomerID"]]
        assert asset["OwningCustomerName"].split()[-1] == owner["LastName"].split()[-1]
