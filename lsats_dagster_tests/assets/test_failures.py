"""Every kind of failure is clear, and nothing that is kept of it holds a secret or a row."""

import logging
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import make_url

from lsats_dagster.assets import common
from lsats_dagster.clients.errors import PermanentSourceError, TransientSourceError
from lsats_dagster.database import Database
from lsats_dagster.demo.campus import Campus
from lsats_dagster.ingestion.stream import UnprovenReadError
from lsats_dagster.resources import HubDatabase, SourceClients
from lsats_dagster.runs import Origin, Subject, close_run, newest_run, open_run, record_failure, sole_writer
from lsats_dagster_tests.assets.conftest import PERSON, Dagster, assets_of, failures, materializations, values
from lsats_dagster_tests.automation.aids import wait_until
from lsats_dagster_tests.hubs import few_definitions


def quick_assets(monkeypatch: pytest.MonkeyPatch) -> list[dg.AssetsDefinition]:
    """The assets of all tables, with one retry and no delay in place of minutes."""
    monkeypatch.setattr(common, "RETRIES", dg.RetryPolicy(max_retries=1, delay=0))
    return assets_of(few_definitions())


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


def every_call(kind: str, **options: Any) -> Break:
    def switch_on(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
        for route in ("tdx/accounts/search", "gateway/DeptData"):
            dagster.campus.fault(route, kind, times=None, **options)

    return switch_on


def every_detail(kind: str, **options: Any) -> Break:
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
    "secret in address": (secret_in_address, {"bronze/tdx_departments"}, "TDX_BASE_URL: must be an https address"),
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
    again = {
        (e.step_key or "").replace("__", "/") for e in result.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"
    }
    transient = {"503", "hang", "reset", "html", "cut"}
    assert again == (steps if name in transient else set())
    # The scan is worth something: what failed is in what was told.
    assert all(step.replace("/", "__") in told for step in steps)


@pytest.mark.parametrize(
    ("error", "retry", "retries_made", "said"),
    [
        (TransientSourceError("HTTP 503"), True, 0, "it is tried again"),
        (TransientSourceError("HTTP 503"), True, 3, "tried 4 times"),
        (PermanentSourceError("HTTP 403"), False, 0, "does not help before its cause is fixed"),
        (UnprovenReadError("pages moved"), False, 0, "the next run reads it all again"),
    ],
)
def test_a_failure_says_whether_another_try_can_help(
    error: Exception, retry: bool, retries_made: int, said: str
) -> None:
    assert said in common.outlook(error, retry, retries_made, most=3)


def test_a_run_that_cannot_begin_has_its_row(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that another holds the lock of waits once, as long as it is told to, and names the holder."""
    monkeypatch.setenv("LOCK_WAIT_SECONDS", "0.2")
    made = quick_assets(monkeypatch)
    with sole_writer(Database(dagster.url), Subject("tdx", "department"), wait_seconds=0):
        result = dg.materialize(
            made,
            instance=dagster.instance,
            resources={"hub": HubDatabase(), "clients": SourceClients()},
            raise_on_error=False,
        )
    assert "bronze/tdx_departments" in failures(result)
    assert [e for e in result.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"] == []
    rows = dagster.sql(
        "select status, mode, error_message like '%bronze/tdx_departments is being written by another run%' "
        "from meta.ingestion_runs "
        "where asset_key = 'bronze/tdx_departments'"
    )
    assert rows == [("failed", "full", True)]


def test_the_wait_for_a_next_try_can_be_ended(dagster: Dagster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "RETRIES", dg.RetryPolicy(max_retries=1, delay=20))
    dagster.campus.fault("gateway/DeptData", "html", times=None)
    main = threading.get_ident()

    def interrupt_the_wait() -> None:
        wait_until(lambda: sys._current_frames()[main].f_code is common.guarded.__code__, "the wait")
        signal.pthread_kill(main, signal.SIGINT)

    class Announced(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            threading.Thread(target=interrupt_the_wait, daemon=True).start()

    handler = Announced()
    common.logger.addHandler(handler)
    try:
        assert not dagster.run("umich_api_ingest").success
    finally:
        common.logger.removeHandler(handler)
    # There was no second try.
    assert dagster.sql("select count(*) from meta.ingestion_runs where status = 'failed'") == [(1,)]


def test_the_state_of_a_table_is_that_of_the_run_that_ended_last(dagster: Dagster) -> None:
    """One that waited in vain is opened later than the run that held the lock, and closed earlier."""
    database, asked_by = Database(dagster.url), Origin("bronze/tdx_departments", "waiting")
    subject = Subject("tdx", "department")
    with sole_writer(database, subject, wait_seconds=0) as connection:
        run = open_run(connection, subject, "full", Origin(), {})
        record_failure(database, subject, "full", asked_by, ValueError(), behind=newest_run(database, subject))
        state = "select status from meta.current_ingestion_status"
        assert dagster.sql(state) == [("running",)]
        close_run(connection, run)
        connection.commit()
        assert dagster.sql(state) == [("completed",)]
    # A step's own row speaks for it, however long ago it was opened, and not for its next try.
    record_failure(database, subject, "full", asked_by, ValueError(), behind=0)
    assert dagster.sql("select count(*) from meta.ingestion_runs") == [(2,)]
    record_failure(database, subject, "full", asked_by, ValueError(), behind=newest_run(database, subject))
    assert dagster.sql("select count(*) from meta.ingestion_runs") == [(3,)]
    database.dispose()


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
    assert result.success, failures(result)
    assert values(materializations(result)["bronze/tdx_departments"])["lsats/failed"] == len(poison) + 1
    assert values(materializations(result)["enriched/tdx_department_details"])["lsats/failed"] == 1
    told = dagster.told()
    assert [canary for canary in dagster.canaries if canary in told] == []
    # It is there, where it belongs.
    [kept] = dagster.sql("select count(*) from meta.quarantine where payload like '%" + PERSON + "%'")
    [stored] = dagster.sql(f"select count(*) from silver.departments where department_name like '%{PERSON}%'")
    assert (kept[0], stored[0] > 0) == (len(poison) + 1, True)
