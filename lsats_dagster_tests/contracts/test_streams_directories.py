"""What only directories do to their streams: result codes, cookies, certificates, controllers, rights, entries
(sources.md 4.4, 4.5, 23.2). How they are read otherwise than whole stands in test_streams_changes.
"""

from pathlib import Path
from typing import Any

import pytest
import trustme

from lsats_dagster.clients.errors import LoginRefusedError, PermanentSourceError, TransientSourceError
from lsats_dagster.clients.http import TRIES
from lsats_dagster.ingestion.stream import Extract, ListStream
from lsats_dagster.sources import active_directory as ad
from lsats_dagster.sources import mcommunity
from lsats_dagster_tests.conftest import Hub, make_client, source_of
from lsats_dagster_tests.contracts.poison_cases import QUOTED, good_record
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    campus_source,
    content_field,
    data_routes,
    keys,
    login_route,
    read,
    read_whole,
    refuse_login,
    shown,
    with_steps,
)
from lsats_dagster_tests.contracts.stream_kinds import CLIENT_STREAMS, name
from lsats_dagster_tests.contracts.stream_states import check, log, quarantine, run_row

# They prove clients.
pytestmark = pytest.mark.engine
DIRECTORIES = [stream for stream in CLIENT_STREAMS if source_of(stream).transport == "ldap"]
every_directory = pytest.mark.parametrize("stream", DIRECTORIES, ids=name)
every_controlled = pytest.mark.parametrize("stream", ad.SOURCE.streams, ids=name)


def gone_without_notice(hub: Hub, stream: ListStream[Any]) -> list[Any]:
    """Read the stream, and let an entity go; the log before a read that must not remove it."""
    read(hub, stream)
    before = log(hub, stream)
    hub.campus.delete(stream.name, keys(hub.campus, stream)[4])
    return before


# Result codes.


