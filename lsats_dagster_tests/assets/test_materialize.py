"""The hub as Dagster runs it: a job in this process, a real database, a campus that answers over the wire.

What fails does so alone, in words, and nothing that Dagster, the log or the run rows keep holds a secret or a row.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import make_url, text

from lsats_dagster.assets import bronze, enriched, silver
from lsats_dagster.clients import http
from lsats_dagster.database import Database
from lsats_dagster.definitions import build_definitions
from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.resources import HubDatabase, SourceClients
from lsats_dagster.settings import REQUIRED, Settings
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.conftest import new_database

KEYS = [
    *(f"{stream.layer}/{stream.table}" for stream in STREAMS),
    *(definition.name.replace(".", "/") for definition in silver.DEFINITIONS),
]
# Of these every table has a number with each run; silver has quality_mean besides.
NUMBERS = {
    "dagster/row_count", "lsats/processed", "lsats/created", "lsats/updated", "lsats/skipped", "lsats/removed",
    "lsats/failed", "lsats/watermark", "lsats/seconds",
}  # fmt: skip
UNCHANGED = {
    "raw_entities": "select count(*), max(seq) from bronze.raw_entities",
    "current_entities": "select md5(string_agg(c::text, '|' order by c::text)) from bronze.current_entities c",
    "departments": "select md5(string_agg(d::text, '|' order by d::text)) from silver.departments d",
    "tdx_departments": "select md5(string_agg(d::text, '|' order by d::text)) from silver.tdx_departments d",
    "detail_fetches": "select count(*) from meta.detail_fetches",
    "quarantine": "select count(*) from meta.quarantine",
}
PERSON = "Quillon Vantreight"
# Not one of them may be told. What a test adds is its own.
CREDENTIALS = ("TDX_BEID", "TDX_WEB_SERVICES_KEY", "TDX_USERNAME", "TDX_PASSWORD", "UM_CLIENT_KEY", "UM_CLIENT_SECRET")


@dataclass
class Dagster:
    """An ephemeral instance, a hub database and a campus, wired by environment variables as in production."""

    instance: dg.DagsterInstance
    campus: Campus
    url: str
    caplog: pytest.LogCaptureFixture
    canaries: list[str] = field(default_factory=list)

    def run(self, job: str, config: Mapping[str, Any] | None = None) -> dg.ExecuteInProcessResult:
        """A job of the hub, as it is deployed."""
        return (
            build_definitions()
            .resolve_job_def(job)
            .execute_in_process(
                instance=self.instance,
                run_config={"ops": {key.replace("/", "__"): {"config": c} for key, c in (config or {}).items()}},
                raise_on_error=False,
            )
        )

    def sql(self, statement: str) -> list[Any]:
        """Rows, or nothing, of a statement run with the rights of the server's superuser."""
        owner = Database(self.url, role=None)
        try:
            with owner.transaction() as connection:
                result = connection.execute(text(statement))
                return list(result.all()) if result.returns_rows else []
        finally:
            owner.dispose()

    def state(self) -> dict[str, Any]:
        return {name: self.sql(statement) for name, statement in UNCHANGED.items()}

    def told(self) -> str:
        """All that Dagster's storage, the log and the run rows keep, as one text."""
        parts = [record.getMessage() + repr(record.exc_info) for record in self.caplog.records]
        for run in self.instance.get_runs():
            parts.append(dg.serialize_value(run))
            parts += [dg.serialize_value(entry) for entry in self.instance.all_logs(run.run_id)]
        parts += [str(row) for row in self.sql("select to_jsonb(r) from meta.ingestion_runs r")]
        return "\n".join(parts)


