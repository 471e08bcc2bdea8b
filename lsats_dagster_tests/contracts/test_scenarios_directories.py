"""Acceptance scenarios that speak of directories (sources.md 23.4: A2, A11, A12); A14 stands with the controllers."""

import pytest

from lsats_dagster.sources import active_directory as ad
from lsats_dagster.sources import mcommunity
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    calls,
    keys,
    other_values,
    read,
    shown,
)
from lsats_dagster_tests.contracts.stream_states import changes, log

MEMBERS = 4000


def test_a2_logins_and_new_passwords_of_every_computer_make_no_row(source_hub: Hub) -> None:
    """N10."""
    stream = ad.COMPUTERS
    read(source_hub, stream)
    before = log(source_hub, stream)
    for key in keys(source_hub.campus, stream):
        moved = other_values(source_hub.campus, stream, key, sorted(stream.hash_rule.volatile))
        source_hub.campus.put(stream.name, key, moved)
    run = read(source_hub, stream)
    assert (log(source_hub, stream), run.counts.skipped) == (before, len(before))


def test_a11_a_group_of_4000_members_has_all_of_them_and_one_row(source_hub: Hub) -> None:
    """They come in ranges of 1,500 values."""
    stream = ad.GROUPS
    key = keys(source_hub.campus, stream)[3]
    members = [f"CN=member{number},OU=People,{ad.UNIVERSITY}" for number in range(MEMBERS)]
    source_hub.campus.put(stream.name, key, {"member": members})
    read(source_hub, stream)
    assert shown(source_hub, stream)[key]["member"] == members
    first = log(source_hub, stream)
    assert [row[:2] for row in first if row[0] == key] == [(key, "new")]
    # Another order is the same group; one member less is one new row.
    source_hub.campus.put(stream.name, key, {"member": members[::-1]})
    read(source_hub, stream)
    assert log(source_hub, stream) == first
    source_hub.campus.put(stream.name, key, {"member": members[1:]})
    read(source_hub, stream)
    assert changes(source_hub, stream, len(first)) == [(key, "changed")]
    assert len(shown(source_hub, stream)[key]["member"]) == MEMBERS - 1


@pytest.mark.budget(6, "reads some hundred parts")
def test_a12_more_people_than_a_search_gives_are_all_there_in_whatever_order(source_hub: Hub) -> None:
    """5,000 people at 350 a search are as many as these at 45: fourteen times the limit, in no order."""
    stream, campus = mcommunity.USERS, source_hub.campus
    everybody = len(keys(campus, stream))
    campus.directory_limits("mcommunity", entries=everybody * 350 // 5000)
    for seed in (1, 2):
        campus.reorder(stream.name, seed)
        run = read(source_hub, stream)
        assert run.metadata["extract"]["state"] == "complete"
        assert_mirrors(source_hub, stream)
    assert changes(source_hub, stream, 0) == [(key, "new") for key in keys(campus, stream)]
    assert calls(campus, "mcommunity/search", "4") > everybody // 350