@every_directory
@pytest.mark.parametrize("code", [3, 51, 52])
def test_a_code_that_passes_is_outlasted(stream: ListStream[Any], code: int, source_hub: Hub) -> None:
    """Time limit, busy, unavailable."""
    routes = data_routes(source_hub, stream)
    (route,) = routes.whole
    source_hub.campus.fault(route, "code", times=TRIES - 1, after=routes.whole[route] // 2, code=code)
    source_hub.run(stream)
    assert routes.calls(str(code)) == TRIES - 1
    assert_mirrors(source_hub, stream)


@every_directory
@pytest.mark.parametrize("code", [50, 53])
def test_a_code_that_stays_fails_the_run_at_once(stream: ListStream[Any], code: int, source_hub: Hub) -> None:
    """No right, unwilling: another try would not change it."""
    before = gone_without_notice(source_hub, stream)
    routes = data_routes(source_hub, stream)
    routes.fault("code", times=None, code=code)
    with pytest.raises(PermanentSourceError, match=rf"code {code} \("):
        source_hub.run(stream, full=True)
    assert (routes.calls(), log(source_hub, stream)) == (1, before)


@every_controlled
def test_a_search_that_ends_at_a_size_limit_is_not_whole(stream: ListStream[Any], source_hub: Hub) -> None:
    """Code 4: pages do not get past a limit that holds for all of them."""
    before = gone_without_notice(source_hub, stream)
    # Of units a branch has that few.
    source_hub.campus.directory_limits("active_directory", entries=3)
    with pytest.raises(PermanentSourceError, match="at its size limit"):
        source_hub.run(stream, full=True)
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"], row.records_removed) == ("failed", "partial", 0)
    assert log(source_hub, stream) == before


@every_directory
def test_a_login_that_is_refused_is_not_repeated(stream: ListStream[Any], source_hub: Hub) -> None:
    """Code 49: repeated, it would lock the account."""
    before = gone_without_notice(source_hub, stream)
    source = source_of(stream)
    route = login_route(source_hub.campus, source)
    refuse_login(source_hub, source)
    source_hub.campus.reset_calls()
    for _ in range(2):
        with pytest.raises(LoginRefusedError, match="code 49"):
            source_hub.run(stream, full=True)
    assert source_hub.campus.calls()[route] == {"49": 1}
    assert log(source_hub, stream) == before


# Rights that are taken away, in mid-read.


@every_directory
def test_a_right_that_ends_in_mid_read_removes_nothing(stream: ListStream[Any], source_hub: Hub) -> None:
    """Code 50."""
    before = gone_without_notice(source_hub, stream)
    campus, pages = source_hub.campus, iter(range(1000))

    def revoke() -> None:
        """Behind the first page or part."""
        if next(pages) == 1:
            campus.refuse_login(campus_source(campus, source_of(stream)))

    with pytest.raises(PermanentSourceError, match="code 50"):
        source_hub.run(with_steps(stream, revoke), full=True)
    assert log(source_hub, stream) == before


@every_directory
def test_entries_that_are_hidden_in_mid_read_are_not_taken_for_gone(stream: ListStream[Any], source_hub: Hub) -> None:
    """As a directory shows it that hides what may not be seen: success, and nothing in it. The guard asks first."""
    before = gone_without_notice(source_hub, stream)
    routes = data_routes(source_hub, stream)
    routes.fault_half_way("empty", times=None)
    run = source_hub.run(stream, full=True)
    assert not check(run, "removal_guard").passed
    assert (run.counts.removed, log(source_hub, stream)) == (0, before)


# Cookies, certificates, controllers.


def test_a_cookie_that_is_forgotten_begins_the_read_anew(source_hub: Hub) -> None:
    stream = ad.GROUPS
    source_hub.campus.directory_limits("active_directory", page=10)
    source_hub.campus.fault("active_directory/page", "cookie", times=1)
    run = source_hub.run(stream)
    assert (run.metadata["extract"]["state"], run.counts.created) == ("complete", run.counts.processed)
    assert_mirrors(source_hub, stream)


def test_a_cookie_that_is_always_forgotten_fails_the_run(source_hub: Hub) -> None:
    before = gone_without_notice(source_hub, ad.GROUPS)
    source_hub.campus.directory_limits("active_directory", page=10)
    source_hub.campus.fault("active_directory/page", "cookie", times=None)
    with pytest.raises(TransientSourceError, match="forgot how far the read was"):
        source_hub.run(ad.GROUPS)
    assert log(source_hub, ad.GROUPS) == before


@every_directory
def test_a_certificate_of_another_authority_is_refused(
    stream: ListStream[Any], source_hub: Hub, tmp_path: Path
) -> None:
    before = gone_without_notice(source_hub, stream)
    source, other = source_of(stream), tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    known = {variable.lower(): value for variable, value in source_hub.campus.environment.items()}
    (file,) = (variable for variable in source.settings.model_fields if variable.endswith("_ca_file"))
    source_hub.campus.reset_calls()
    source_hub.use(stream, make_client(source_hub.campus, source, known | {file: other}))
    with pytest.raises(PermanentSourceError, match="no authority that is trusted here"):
        source_hub.run(stream, full=True)
    assert source_hub.campus.calls() == {}, "no password is sent"
    assert log(source_hub, stream) == before


def told_by_controller(hub: Hub, stream: ListStream[Any]) -> set[tuple[str, str, int]]:
    """What each object has its own at the controller that answers now."""
    records = (record for page in stream.read(hub.client(stream), Extract()) for record in page)
    return {(record["objectGUID"], record["whenChanged"], record["uSNChanged"]) for record in records}


@every_controlled
def test_a14_what_only_another_controller_says_makes_no_row(stream: ListStream[Any], source_hub: Hub) -> None:
    read(source_hub, stream)
    before, first = log(source_hub, stream), told_by_controller(source_hub, stream)
    source_hub.campus.controller(2)
    assert not first & told_by_controller(source_hub, stream)
    run = read(source_hub, stream)
    assert (log(source_hub, stream), run.metadata["extract"]["state"]) == (before, "complete")
    assert run.counts.skipped == len(before)


# Bad entries.

BAD_KEYS: dict[str, tuple[list[Any] | None, str]] = {
    "missing": (None, "key"),
    "empty": ([""], "key"),
    "too short": ([{"base64": "AAE="}], "key"),
    "octets of nothing": ([{"base64": "AAAAAAAAAAAAAAAAAAAAAA=="}], "key"),
    "a part of one": (["{3f1d9c2e-7a10}"], "key"),
    "twice": ([{"base64": "AAECAwQFBgcICQoLDA0ODw=="}, {"base64": "AQECAwQFBgcICQoLDA0ODw=="}], "read"),
}


# Accounts have a rule of their own for keys, the others one together.
@pytest.mark.parametrize("stream", [ad.USERS, ad.UNITS], ids=name)
@pytest.mark.parametrize("case", BAD_KEYS)
def test_an_entry_whose_guid_is_none_is_quarantined(stream: ListStream[Any], case: str, source_hub: Hub) -> None:
    values, stage = BAD_KEYS[case]
    good = good_record(source_hub, stream)
    source_hub.campus.poison(stream.name, [good.entry(objectGUID=values)])
    run = read(source_hub, stream)
    assert (run.metadata["extract"]["state"], run.counts.failed) == ("complete", 1)
    assert [(row.external_id, row.stage) for row in quarantine(source_hub, stream)] == [(None, stage)]
    assert QUOTED not in quarantine(source_hub, stream)[0].reason
    assert_mirrors(source_hub, stream)
    source_hub.campus.poison(stream.name, [])
    read_whole(source_hub, stream)
    assert [row.resolution for row in quarantine(source_hub, stream)] == ["superseded"]


# As sent, and as it must be stored.
ODD_VALUES: dict[str, tuple[Any, Any]] = {
    "no UTF-8": ({"base64": "/wD/"}, "/wD/"),
    "NUL": ("a\x00b", "ab"),
    "empty": ("", ""),
    "blanks": (" a ", " a "),
    "emoji": ("\U0001f642", "\U0001f642"),
}


# One whose value is one, and one whose value is a list.
@pytest.mark.parametrize("stream", [mcommunity.USERS, ad.UNITS], ids=name)
@pytest.mark.parametrize("case", ODD_VALUES)
def test_an_odd_value_is_stored_as_json_can_hold_it(stream: ListStream[Any], case: str, source_hub: Hub) -> None:
    sent, stored = ODD_VALUES[case]
    good = good_record(source_hub, stream)
    field = content_field(stream, good.payload)
    source_hub.campus.poison(stream.name, [good.entry(**{field: [sent]})])
    run = read(source_hub, stream)
    assert run.counts.failed == 0
    is_list = field in stream.hash_rule.sets
    assert shown(source_hub, stream)[good.key][field] == ([stored] if is_list else stored)
    assert len(shown(source_hub, stream)) == len(keys(source_hub.campus, stream)) + 1


@every_directory
def test_a_second_value_where_there_is_one_is_quarantined(stream: ListStream[Any], source_hub: Hub) -> None:
    """Which of them holds, nobody can say."""
    good = good_record(source_hub, stream)
    source_hub.campus.poison(stream.name, [good.entry(displayName=[QUOTED, "another"])])
    run = read(source_hub, stream)
    assert (run.metadata["extract"]["state"], run.counts.failed) == ("complete", 1)
    (aside,) = quarantine(source_hub, stream)
    assert (aside.stage, QUOTED in aside.reason, QUOTED in aside.payload) == ("read", False, True)
    assert_mirrors(source_hub, stream)