@pytest.fixture
def dagster(
    server: EmbeddedPostgres, campus: Campus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    tmp_path: Any,
) -> Iterator[Dagster]:  # fmt: skip
    monkeypatch.chdir(tmp_path)  # where no .env is
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    url = new_database(server)
    for name, value in {**campus.environment, "DATABASE_URL": url}.items():
        monkeypatch.setenv(name, value)
    # A hanging source costs a test these seconds and not minutes; the pauses between tries likewise.
    for name, value in {"CONNECT": "2", "READ": "0.6", "ANSWER": "3"}.items():
        monkeypatch.setenv(f"HTTP_{name}_SECONDS", value)
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    campus.limit("tdx", 100_000, 60)
    caplog.set_level(logging.DEBUG)
    with dg.DagsterInstance.ephemeral() as instance:
        canaries = [PERSON, server.password, *(campus.environment[name] for name in CREDENTIALS)]
        yield Dagster(instance, campus, url, caplog, canaries)


@pytest.fixture
def filled(dagster: Dagster) -> Dagster:
    """After the first complete run."""
    assert dagster.run("hub_daily").success
    return dagster


def materializations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    events = result.get_asset_materialization_events()
    return {
        event.materialization.asset_key.to_user_string(): event.materialization for event in events
    }  # fmt: skip


