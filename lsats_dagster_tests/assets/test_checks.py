"""Checks without a whole run: those asked for alone, and those of a dry run, are the last whole run's, as they were."""

import re
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import make_url

from lsats_dagster_tests.assets.conftest import Dagster, assets_of, failures, materializations, values

ONE_OF_EACH_LAYER = {
    "bronze/umapi_departments": "removal_guard",
    "enriched/tdx_department_details": "integrity",
    "silver/departments": "quality",
}
RUN_ROWS = "select count(*) from meta.ingestion_runs"
NUMBERS = {
    "integrity": r"(?P<dangling>\d+) references in (?P<rows>\d+) present rows lead nowhere, at most (?P<limit>\d+) may ",
    "quality": r"mean quality score (?P<mean>0\.\d+) of (?P<rows>\d+) present rows, at least (?P<limit>0\.7);",
    "volume": (
        r"(?P<rows>\d+) present rows, .*; attributes was emptied in (?P<lost>\d+) of (?P<before>\d+) rows, "
        r"at most (?P<may>\d+) may be$"
    ),
}


def evaluate(dagster: Dagster, key: str, check: str) -> dg.ExecuteInProcessResult:
    """A run of one check alone, as the button of its page starts it."""
    asset = dg.AssetKey(key.split("/"))
    return run_alone(dagster, dg.AssetSelection.checks(dg.AssetCheckKey(asset, check)))


def run_alone(dagster: Dagster, checks: dg.AssetSelection) -> dg.ExecuteInProcessResult:
    """A run of these checks and of no table."""
    hub, job = dagster.definitions, dg.define_asset_job("checks", checks)
    alone = dg.Definitions(assets=assets_of(hub), jobs=[job], resources=hub.resources)
    return alone.resolve_job_def("checks").execute_in_process(instance=dagster.instance, raise_on_error=False)


def verdicts(result: dg.ExecuteInProcessResult, key: str) -> dict[str, Any]:
    return {
        found.check_name: (found.passed, values(found))
        for found in result.get_asset_check_evaluations()
        if found.asset_key.to_user_string() == key
    }


@pytest.mark.engine
@pytest.mark.parametrize(("key", "check"), ONE_OF_EACH_LAYER.items())
def test_a_check_alone_is_that_of_the_last_whole_run(dagster: Dagster, key: str, check: str) -> None:
    before = dagster.state(), dagster.sql(RUN_ROWS)
    dagster.campus.reset_calls()
    result = evaluate(dagster, key, check)
    assert result.success, failures(result)
    assert verdicts(result, key) == {}, "nothing ran yet"
    assert (dagster.state(), dagster.sql(RUN_ROWS)) == before

    whole = verdicts(dagster.run("hub_daily"), key)
    dagster.campus.live_one_day()
    dagster.campus.reset_calls()
    before = dagster.state(), dagster.sql(RUN_ROWS)
    result = evaluate(dagster, key, check)
    assert result.success, failures(result)
    assert verdicts(result, key) == {check: whole[check]}
    assert (materializations(result), dagster.campus.calls()) == ({}, {})
    assert (dagster.state(), dagster.sql(RUN_ROWS)) == before


def test_what_a_failed_check_of_silver_says_holds_its_numbers(filled: Dagster) -> None:
    """How many, of how many, and the limit: in its sentence, and in its metadata as the same numbers."""
    blank: dict[str, Any] = dict.fromkeys(("Name", "Code", "City", "StateAbbr", "PostalCode", "Country", "Phone"), "")
    accounts = sorted(filled.campus.truth("tdx/department"))
    for account in accounts:
        fields = {**blank, "ParentID": 999_999, "ManagerUID": "none", "CreatedDate": "?", "Attributes": []}
        filled.campus.put("tdx/department_detail", account, fields)
    key = "silver/tdx_departments"
    found = {
        check.check_name: check
        for check in filled.run("tdx_ingest").get_asset_check_evaluations()
        if check.asset_key.to_user_string() == key
    }
    said = {name: re.match(sentence, found[name].description or "") for name, sentence in NUMBERS.items()}
    assert [found[name].description for name, match in said.items() if match is None] == []
    told = {
        name: {what: float(number) for what, number in match.groupdict().items()}
        for name, match in said.items()
        if match
    }
    numbers = {name: values(check) for name, check in found.items()}
    assert not any(check.passed for check in found.values())
    for name in ("integrity", "quality"):
        assert told[name] == {what: numbers[name][what] for what in told[name]}
    assert told["integrity"]["dangling"] > told["integrity"]["limit"] == int(0.02 * len(accounts))
    assert told["quality"]["mean"] < told["quality"]["limit"]
    lost, may = numbers["volume"]["rows that lost attributes"], numbers["volume"]["rows that may lose attributes"]
    assert (told["volume"]["lost"], told["volume"]["may"]) == (lost, may)
    assert told["volume"]["before"] >= lost > may == 10
    frequent = re.findall(r"(\w+) (\d+)(?:, |$)", (found["quality"].description or "").partition("flags: ")[2])
    assert len(frequent) == 3
    assert [int(number) for _, number in frequent] == [numbers["quality"][f"rows with {flag}"] for flag, _ in frequent]


def test_a_dry_run_leaves_a_red_check_red(filled: Dagster) -> None:
    key = "bronze/umapi_departments"
    for gone in sorted(filled.campus.truth("umich_api/department"))[:60]:
        filled.campus.delete("umich_api/department", gone)
    red = verdicts(filled.run("umich_api_ingest"), key)
    assert not red["removal_guard"][0]
    dry = filled.run("umich_api_ingest", {key: {"dry_run": True}, "silver/umapi_departments": {"dry_run": True}})
    assert dry.success, failures(dry)
    assert verdicts(dry, key) == red
    assert materializations(dry) == {}


def test_a_read_of_a_part_leaves_a_red_check_red(filled: Dagster) -> None:
    """It judges no removals, so that the check stands as the last whole read left it."""
    key = "bronze/umapi_departments"
    for gone in sorted(filled.campus.truth("umich_api/department"))[:60]:
        filled.campus.delete("umich_api/department", gone)
    red = verdicts(filled.run("umich_api_ingest"), key)
    part = filled.run("umich_api_ingest", {key: {"limit": 7}})
    assert part.success, failures(part)
    assert verdicts(part, key).get("removal_guard") == red["removal_guard"]


def test_a_check_alone_that_finds_no_database_fails_with_its_sentence(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(dagster.url).set(database="not_there").render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    said = failures(evaluate(dagster, "silver/departments", "quality"))["silver/departments"]
    assert said.startswith("DatabaseError: ")
    assert "another try does not help" in said
