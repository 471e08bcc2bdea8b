"""The acceptance scenarios of the specification by their names, on the streams they speak of (sources.md 23.4).

What every stream must do stands in the stream suite; here each sentence of the specification is told once, in its own words.
"""

import itertools
from collections import Counter

import pytest

from lsats_dagster.clients.http import TRIES
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    calls,
    campus_source,
    data_routes,
    keys,
    login_route,
    prepare,
    quick,
    read,
    read_whole,
    shown,
    source_of,
    with_steps,
)
from lsats_dagster_tests.contracts.stream_kinds import LISTS, name
from lsats_dagster_tests.contracts.stream_states import (
    changes,
    dump,
    log,
    passed_over,
    run_row,
)

BY_NAME = {stream.name: stream for stream in STREAMS}
USERS, APPOINTMENTS = BY_NAME["tdx/user"], BY_NAME["umich_api/user"]
ASSETS, ASSET_DETAILS = BY_NAME["tdx/asset"], BY_NAME["tdx/asset_detail"]


@pytest.mark.budget(6, "every list is read twice")
def test_a1_the_same_data_twice_makes_no_row(source_hub: Hub) -> None:
    for stream in LISTS:
        read(source_hub, stream)
    before = dump(source_hub, apart=("ingestion_runs", "read_parts"))
    for stream in LISTS:
        run = source_hub.run(stream, full=True)
        assert (run.counts.created, run.counts.updated, run.counts.removed) == (0, 0, 0), stream.name
    assert dump(source_hub, apart=("ingestion_runs", "read_parts")) == before


def test_a2_only_volatile_fields_change_and_no_row_is_made(source_hub: Hub) -> None:
    read(source_hub, ASSETS)
    before = log(source_hub, ASSETS)
    for key in keys(source_hub.campus, ASSETS):
        moved = dict.fromkeys(ASSETS.hash_rule.volatile, "2031-02-03T04:05:06Z")
        source_hub.campus.put(ASSETS.name, key, moved, touch=False)
    run = read(source_hub, ASSETS)
    assert log(source_hub, ASSETS) == before
    assert run.counts.skipped == len(before)


def test_a3_an_asset_changes_its_owner_and_list_and_detail_have_one_new_row_each(source_hub: Hub) -> None:
    read(source_hub, ASSET_DETAILS)
    in_list, in_details = len(log(source_hub, ASSETS)), len(log(source_hub, ASSET_DETAILS))
    key, owner = keys(source_hub.campus, ASSETS)[3], keys(source_hub.campus, USERS)[5]
    source_hub.campus.put(ASSETS.name, key, {"OwningCustomerID": owner, "OwningCustomerName": "Another Owner"})
    read(source_hub, ASSET_DETAILS)
    assert changes(source_hub, ASSETS, in_list) == [(key, "changed")]
    assert changes(source_hub, ASSET_DETAILS, in_details) == [(key, "changed")]
    assert shown(source_hub, ASSETS)[key]["OwningCustomerID"] == owner


def test_a4_only_an_attribute_of_an_asset_changes_and_its_detail_has_one_new_row(source_hub: Hub) -> None:
    read(source_hub, ASSET_DETAILS)
    in_list, in_details = len(log(source_hub, ASSETS)), len(log(source_hub, ASSET_DETAILS))
    key = keys(source_hub.campus, ASSETS)[3]
    source_hub.campus.put(ASSET_DETAILS.name, key, {"Attributes": [{"ID": 3380, "Value": "02:00:00:00:00:01"}]})
    routes = data_routes(source_hub, ASSET_DETAILS)
    read(source_hub, ASSET_DETAILS)
    assert log(source_hub, ASSETS)[in_list:] == []
    assert changes(source_hub, ASSET_DETAILS, in_details) == [(key, "changed")]
    assert routes.calls() == 1, "nothing else is fetched again"


def test_a5_a_user_changes_department_and_has_one_new_row(source_hub: Hub) -> None:
    read(source_hub, USERS)
    before = len(log(source_hub, USERS))
    people = source_hub.campus.truth(USERS.name)
    accounts = {key: person["DefaultAccountID"] for key, person in people.items() if person["DefaultAccountID"]}
    key = next(iter(accounts))
    other = next(account for account in accounts.values() if account != accounts[key])
    source_hub.campus.put(USERS.name, key, {"DefaultAccountID": other, "DefaultAccountName": "Another Department"})
    read(source_hub, USERS)
    assert changes(source_hub, USERS, before) == [(key, "changed")]


def test_a6_a_user_is_deactivated_and_that_is_seen(source_hub: Hub) -> None:
    read(source_hub, USERS)
    before = len(log(source_hub, USERS))
    people = source_hub.campus.truth(USERS.name)
    key = next(key for key, person in people.items() if person["IsActive"] and person["DefaultAccountID"])
    source_hub.campus.put(USERS.name, key, {"IsActive": False})
    read(source_hub, USERS)
    assert changes(source_hub, USERS, before) == [(key, "changed")]
    assert shown(source_hub, USERS)[key]["IsActive"] is False