def values(entry: Any) -> dict[str, Any]:
    return {name: value.value for name, value in entry.metadata.items()}


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Step -> its own sentence."""
    found = {}
    for event in result.all_events:
        if event.is_step_failure:
            said = event.step_failure_data.user_failure_data
            found[(event.step_key or "").replace("__", "/")] = (said.description if said else None) or "no sentence"
    return found


def skipped(result: dg.ExecuteInProcessResult) -> set[str]:
    events = (event for event in result.all_events if event.event_type_value == "STEP_SKIPPED")
    return {(event.step_key or "").replace("__", "/") for event in events}


def test_the_daily_job_fills_every_table(dagster: Dagster) -> None:
    result = dagster.run("hub_daily")
    assert result.success
    found = materializations(result)
    assert found.keys() == set(KEYS)
    for stream in STREAMS:
        truth = dagster.campus.truth(stream.name)
        told = values(found[f"{stream.layer}/{stream.table}"])
        assert told["lsats/created"] == told["lsats/processed"] == told["dagster/row_count"] == len(truth) > 0
    for key, entry in found.items():
        told = values(entry)
        wanted = NUMBERS | ({"lsats/quality_mean"} if key.startswith("silver/") else set())
        assert wanted <= told.keys(), key
        assert [
            name for name in wanted if isinstance(told[name], bool) or not isinstance(told[name], int | float)
        ] == []
        assert told["lsats/watermark"] > 0
        # What Dagster's automation compares is the watermark, which moves only with new data.
        assert entry.tags is not None
        assert entry.tags["dagster/data_version"] == str(told["lsats/watermark"])
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())
    assert {e.asset_key.to_user_string() for e in result.get_asset_check_evaluations()} == set(KEYS)


def test_run_rows_name_their_dagster_run_and_asset(dagster: Dagster) -> None:
    result = dagster.run("hub_daily")
    rows = dagster.sql(
        "select asset_key, dagster_run_id, status, error_message, run_id::text, completed_at >= started_at "
        "from meta.ingestion_runs"
    )
    assert {row[0] for row in rows} == set(KEYS)
    assert len(rows) == len(KEYS)
    assert {tuple(row[1:4]) for row in rows} == {(result.run_id, "completed", None)}
    assert all(row[5] for row in rows)
    told = {key: values(entry)["lsats/ingestion_run_id"] for key, entry in materializations(result).items()}
    assert {row[0]: row[4] for row in rows} == told


def test_a_second_run_changes_nothing(filled: Dagster) -> None:
    before = filled.state()
    versions = {k: filled.instance.get_latest_materialization_event(dg.AssetKey(k.split("/"))) for k in KEYS}
    result = filled.run("hub_daily")
    assert result.success
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
    result = filled.run("hub_daily", {key: {"dry_run": True} for key in KEYS})
    assert result.success
    assert materializations(result) == {}
    observed = {
        event.asset_observation_data.asset_observation.asset_key.to_user_string(): values(
            event.asset_observation_data.asset_observation
        )
        for event in result.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
    }
    assert observed.keys() == set(KEYS)
    assert observed["bronze/tdx_departments"]["lsats/created"] > 0
    assert "lsats/ingestion_run_id" not in observed["bronze/tdx_departments"]
    assert filled.state() == before
    assert filled.sql("select count(*) from meta.ingestion_runs") == runs


def test_a_dry_run_of_an_empty_hub_writes_nothing_at_all(dagster: Dagster) -> None:
    tables = (
        "select schemaname || '.' || relname from pg_stat_user_tables where schemaname in ('bronze', 'meta', 'silver')"
    )
    counts = {name: f"select count(*) from {name}" for (name,) in dagster.sql(tables)}
    before = {name: dagster.sql(statement) for name, statement in counts.items()}
    result = dagster.run("hub_daily", {key: {"dry_run": True} for key in KEYS})
    assert result.success
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
    assert skipped(result) == {"enriched/tdx_department_details", "silver/tdx_departments", "silver/departments"}
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    [row] = dagster.sql("select entity_type, error_message from meta.ingestion_runs where status = 'failed'")
    assert row[0] == "department"
    assert "HTTP 403" in row[1]
    assert dagster.sql("select count(*) from meta.ingestion_runs where status = 'running'") == [(0,)]


def test_missing_settings_are_named_all_at_once_and_the_other_source_works(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in REQUIRED["umich_api"][0]:
        monkeypatch.delenv(name.upper())
    result = dagster.run("hub_daily")
    sentence = failures(result)
    assert sentence.keys() == {"bronze/umapi_departments"}
    assert [n for n in REQUIRED["umich_api"][0] if n.upper() not in sentence["bronze/umapi_departments"]] == []
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
    assert result.success
    verdicts = {(e.asset_key.to_user_string(), e.check_name): e for e in result.get_asset_check_evaluations()}
    guard = verdicts["bronze/umapi_departments", "removal_guard"]
    assert not guard.passed
    assert guard.metadata["refused"].value == 60
    approved = str(values(materializations(result)["bronze/umapi_departments"])["lsats/ingestion_run_id"])
    again = filled.run("umich_api_ingest", {"bronze/umapi_departments": {"approve_removals": approved}})
    assert values(materializations(again)["bronze/umapi_departments"])["lsats/removed"] == 60


def quick_assets(monkeypatch: pytest.MonkeyPatch) -> list[dg.AssetsDefinition]:
    """The assets of all tables from their own factories, with one retry and no delay in place of minutes."""
    made: list[dg.AssetsDefinition] = []
    for module in (bronze, enriched, silver):
        monkeypatch.setattr(module, "RETRY_POLICY", dg.RetryPolicy(max_retries=1, delay=0))
    for stream in STREAMS:
        factory: Any = enriched.enriched_asset if isinstance(stream, DetailStream) else bronze.bronze_asset
        made.append(factory(stream))
    return [*made, *(silver.silver_asset(definition) for definition in silver.DEFINITIONS)]


Break = Callable[[Dagster, pytest.MonkeyPatch], None]


def wrong_key(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    dagster.canaries.append("canary-wrong-key")
    monkeypatch.setenv("TDX_WEB_SERVICES_KEY", "canary-wrong-key")


def wrong_user(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    dagster.canaries += ["canary-user", "canary-password"]
    for name, value in {"TDX_USERNAME": "canary-user", "TDX_PASSWORD": "canary-password"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TDX_BEID")


def wrong_token(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    dagster.canaries.append("Y2FuYXJ5")
    for name in ("TDX_BEID", "TDX_USERNAME"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("TDX_API_TOKEN", "Y2FuYXJ5.Y2FuYXJ5.Y2FuYXJ5")


def wrong_secret(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    dagster.canaries.append("canary-wrong-secret")
    monkeypatch.setenv("UM_CLIENT_SECRET", "canary-wrong-secret")


def secret_in_address(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    dagster.canaries.append("canary-in-address")
    monkeypatch.setenv("TDX_BASE_URL", "https://hub:canary-in-address@campus.example/api")


def every_call(kind: str, **options: float) -> Break:
    def switch_on(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
        for route in ("tdx/accounts/search", "gateway/DeptData"):
            dagster.campus.fault(route, kind, times=None, **options)

    return switch_on


def every_detail(kind: str, **options: float) -> Break:
    def switch_on(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
        dagster.campus.fault("tdx/accounts/{id}", kind, times=None, **options)

    return switch_on


def wrong_database_password(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    dagster.canaries.append("canary-database")
    url = make_url(dagster.url).set(password="canary-database")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))


def unreadable_database_url(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    dagster.canaries.append("canary-database")
    monkeypatch.setenv("DATABASE_URL", "postgresql://lsats:canary-database@127.0.0.1:port/hub")


def statement(sql: str) -> Break:
    def run(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
        dagster.sql(sql)

    return run


# The value itself stands in what Postgres says of these: in DETAIL, in CONTEXT, in the message.
QUOTING_TRIGGER = """
create function silver.refuse() returns trigger language plpgsql as
$$ begin perform new.department_name::integer; return new; end $$;
create trigger refuse before insert on silver.tdx_departments for each row execute function silver.refuse()
"""
BREAKS: dict[str, tuple[Break, set[str], str]] = {
    # what -> how, which steps fail, what their sentences say
    "wrong key": (wrong_key, {"bronze/tdx_departments"}, "TDX_BEID and TDX_WEB_SERVICES_KEY"),
    "wrong user": (wrong_user, {"bronze/tdx_departments"}, "TDX_USERNAME and TDX_PASSWORD"),
    "wrong token": (wrong_token, {"bronze/tdx_departments"}, "TDX_API_TOKEN"),
    "wrong secret": (wrong_secret, {"bronze/umapi_departments"}, "UM_CLIENT"),
    "secret in address": (secret_in_address, {"bronze/tdx_departments"}, "TDX_BASE_URL is not usable"),
    "403": (every_call("status", status=403), {"bronze/tdx_departments", "bronze/umapi_departments"}, "HTTP 403"),
    "503": (every_call("status", status=503), {"bronze/tdx_departments", "bronze/umapi_departments"}, "HTTP 503"),
    "hang": (every_call("hang"), {"bronze/tdx_departments", "bronze/umapi_departments"}, "TransientSourceError"),
    "reset": (every_call("reset"), {"bronze/tdx_departments", "bronze/umapi_departments"}, "TransientSourceError"),
    "html": (every_call("html"), {"bronze/tdx_departments", "bronze/umapi_departments"}, "without JSON"),
    "cut": (every_call("cut_json"), {"bronze/tdx_departments", "bronze/umapi_departments"}, "without JSON"),
    "detail 403": (every_detail("status", status=403), {"enriched/tdx_department_details"}, "HTTP 403"),
    "detail html": (every_detail("html"), {"enriched/tdx_department_details"}, "could not be read"),
    "database password": (
        wrong_database_password,
        {"bronze/tdx_departments", "bronze/umapi_departments"},
        "password authentication failed",
    ),
    "database address": (
        unreadable_database_url,
        {"bronze/tdx_departments", "bronze/umapi_departments"},
        "DATABASE_URL",
    ),
    "table dropped": (
        statement("drop table silver.tdx_departments cascade"),
        {"silver/tdx_departments"},
        "UndefinedTable (42P01)",
    ),
    "constraint on bronze": (
        statement(
            "alter table bronze.raw_entities add constraint refuse check (coalesce(raw_data ->> 'ManagerFullName', '') "
            f"<> '{PERSON}')"
        ),
        {"bronze/tdx_departments"},
        "CheckViolation (23514): bronze.raw_entities: refuse",
    ),
    "constraint on silver": (
        statement(
            f"alter table silver.tdx_departments add constraint refuse check (department_name not like '%{PERSON}%')"
        ),
        {"silver/tdx_departments"},
        "CheckViolation (23514): silver.tdx_departments: refuse",
    ),
    "value quoted": (statement(QUOTING_TRIGGER), {"silver/tdx_departments"}, "InvalidTextRepresentation (22P02)"),
    "definition outdated": (
        statement("update meta.silver_definitions set definition_hash = 'x' where table_name = 'tdx_departments'"),
        {"silver/tdx_departments"},
        "lsats db upgrade",
    ),
}


def plant_person(campus: Campus) -> None:
    """One account whose every text names a person, first in the order of the keys."""
    key = min(campus.truth("tdx/department"), key=int)
    campus.put("tdx/department", key, {"Name": f"Office of {PERSON}", "ManagerFullName": PERSON, "Notes": PERSON})
    key = min(campus.truth("umich_api/department"))
    campus.put("umich_api/department", key, {"DeptDescription": f"Office of {PERSON}"})


@pytest.mark.parametrize("name", BREAKS)
def test_a_failure_is_clear_and_tells_no_secret_and_no_row(
    dagster: Dagster, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    plant_person(dagster.campus)
    break_it, steps, sentence = BREAKS[name]
    monkeypatch.setenv("DETAIL_CALL_BUDGET", "10")
    break_it(dagster, monkeypatch)
    result = dg.materialize(
        quick_assets(monkeypatch),
        instance=dagster.instance,
        resources={"hub": HubDatabase(), "clients": SourceClients()},
        raise_on_error=False,
    )
    said, told = failures(result), dagster.told()
    assert [canary for canary in dagster.canaries if canary in told] == []
    assert said.keys() == steps
    assert [words for words in said.values() if sentence not in words] == []
    again = {e.step_key.replace("__", "/") for e in result.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"}
    transient = {"503", "hang", "reset", "html", "cut"}
    assert again == (steps if name in transient else set())
    # The scan is worth something: what failed is in what was told.
    assert all(step.replace("/", "__") in told for step in steps)


def test_success_tells_no_secret_and_no_row(dagster: Dagster) -> None:
    plant_person(dagster.campus)
    poison = [
        f'"{PERSON}"',
        f'{{"Name": "{PERSON}"}}',
        f'{{"ID": "x{PERSON}"}}',
        f'{{"ID": 7, "Name": "\\ud800{PERSON}"}}',
    ]
    dagster.campus.poison("tdx/department", [*poison, "null"])
    dagster.campus.poison("umich_api/department", [f'{{"DeptId": " ", "DeptDescription": "{PERSON}"}}'])
    key = max(dagster.campus.truth("tdx/department"), key=int)
    dagster.campus.poison_detail("tdx/department_detail", key, f"<p>{PERSON}</p>")
    result = dagster.run("hub_daily")
    assert result.success
    assert values(materializations(result)["bronze/tdx_departments"])["lsats/failed"] == len(poison) + 1
    assert values(materializations(result)["enriched/tdx_department_details"])["lsats/failed"] == 1
    told = dagster.told()
    assert [canary for canary in dagster.canaries if canary in told] == []
    # It is there, where it belongs.
    [kept] = dagster.sql("select count(*) from meta.quarantine where payload like '%" + PERSON + "%'")
    [stored] = dagster.sql(f"select count(*) from silver.departments where department_name like '%{PERSON}%'")
    assert (kept[0], stored[0] > 0) == (len(poison) + 1, True)


def test_run_config_cannot_carry_a_secret_and_refuses_what_it_does_not_know(dagster: Dagster) -> None:
    schema = json.dumps([sorted(c.model_json_schema()["properties"]) for c in
                         (bronze.ReadConfig, enriched.DetailConfig, silver.RefreshConfig)])  # fmt: skip
    assert not any(word in schema for word in ("password", "token", "key", "secret", "url"))
    with pytest.raises(dg.DagsterInvalidConfigError):
        dagster.run("hub_daily", {"bronze/tdx_departments": {"password": "x"}})


def test_an_approval_that_is_no_run_id_is_said_in_words(dagster: Dagster) -> None:
    result = dagster.run("umich_api_ingest", {"bronze/umapi_departments": {"approve_removals": "yes please"}})
    assert "approve_removals" in failures(result)["bronze/umapi_departments"]
