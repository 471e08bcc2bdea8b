"""A hub on an ephemeral Dagster instance, wired by environment variables as in production."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from lsats_dagster.clients import http
from lsats_dagster.database import Database
from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.sources import KINDS
from lsats_dagster.transforms.definition import Definition
from lsats_dagster_tests.hubs import FEW_KEYS, FEW_TABLES, few_definitions

# Of these every table has a number with each run; silver has quality_mean besides.
NUMBERS = {
    "dagster/row_count", "lsats/processed", "lsats/created", "lsats/updated", "lsats/skipped", "lsats/removed",
    "lsats/failed", "lsats/watermark", "lsats/seconds",
}  # fmt: skip
UNCHANGED = {
    "raw_entities": "select count(*), max(seq) from bronze.raw_entities",
    "current_entities": "select md5(string_agg(c::text, '|' order by c::text)) from bronze.current_entities c",
    "detail_fetches": "select count(*) from meta.detail_fetches",
    "quarantine": "select count(*) from meta.quarantine",
}
PERSON = "Quillon Vantreight"
# Not one of them may be told. What a test adds is its own.
CREDENTIALS = (
    "TDX_BEID", "TDX_WEB_SERVICES_KEY", "TDX_USERNAME", "TDX_PASSWORD", "UM_CLIENT_KEY", "UM_CLIENT_SECRET",
    "MCOMMUNITY_LDAP_PASSWORD", "AD_PASSWORD",
)  # fmt: skip


@dataclass
class Dagster:
    """An ephemeral instance, a hub database and a campus, wired by environment variables as in production."""

    instance: dg.DagsterInstance
    campus: Campus
    url: str
    caplog: pytest.LogCaptureFixture
    canaries: list[str] = field(default_factory=list)
    definitions: dg.Definitions = field(default_factory=few_definitions)
    tables: Iterable[Definition] = FEW_TABLES

    def run(self, job: str, config: Mapping[str, Any] | None = None) -> dg.ExecuteInProcessResult:
        """A job of the hub, as it is deployed."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            run_config={"ops": {key.replace("/", "__"): {"config": c} for key, c in (config or {}).items()}},
            raise_on_error=False,
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
        silver = {d.name: f"select md5(string_agg(t::text, '|' order by t::text)) from {d.name} t" for d in self.tables}
        return {name: self.sql(statement) for name, statement in {**UNCHANGED, **silver}.items()}

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
    server: EmbeddedPostgres, emptied_database: Callable[[], str], campus: Campus, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, tmp_path: Any,
) -> Iterator[Dagster]:  # fmt: skip
    monkeypatch.chdir(tmp_path)  # where no .env is
    for name in (name for kind in KINDS for name in kind.model_fields):
        monkeypatch.delenv(name.upper(), raising=False)
    url = emptied_database()
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


def assets_of(definitions: dg.Definitions) -> list[dg.AssetsDefinition]:
    """Every asset, to materialize some of them without a job."""
    return [asset for asset in definitions.assets or [] if isinstance(asset, dg.AssetsDefinition)]


def materializations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    events = result.get_asset_materialization_events()
    return {event.materialization.asset_key.to_user_string(): event.materialization for event in events}


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


def not_run(result: dg.ExecuteInProcessResult) -> set[str]:
    started = {(e.step_key or "").replace("__", "/") for e in result.all_events if e.event_type_value == "STEP_START"}
    return set(FEW_KEYS) - started


def observations(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    events = (event for event in result.all_events if event.event_type_value == "ASSET_OBSERVATION")
    entries = (event.asset_observation_data.asset_observation for event in events)
    return {entry.asset_key.to_user_string(): values(entry) for entry in entries}
