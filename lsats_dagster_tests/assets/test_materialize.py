"""A hub as Dagster runs it: a job in this process, a real database, a campus that answers over the wire."""

import json
from dataclasses import replace

import dagster as dg
import pytest

from lsats_dagster.assets.silver import RefreshConfig, silver_asset
from lsats_dagster.assets.streams import ChangesConfig, DetailConfig, ReadConfig
from lsats_dagster.automation.jobs import BackfillConfig
from lsats_dagster.resources import HubDatabase, SourceClients
from lsats_dagster.sources import umich_api
from lsats_dagster_tests.assets.conftest import (
    Dagster,
    assets_of,
    failures,
    materializations,
    not_run,
    observations,
    values,
)
from lsats_dagster_tests.hubs import FEW_KEYS, FEW_TABLES


def test_a_table_whose_lineage_cannot_be_told_is_not_written(dagster: Dagster) -> None:
    definition = next(d for d in FEW_TABLES if d.table == "umapi_departments")
    select = definition.select.replace("bronze.umapi_departments d", "(select * from bronze.umapi_departments) d")
    assert select != definition.select
    asset = silver_asset(replace(definition, select=select), set())
    result = dg.materialize([asset], instance=dagster.instance, resources={"hub": HubDatabase()}, raise_on_error=False)
    (message,) = failures(result).values()
    assert "umapi_departments.sql: the origin of a column cannot be found" in message
    assert dagster.sql("select status from meta.ingestion_runs") == [("failed",)]


def test_run_rows_name_their_dagster_run_and_asset(dagster: Dagster) -> None:
    result = dagster.run("hub_daily")
    rows = dagster.sql(
        "select asset_key, dagster_run_id, status, error_message, run_id::text, completed_at >= started_at "
        "from meta.ingestion_runs"
    )
    assert {row[0] for row in rows} == set(FEW_KEYS)
    assert len(rows) == len(FEW_KEYS)
    assert {tuple(row[1:4]) for row in rows} == {(result.run_id, "completed", None)}
    assert all(row[5] for row in rows)
    told = {key: values(entry)["lsats/ingestion_run_id"] for key, entry in materializations(result).items()}
    assert {row[0]: row[4] for row in rows} == told


def test_a_second_run_changes_nothing(filled: Dagster) -> None:
    before = filled.state()
    versions = {k: filled.instance.get_latest_materialization_event(dg.AssetKey(k.split("/"))) for k in FEW_KEYS}
    result = filled.run("hub_daily")
    assert result.success, failures(result)
    assert filled.state() == before
    for key, entry in materializations(result).items():
        told = values(entry)
        assert (told["lsats/created"], told["lsats/updated"], told["lsats/removed"], told["lsats/failed"]) == (
            0,
            0,
            0,
            0,
        )
        earlier = versions[key]
        assert earlier is not None
        assert earlier.asset_materialization is not None
        assert entry.tags is not None
        assert earlier.asset_materialization.tags is not None
        assert entry.tags["dagster/data_version"] == earlier.asset_materialization.tags["dagster/data_version"]


def test_a_change_at_the_source_moves_the_versions_it_reaches(filled: Dagster) -> None:
    key = min(filled.campus.truth("umich_api/department"))
    filled.campus.put("umich_api/department", key, {"DeptDescription": "Renamed"})
    result = filled.run("hub_daily")
    updated = {k for k, entry in materializations(result).items() if values(entry)["lsats/updated"]}
    assert updated == {"bronze/umapi_departments", "silver/umapi_departments", "silver/departments"}


def test_a_dry_run_is_observed_and_writes_nothing(filled: Dagster) -> None:
    filled.campus.live_one_day()
    before, runs = filled.state(), filled.sql("select count(*) from meta.ingestion_runs")
    result = filled.run("hub_daily", {key: {"dry_run": True} for key in FEW_KEYS})
    assert result.success, failures(result)
    assert materializations(result) == {}
    observed = observations(result)
    # What stands after a table that was not really read has nothing new to look at.
    assert observed.keys() | not_run(result) == set(FEW_KEYS)
    assert {key for key in FEW_KEYS if key.startswith("bronze/")} <= observed.keys()
    assert observed["bronze/tdx_departments"]["lsats/created"] > 0
    assert "lsats/ingestion_run_id" not in observed["bronze/tdx_departments"]
    assert filled.state() == before
    assert filled.sql("select count(*) from meta.ingestion_runs") == runs
    # The checks of the last whole run still stand.
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())
    assert {e.asset_key.to_user_string() for e in result.get_asset_check_evaluations()} == observed.keys()


@pytest.mark.budget(6, "a run of each asset alone")
def test_a_dry_run_of_one_table_is_observed(filled: Dagster) -> None:
    before = filled.state()
    for key in FEW_KEYS:
        result = dg.materialize(
            assets_of(filled.definitions),
            selection=[dg.AssetKey(key.split("/"))],
            instance=filled.instance,
            resources={"hub": HubDatabase(), "clients": SourceClients()},
            run_config={"ops": {key.replace("/", "__"): {"config": {"dry_run": True}}}},
            raise_on_error=False,
        )
        assert result.success, failures(result)
        assert observations(result).keys() == {key}
        assert (materializations(result), filled.state()) == ({}, before)