@pytest.mark.parametrize("stream", STREAMS, ids=name)
def test_a7_an_entity_is_deleted_and_the_next_complete_run_says_so_once(
    stream: StreamDeclaration, source_hub: Hub
) -> None:
    read(source_hub, stream)
    before, key = len(log(source_hub, stream)), keys(source_hub.campus, stream)[4]
    source_hub.campus.delete(stream.name, key)
    for _ in range(2):
        read_whole(source_hub, stream)
        # Who named it may have changed with that.
        found = changes(source_hub, stream, before)
        assert [entry for entry in found if entry[1] != "changed"] == [(key, "removed")]
    assert shown(source_hub, stream, present=False).keys() == {key}


def test_a8_page_40_of_95_fails_for_good_and_nothing_is_removed(source_hub: Hub) -> None:
    source_hub.campus.page_size(max(2, len(keys(source_hub.campus, APPOINTMENTS)) // 94))
    read(source_hub, APPOINTMENTS)
    before, gone = log(source_hub, APPOINTMENTS), keys(source_hub.campus, APPOINTMENTS)[0]
    source_hub.campus.delete(APPOINTMENTS.name, gone)
    routes = data_routes(source_hub, APPOINTMENTS)
    assert sum(routes.whole.values()) >= 95
    routes.fault("status", times=None, after=39)
    with pytest.raises(Exception, match="503"):
        source_hub.run(APPOINTMENTS)
    row = run_row(source_hub, APPOINTMENTS)
    assert (row.status, row.metadata["extract"]["state"], row.records_removed) == ("failed", "partial", 0)
    assert log(source_hub, APPOINTMENTS) == before
    assert routes.calls() == 39 + TRIES
    source_hub.campus.clear_faults()
    read(source_hub, APPOINTMENTS)
    assert changes(source_hub, APPOINTMENTS, len(before)) == [(gone, "removed")]


@pytest.mark.parametrize("stream", [USERS, APPOINTMENTS], ids=name)
def test_a9_a_storm_of_429_is_waited_for_and_the_limit_respected(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    routes = data_routes(source_hub, stream)
    quick(source_hub)
    routes.fault_half_way("storm")
    source_hub.run(stream)
    assert routes.calls("429") >= 1
    assert run_row(source_hub, stream).metadata["extract"]["waited_seconds"] < 60
    assert_mirrors(source_hub, stream)


@pytest.mark.parametrize("stream", [USERS, APPOINTMENTS], ids=name)
def test_a10_a_token_ends_in_mid_run_and_is_renewed_once(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    campus, source = source_hub.campus, source_of(stream)
    login, pages = login_route(campus, source), itertools.count()
    source_hub.client(stream).probe()

    def expire() -> None:
        """Behind the first page."""
        if next(pages) == 1:
            campus.reset_calls()
            campus.expire_tokens(campus_source(campus, source))

    source_hub.run(with_steps(stream, expire))
    assert calls(campus, login) == 1
    assert_mirrors(source_hub, stream)


def test_a13_a_person_with_three_appointments_has_three_rows_and_then_none(source_hub: Hub) -> None:
    def most() -> tuple[str, int]:
        ((person, count),) = Counter(
            key.partition(":")[0] for key in keys(source_hub.campus, APPOINTMENTS)
        ).most_common(1)
        return person, count

    while most()[1] < 3:
        source_hub.campus.add(APPOINTMENTS.name)
    person, _ = most()
    read(source_hub, APPOINTMENTS)
    first = log(source_hub, APPOINTMENTS)
    assert sorted(key for key, _, _ in first if key.partition(":")[0] == person) == [f"{person}:{n}" for n in range(3)]
    read(source_hub, APPOINTMENTS)
    assert log(source_hub, APPOINTMENTS) == first


@pytest.mark.parametrize("stream", LISTS, ids=name)
def test_a16_a_change_during_a_run_is_caught_by_the_next(stream: StreamDeclaration, source_hub: Hub) -> None:
    prepare(source_hub, stream)
    campus, pages = source_hub.campus, itertools.count()

    def change() -> None:
        """Behind the first page."""
        if next(pages) == 1:
            campus.add(stream.name)
            campus.delete(stream.name, keys(campus, stream)[0])

    source_hub.run(with_steps(stream, change))
    read_whole(source_hub, stream)
    assert_mirrors(source_hub, stream)


def test_a19_a_dry_run_leaves_the_database_unchanged(source_hub: Hub) -> None:
    for stream in LISTS:
        prepare(source_hub, stream)
    before = dump(source_hub)
    for stream in LISTS:
        run = source_hub.run(stream, dry_run=True)
        assert run.counts.processed - passed_over(run) == len(keys(source_hub.campus, stream)), stream.name
    assert dump(source_hub) == before
