"""How people and assets of TeamDynamix are read whole, whatever the login may see (sources.md 7, 9, 24)."""

import json

import pytest
from sqlalchemy import text

from lsats_dagster.clients.tdx import StaticToken, TdxClient
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.database import Database
from lsats_dagster.ingestion.stream import Before, Extract, Present, UnprovenReadError
from lsats_dagster.sources import tdx
from lsats_dagster.sources.tdx import DEPARTMENTS, USERS, read_assets, read_users
from lsats_dagster_tests.clients.aids import PATIENT, Reply, Request, Script, VirtualClock, serving
from lsats_dagster_tests.conftest import Hub, make_client, source_of

SEARCH, SINGLY = "tdx/people/search", "tdx/people/{uid}"


@pytest.fixture
def people(wired_hub: Hub) -> Hub:
    """A hub that has read people once, through an administrative login."""
    wired_hub.campus.limit("tdx", 100_000, 60)
    wired_hub.run(DEPARTMENTS)
    wired_hub.run(USERS)
    return wired_hub


def as_user(hub: Hub) -> Hub:
    """The same hub with a login that may not list everybody."""
    kept = ("TDX_BASE_URL", "TDX_USERNAME", "TDX_PASSWORD")
    settings = {name.lower(): hub.campus.environment[name] for name in kept}
    hub.use(USERS, make_client(hub.campus, source_of(USERS), settings))
    return hub


def without_account(hub: Hub) -> list[str]:
    """Keys of people whom no search by account finds."""
    accounts = {int(key) for key in hub.campus.truth("tdx/department")}
    people = hub.campus.truth("tdx/user")
    return sorted(key for key, person in people.items() if person["DefaultAccountID"] not in accounts)


def singly(hub: Hub) -> int:
    return sum(hub.campus.calls().get(SINGLY, {}).values())


def test_people_without_an_account_are_read_one_by_one(people: Hub) -> None:
    apart = without_account(people)
    assert apart, "the campus has such people"
    stored = people.rows("select external_id from bronze.tdx_users where is_present")
    assert {row.external_id for row in stored} == people.campus.truth("tdx/user").keys()
    people.campus.reset_calls()
    people.run(USERS)
    assert singly(people) == len(apart)


def test_a_login_that_sees_no_list_of_everybody_removes_by_single_answers(people: Hub) -> None:
    apart = without_account(people)
    gone = [apart[0], next(key for key in people.campus.truth("tdx/user") if key not in apart)]
    for key in gone:
        people.campus.delete("tdx/user", key)
    as_user(people)
    people.campus.reset_calls()
    run = people.run(USERS)
    removed = people.rows("select external_id from bronze.tdx_users where not is_present")
    assert sorted(row.external_id for row in removed) == sorted(gone)
    assert run.metadata["extract"]["state"] == "complete"
    assert singly(people) == len(apart) + 1, "those without an account, and who has gone from one"


def test_more_new_people_without_account_than_may_be_asked_for_make_no_complete_read(
    wired_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired_hub.campus.limit("tdx", 100_000, 60)
    wired_hub.run(DEPARTMENTS)
    with monkeypatch.context() as patch:
        patch.setattr(tdx, "SINGLE_CALLS", 0)
        with pytest.raises(UnprovenReadError, match="run again"):
            wired_hub.run(USERS)
    stored = wired_hub.rows("select external_id from bronze.tdx_users")
    apart = without_account(wired_hub)
    assert {row.external_id for row in stored} == wired_hub.campus.truth("tdx/user").keys() - set(apart)
    assert wired_hub.run(USERS).counts.created == len(apart)


def test_people_without_an_account_take_turns(people: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    apart = without_account(people)
    assert len(apart) > 1
    for key in apart:
        people.campus.put("tdx/user", key, {"FullName": "Renamed"})
    monkeypatch.setattr(tdx, "SINGLE_CALLS", 1)
    for turn in range(1, len(apart) + 1):
        assert people.run(USERS).metadata["extract"]["state"] == "complete"
        assert renamed(people.database) == turn


def renamed(database: Database) -> int:
    with database.transaction() as connection:
        return int(
            connection.execute(
                text("select count(*) from bronze.tdx_users where payload ->> 'FullName' = 'Renamed' and is_present")
            ).scalar_one()
        )


def client_of(script: Script, url: str, clock: VirtualClock) -> TdxClient:
    return TdxClient(
        base_url=f"{url}/api",
        credentials=StaticToken("head.value.sign"),
        app_id=48,
        window=LocalCallWindow(clock),
        timeouts=PATIENT,
        clock=clock,
    )


def assets_of(statuses: list[int], capped_at: int | None) -> Script:
    """A TeamDynamix with one asset of each status, whose search gives at most so many."""

    def script(request: Request) -> Reply:
        if request.path.endswith("/statuses"):
            return Reply(200, json.dumps([{"ID": status} for status in statuses]).encode())
        wanted = json.loads(request.body)["StatusIDs"]
        return Reply(200, json.dumps([{"ID": 1000 + status} for status in wanted][:capped_at]).encode())

    return script


@pytest.mark.parametrize("capped_at", [None, 2])
def test_a_search_of_assets_that_is_cut_off_shows_and_loses_nothing(capped_at: int | None) -> None:
    script, clock = assets_of([38, 41, 77], capped_at), VirtualClock()
    with serving(script, now=clock.now) as server:
        client, extract = client_of(script, server.url, clock), Extract()
        found = [asset["ID"] for page in read_assets(client, extract) for asset in page]
        client.close()
    assert found == [1038, 1041, 1077]
    assert extract.stated
    assert extract.evidence["only_by_status"] == (0 if capped_at is None else 1)


def test_an_empty_list_of_statuses_proves_nothing() -> None:
    """TeamDynamix would take no status for no restriction."""
    script, clock = assets_of([], None), VirtualClock()
    with serving(script, now=clock.now) as server:
        client = client_of(script, server.url, clock)
        with pytest.raises(UnprovenReadError, match="list of statuses is empty"):
            list(read_assets(client, Extract()))
        client.close()
        assert [path.rpartition("/")[2] for path in server.paths()] == ["statuses"]


def test_an_answer_that_cannot_be_read_leaves_its_person_where_they_were(people: Hub) -> None:
    apart = without_account(people)
    people.campus.poison_detail("tdx/user_detail", apart[0], "[]")
    run = people.run(USERS)
    assert run.counts.removed == 0
    assert run.metadata["extract"]["state"] == "complete"


def test_nobody_is_asked_for_by_an_empty_list_of_accounts(wired_hub: Hub) -> None:
    extract = Extract(Before())
    pages = read_users(wired_hub.client(USERS), extract)
    for page in pages:
        assert isinstance(page, Present) or page
    assert SEARCH not in wired_hub.campus.calls()