def test_a_dry_run_of_an_empty_hub_writes_nothing_at_all(dagster: Dagster) -> None:
    tables = (
        "select schemaname || '.' || relname from pg_stat_user_tables where schemaname in ('bronze', 'meta', 'silver')"
    )
    counts = {name: f"select count(*) from {name}" for (name,) in dagster.sql(tables)}
    before = {name: dagster.sql(statement) for name, statement in counts.items()}
    result = dagster.run("hub_daily", {key: {"dry_run": True} for key in FEW_KEYS})
    assert result.success, failures(result)
    assert {name: dagster.sql(statement) for name, statement in counts.items()} == before


def test_a_source_that_refuses_fails_alone(dagster: Dagster) -> None:
    dagster.campus.fault("tdx/accounts/search", "status", times=None, status=403)
    result = dagster.run("hub_daily")
    assert not result.success
    sentence = failures(result)
    assert sentence.keys() == {"bronze/tdx_departments"}
    for word in ("PermanentSourceError", "accounts/search", "HTTP 403", "another try does not help"):
        assert word in sentence["bronze/tdx_departments"]
    assert materializations(result).keys() == {"bronze/umapi_departments", "silver/umapi_departments"}
    assert not_run(result) == {"enriched/tdx_department_details", "silver/tdx_departments", "silver/departments"}
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    [row] = dagster.sql("select entity_type, error_message from meta.ingestion_runs where status = 'failed'")
    assert row[0] == "department"
    assert "HTTP 403" in row[1]
    assert dagster.sql("select count(*) from meta.ingestion_runs where status = 'running'") == [(0,)]


def test_missing_settings_are_named_all_at_once_and_the_other_source_works(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    (needed,) = umich_api.SOURCE.settings.ways
    for name in needed:
        monkeypatch.delenv(name.upper())
    result = dagster.run("hub_daily")
    sentence = failures(result)
    assert sentence.keys() == {"bronze/umapi_departments"}
    assert [n for n in needed if n.upper() not in sentence["bronze/umapi_departments"]] == []
    assert {"bronze/tdx_departments", "enriched/tdx_department_details", "silver/tdx_departments"} == set(
        materializations(result)
    )


def test_without_a_database_every_step_says_so(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    said = failures(dagster.run("hub_daily"))
    assert said.keys() == {"bronze/tdx_departments", "bronze/umapi_departments"}
    assert all("DATABASE_URL not set" in sentence for sentence in said.values())


def test_a_lower_number_of_rows_is_seen_and_guarded(filled: Dagster) -> None:
    """A source that suddenly shows half of its records removes nothing, and two checks turn red."""
    for key in sorted(filled.campus.truth("umich_api/department"))[:60]:
        filled.campus.delete("umich_api/department", key)
    result = filled.run("umich_api_ingest")
    assert result.success, failures(result)
    verdicts = {(e.asset_key.to_user_string(), e.check_name): e for e in result.get_asset_check_evaluations()}
    guard = verdicts["bronze/umapi_departments", "removal_guard"]
    assert not guard.passed
    assert guard.metadata["refused"].value == 60
    approved = str(values(materializations(result)["bronze/umapi_departments"])["lsats/ingestion_run_id"])
    again = filled.run("umich_api_ingest", {"bronze/umapi_departments": {"approve_removals": approved}})
    assert values(materializations(again)["bronze/umapi_departments"])["lsats/removed"] == 60


def test_a_limited_read_is_partial_and_removes_nothing(filled: Dagster) -> None:
    result = filled.run("umich_api_ingest", {"bronze/umapi_departments": {"limit": 7}})
    assert result.success, failures(result)
    told = values(materializations(result)["bronze/umapi_departments"])
    assert (told["lsats/processed"], told["lsats/removed"], told["lsats/extract"]) == (7, 0, "partial")


def test_run_config_cannot_carry_a_secret_and_refuses_what_it_does_not_know(dagster: Dagster) -> None:
    schema = json.dumps([sorted(c.model_json_schema()["properties"]) for c in
                         (ReadConfig, ChangesConfig, DetailConfig, RefreshConfig, BackfillConfig)])  # fmt: skip
    assert not any(word in schema for word in ("password", "token", "key", "secret", "url"))
    with pytest.raises(dg.DagsterInvalidConfigError):
        dagster.run("hub_daily", {"bronze/tdx_departments": {"password": "x"}})


def test_an_approval_that_is_no_run_id_is_said_in_words(dagster: Dagster) -> None:
    result = dagster.run("umich_api_ingest", {"bronze/umapi_departments": {"approve_removals": "yes please"}})
    assert "approve_removals" in failures(result)["bronze/umapi_departments"]


def test_an_approval_of_a_run_that_refused_nothing_fails_the_step(filled: Dagster) -> None:
    [(run_id,)] = filled.sql(
        "select run_id::text from meta.ingestion_runs where asset_key = 'bronze/umapi_departments'"
    )
    filled.campus.reset_calls()
    result = filled.run("umich_api_ingest", {"bronze/umapi_departments": {"approve_removals": run_id}})
    said = failures(result)["bronze/umapi_departments"]
    assert f"approve_removals names run {run_id}, which refused no removal" in said
    assert "another try does not help" in said
    assert filled.campus.calls() == {}
