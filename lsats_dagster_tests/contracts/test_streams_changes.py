"""Lists that are not read whole each time, or not in one go: by looks at what changed, and by parts (sources.md 4.4, 4.5)."""

from datetime import datetime, timedelta

import pytest

from lsats_dagster.clients.errors import SourceError
from lsats_dagster.runs import Run
from lsats_dagster.sources import active_directory as ad
from lsats_dagster.sources import mcommunity
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.poison_cases import good_record
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    change_content,
    data_routes,
    keys,
    read,
    read_whole,
)
from lsats_dagster_tests.contracts.stream_kinds import transport
from lsats_dagster_tests.contracts.stream_states import changes, log, run_row, state
from lsats_dagster_tests.contracts.test_streams_runs import await_rows, killed
from lsats_dagster_tests.ingestion.memory import grow_older

# Two ways of reading, on the streams that are read so.
pytestmark = pytest.mark.engine
SECONDS = "%Y-%m-%dT%H:%M:%SZ"


# Looks at what changed.


def read_at(run: Run) -> datetime:
    """The time of the controller that the next look goes by."""
    return datetime.fromisoformat(run.metadata["memory"]["read_at"])


def asked_since(hub: Hub) -> datetime | None:
    """Since when the newest run of accounts asked for changes; None where it read everything."""
    since = run_row(hub, ad.USERS).metadata["extract"].get("changes_since")
    return datetime.fromisoformat(since) if since else None


@pytest.mark.parametrize(("minutes", "is_seen"), [(14, True), (16, False)])
def test_what_a_controller_learned_late_is_seen_for_15_minutes(minutes: int, is_seen: bool, source_hub: Hub) -> None:
    """It comes with the time at which another one took it; what came later still shows with the next whole read."""
    last = read_at(read(source_hub, ad.USERS))
    before, key = len(log(source_hub, ad.USERS)), keys(source_hub.campus, ad.USERS)[3]
    late = {"displayName": "Learned Late", "whenChanged": f"{last - timedelta(minutes=minutes):{SECONDS}}"}
    source_hub.campus.put(ad.USERS.name, key, late, touch=False)
    read(source_hub, ad.USERS)
    assert asked_since(source_hub) == last - timedelta(minutes=15)
    assert changes(source_hub, ad.USERS, before) == [(key, "changed")] * is_seen
    read_whole(source_hub, ad.USERS)
    assert changes(source_hub, ad.USERS, before) == [(key, "changed")]


def test_of_another_controller_everything_is_read_and_of_the_same_what_changed(source_hub: Hub) -> None:
    read(source_hub, ad.USERS)
    for number, since_is_known in ((1, True), (2, False), (2, True), (1, False)):
        source_hub.campus.controller(number)
        read(source_hub, ad.USERS)
        assert (asked_since(source_hub) is not None) == since_is_known, number


def test_of_a_controller_whose_clock_went_back_everything_is_read(source_hub: Hub) -> None:
    source_hub.campus.live_one_day()
    read(source_hub, ad.USERS)
    before = len(log(source_hub, ad.USERS))
    # The campus of the day before, as a controller that was set up from a backup shows it.
    source_hub.campus.reset()
    key = keys(source_hub.campus, ad.USERS)[3]
    change_content(source_hub.campus, ad.USERS, key)
    read(source_hub, ad.USERS)
    assert asked_since(source_hub) is None
    assert (key, "changed") in changes(source_hub, ad.USERS, before)
    assert_mirrors(source_hub, ad.USERS)


@pytest.mark.parametrize("how", ["failed", "limited", "dry"])
def test_a_read_that_was_not_whole_does_not_move_the_time_of_the_next_look(how: str, source_hub: Hub) -> None:
    last = read_at(read(source_hub, ad.USERS))
    before, key = len(log(source_hub, ad.USERS)), keys(source_hub.campus, ad.USERS)[3]
    source_hub.campus.live_one_day()
    change_content(source_hub.campus, ad.USERS, key)
    source_hub.campus.advance(timedelta(hours=1).total_seconds())
    match how:
        case "failed":
            # Behind the question for the time.
            data_routes(source_hub, ad.USERS).fault(transport(ad.USERS).breaks, times=None, after=1)
            with pytest.raises(SourceError, match=transport(ad.USERS).says):
                source_hub.run(ad.USERS)
            source_hub.campus.clear_faults()
        case "limited":
            source_hub.run(ad.USERS, limit=1)
        case "dry":
            assert source_hub.run(ad.USERS, dry_run=True).counts.updated > 0
    read(source_hub, ad.USERS)
    assert asked_since(source_hub) == last - timedelta(minutes=15)
    assert (key, "changed") in changes(source_hub, ad.USERS, before)


def test_who_is_gone_and_which_groups_they_are_in_shows_the_weekly_read(source_hub: Hub) -> None:
    """Neither a deletion nor a change of groups touches an account."""
    read(source_hub, ad.USERS)
    campus, before = source_hub.campus, len(log(source_hub, ad.USERS))
    gone, member = keys(campus, ad.USERS)[3:5]
    group = keys(campus, ad.GROUPS)[0]
    campus.delete(ad.USERS.name, gone)
    others = campus.truth(ad.GROUPS.name)[group].get("member", [])
    campus.put(ad.GROUPS.name, group, {"member": [*others, campus.truth(ad.USERS.name)[member]["dn"]]})
    grow_older(source_hub.database, timedelta(days=6))
    assert read(source_hub, ad.USERS).metadata["extract"]["state"] == "partial"
    assert changes(source_hub, ad.USERS, before) == []
    grow_older(source_hub.database, timedelta(days=1))
    assert read(source_hub, ad.USERS).metadata["extract"]["state"] == "complete"
    assert {(gone, "removed"), (member, "changed")} <= set(changes(source_hub, ad.USERS, before))
    assert_mirrors(source_hub, ad.USERS)


# Reads by parts.

PEOPLE = mcommunity.USERS


def test_a_read_by_parts_that_was_killed_goes_on_behind_them(source_hub: Hub, other_hub: Hub) -> None:
    """Killed for real. The parts that were committed are not asked for again, and what is in them is not gone."""
    campus = source_hub.campus
    campus.directory_limits("mcommunity", entries=100)
    routes = data_routes(source_hub, PEOPLE)
    with killed(source_hub, PEOPLE, len(keys(campus, PEOPLE)) // 2):
        await_rows(source_hub, "select 1 from meta.read_parts")
    assert 0 < len(log(source_hub, PEOPLE)) < len(keys(campus, PEOPLE))
    campus.reset_calls()
    run = source_hub.run(PEOPLE)
    assert routes.calls() < sum(routes.whole.values())
    assert (run.metadata["extract"]["state"], run.counts.removed) == ("complete", 0)
    read(other_hub, PEOPLE)
    # What was left was cut into other parts.
    assert state(source_hub, PEOPLE, in_order=False) == state(other_hub, PEOPLE, in_order=False)


def test_the_parts_of_a_whole_read_are_the_plan_of_the_next(source_hub: Hub) -> None:
    campus = source_hub.campus
    routes = data_routes(source_hub, PEOPLE)
    first = read(source_hub, PEOPLE)
    campus.reset_calls()
    again = read(source_hub, PEOPLE)
    assert again.counts.skipped == first.counts.created == len(keys(campus, PEOPLE))
    assert again.metadata["extract"]["parts"] == first.metadata["extract"]["parts"]
    # The order is proven by two searches, and who has no number is counted by one; each part takes one.
    assert routes.calls() == again.metadata["extract"]["parts"] + 3 < sum(routes.whole.values())


def test_a_part_that_has_become_too_large_is_split(source_hub: Hub) -> None:
    """Code 4, where there was none before."""
    parts = read(source_hub, PEOPLE).metadata["extract"]["parts"]
    source_hub.campus.directory_limits("mcommunity", entries=60)
    gone = keys(source_hub.campus, PEOPLE)[4]
    source_hub.campus.delete(PEOPLE.name, gone)
    before = len(log(source_hub, PEOPLE))
    routes = data_routes(source_hub, PEOPLE)
    run = read(source_hub, PEOPLE)
    assert (run.metadata["extract"]["state"], run.metadata["extract"]["parts"] > parts) == ("complete", True)
    assert routes.calls("4") >= 1
    assert changes(source_hub, PEOPLE, before) == [(gone, "removed")]
    assert_mirrors(source_hub, PEOPLE)


def test_who_has_no_number_is_counted(source_hub: Hub) -> None:
    """They are no records, and nobody takes them for gone or bad."""
    good = good_record(source_hub, PEOPLE)
    source_hub.campus.poison(PEOPLE.name, [good.entry(uidNumber=None)] * 3)
    run = read(source_hub, PEOPLE)
    assert (run.metadata["extract"]["without_uidNumber"], run.counts.failed) == (3, 0)
    assert_mirrors(source_hub, PEOPLE)
