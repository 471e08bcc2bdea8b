"""The `lsats` command: exit codes, sentences, JSON, no traceback where users can fix it. Some tests run the installed program."""

import json
import logging
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import make_url

from lsats_dagster.cli import log_to_stderr
from lsats_dagster.cli.explain import EXAMPLE
from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.cli.aids import (
    PASSWORD,
    Lsats,
    assert_wrong_use,
    dagsters,
    environment,
    in_process,
    installed,
    rows,
    undone,
)
from lsats_dagster_tests.conftest import new_database
from lsats_dagster_tests.hubs import FEW_KEYS

COMMANDS = [
    ("demo",), ("clean",), ("dev",), ("run",), ("backfill",), ("status",), ("runs",), ("verify",), ("doctor",), ("explain",),
    ("find",), ("history",), ("quality",), ("report",), ("query",), ("quarantine",), ("quarantine", "list"),
    ("quarantine", "show"), ("quarantine", "replay"), ("db",), ("db", "upgrade"), ("db", "docs"),
]  # fmt: skip
GROUPS = {(), ("db",), ("quarantine",)}
TABLES = set(FEW_KEYS)


def commands_shown(help_text: str) -> set[str]:
    """The commands that a help page lists in its box."""
    _, _, box = help_text.partition("─ Commands ─")
    return set(re.findall(r"^│ ([a-z-]+) ", box, re.MULTILINE))


def test_help_lists_every_command(tmp_path: Path) -> None:
    for group in GROUPS:
        run = in_process if group else installed
        done = run(*group, "--help", folder=tmp_path, variables=environment(tmp_path))
        assert done.returncode == 0
        known = {path[-1] for path in COMMANDS if path[:-1] == group}
        assert commands_shown(done.stdout) == known


@pytest.mark.parametrize("path", [path for path in COMMANDS if path not in GROUPS], ids=" ".join)
def test_every_command_has_help_with_an_example(tmp_path: Path, path: tuple[str, ...]) -> None:
    done = in_process(*path, "--help", folder=tmp_path, variables=environment(tmp_path))
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    assert re.search(rf"Example: lsats {' '.join(path)}\b", said), done.stdout
    assert list(tmp_path.iterdir()) == []


def test_help_and_pages_name_the_row_that_the_demo_explains(tmp_path: Path) -> None:
    shown = in_process("explain", "--help", folder=tmp_path, variables=environment(tmp_path)).stdout
    pages = [path.read_text(encoding="utf-8") for path in [REPOSITORY / "README.md", *REPOSITORY.glob("docs/*.md")]]
    named = {found for text in [shown, *pages] for found in re.findall(r"lsats explain (\w+) (\d+)", text)}
    assert named == {EXAMPLE}


@pytest.mark.parametrize("words", [("unknown",), ("run",), ("run", "x", "--limit", "-1")], ids=" ".join)
def test_wrong_words_are_wrong_use(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = in_process(*words, folder=tmp_path, variables=environment(tmp_path))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_unknown_selection_names_jobs_and_assets(lsats_process: Lsats) -> None:
    assert_wrong_use(lsats_process("run", "tdx_ingst"), "'tdx_ingst'", "tdx_ingest", "hub_daily", *TABLES)


@pytest.mark.parametrize("words", [("run", "tdx_ingest"), ("db", "upgrade")], ids=" ".join)
def test_an_unreachable_database_is_one_sentence(lsats: Lsats, words: tuple[str, ...]) -> None:
    address = f"postgresql://lsats:{PASSWORD}@127.0.0.1:1/lsats"
    assert_wrong_use(lsats(*words, DATABASE_URL=address), "127.0.0.1", "refused")


def test_a_wrong_password_is_one_sentence(lsats: Lsats, url: str) -> None:
    address = make_url(url).set(password=PASSWORD).render_as_string(hide_password=False)
    assert_wrong_use(lsats("status", DATABASE_URL=address), "password authentication failed")


@pytest.mark.parametrize(
    "address", [f"postgresql://lsats:{PASSWORD}@127.0.0.1:port/lsats", f"lsats:{PASSWORD}@127.0.0.1"]
)
def test_an_unusable_address_is_one_sentence(lsats: Lsats, address: str) -> None:
    assert_wrong_use(lsats("status", DATABASE_URL=address), "DATABASE_URL")


def test_unusable_settings_are_one_sentence(lsats: Lsats) -> None:
    assert_wrong_use(lsats("status", BATCH_SIZE=PASSWORD, LOG_LEVEL="LOUD"), "BATCH_SIZE", "LOG_LEVEL")


def test_an_empty_database_names_the_upgrade(lsats: Lsats, server: EmbeddedPostgres) -> None:
    empty = new_database(server, template="template1")
    for words in (("run", "tdx_ingest"), ("status",)):
        assert_wrong_use(lsats(*words, DATABASE_URL=empty), "lsats db upgrade")


def test_dagsters_missing_database_is_one_sentence(lsats: Lsats, url: str) -> None:
    assert_wrong_use(lsats("run", "tdx_ingest", DAGSTER_PG_URL=dagsters(url, "no_such")), "no_such")


@pytest.mark.budget(8, "three upgrades of the whole hub, the first from nothing")
def test_upgrade_twice(lsats: Lsats, server: EmbeddedPostgres) -> None:
    empty = new_database(server, template="template1")
    first = lsats("db", "upgrade", DATABASE_URL=empty)
    assert first.returncode == 0, first.stderr
    assert "🆕 0001_schemas.sql" in first.stdout
    tables = rows(empty, "select table_name, deployed_at from meta.silver_definitions order by 1")
    second = lsats("db", "upgrade", DATABASE_URL=empty)
    assert second.returncode == 0
    assert "🆕" not in second.stdout
    assert "✅" in second.stdout
    assert json.loads(lsats("db", "upgrade", "--json", DATABASE_URL=empty).stdout)["applied"] == []
    assert rows(empty, "select table_name, deployed_at from meta.silver_definitions order by 1") == tables
    assert lsats("status", DATABASE_URL=empty).returncode == 0


def test_upgrade_takes_the_administrators_login(lsats: Lsats, server: EmbeddedPostgres) -> None:
    empty = new_database(server, template="template1")
    closed = make_url(empty).set(password=PASSWORD).render_as_string(hide_password=False)
    assert lsats("db", "upgrade", DATABASE_URL=closed, DATABASE_ADMIN_URL=empty).returncode == 0


def test_before_the_first_run(lsats: Lsats) -> None:
    assert "Nothing has run yet" in lsats("status").stdout


def test_a_dry_run_writes_nothing(lsats: Lsats, url: str) -> None:
    done = lsats("run", "hub_daily", "--dry-run")
    assert done.returncode == 0, done.stdout
    assert "🧪 dry run, nothing written" in done.stdout
    assert rows(url, "select count(*) from bronze.raw_entities") == [(0,)]
    assert rows(url, "select count(*) from meta.ingestion_runs") == [(0,)]


def test_run_status_and_verify_for_scripts(lsats: Lsats, url: str) -> None:
    done = lsats("run", "hub_daily", "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["success"], outcome["failures"]) == (True, {})
    assert outcome["tables"].keys() == TABLES
    assert outcome["tables"]["bronze/tdx_departments"]["created"] == 120
    assert outcome["tables"]["enriched/tdx_department_details"]["created"] == 120
    recorded = rows(url, "select distinct dagster_run_id from meta.ingestion_runs")
    assert recorded == [(outcome["dagster_run_id"],)]

    state = json.loads(lsats("status", "--json").stdout)
    assert {entry["name"] for entry in state} == TABLES
    assert {entry["status"] for entry in state} == {"completed"}

    verdicts = json.loads(lsats("verify", "--json").stdout)
    assert {verdict["table"] for verdict in verdicts} == {t for t in TABLES if t.startswith("silver/")}
    assert all(v["differing"] == v["missing"] == v["lingering"] == 0 < v["rows"] for v in verdicts)


@pytest.mark.budget(6, "several runs of all tables")
def test_run_and_status_for_people(lsats_process: Lsats) -> None:
    done = lsats_process("run", "group:umich_api")
    assert done.returncode == 0, done.stderr
    for word in ("📊 Summary", "bronze/umapi_departments", "110", "🎉 Completed"):
        assert word in done.stdout
    # Progress and the closing block of each table are log lines.
    for mark in ("🔄 bronze/umapi_departments", "🆕", "📝", "⏭️", "📊", "🎉", " - INFO - "):
        assert mark in done.stderr
    said = lsats_process("status").stdout
    assert "bronze/umapi_departments" in said
    # Each table has one name, in the log too.
    assert re.findall(r"umich_api/department|silver_transformation|silver[.]", done.stdout + done.stderr + said) == []
    assert "✅" in said


def test_the_log_level_holds_while_assets_run(lsats_process: Lsats) -> None:
    done = lsats_process("run", "bronze/umapi_departments", LOG_LEVEL="ERROR")
    assert (done.returncode, done.stderr) == (0, "")


def test_verify_finds_a_wrong_row(lsats: Lsats, url: str) -> None:
    assert lsats("run", "umich_api_ingest").returncode == 0
    rows(url, "update silver.umapi_departments set dept_group = 'elsewhere' where dept_id = (select min(dept_id) "
         "from silver.umapi_departments) returning 1")  # fmt: skip
    done = lsats("verify", "umapi_departments")
    assert done.returncode == 1
    assert "umapi_departments" in done.stdout
    assert_wrong_use(lsats("verify", "umapi_departmnts"), "umapi_departmnts", "did you mean silver/umapi_departments")


def test_a_source_without_settings_fails_alone(lsats: Lsats) -> None:
    names = ("UM_BASE_URL", "UM_CATEGORY_ID", "UM_CLIENT_KEY", "UM_CLIENT_SECRET")
    done = lsats("run", "hub_daily", **dict.fromkeys(names))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    # Long sentences are broken over lines.
    said = " ".join(done.stdout.split())
    assert [name for name in names if name not in said] == []
    assert "silver/tdx_departments" in said.partition("❌")[0]
    assert "❌ Failed" in done.stdout


@pytest.mark.parametrize("words", [("run", "hub_daily"), ("backfill", "tdx")], ids=" ".join)
def test_without_any_source_that_is_set_up_nothing_is_begun(
    lsats: Lsats, url: str, campus: Campus, words: tuple[str, ...]
) -> None:
    names = ["TDX_BASE_URL", "TDX_BEID"] + (["UM_BASE_URL", "UM_CLIENT_SECRET"] if "hub_daily" in words else [])
    assert_wrong_use(lsats(*words, **dict.fromkeys(campus.environment)), *names)
    assert rows(url, "select count(*) from meta.ingestion_runs") == [(0,)]


def test_a_run_that_fails_says_what_failed_and_what_was_not_run(lsats: Lsats, campus: Campus) -> None:
    campus.fault("tdx/accounts/search", "status", times=None, status=403)
    done = lsats("run", "hub_daily", "--json")
    assert done.returncode == 1
    outcome = json.loads(done.stdout)
    assert outcome["success"] is False
    assert outcome["tables"].keys() == {"bronze/umapi_departments", "silver/umapi_departments"}
    assert "HTTP 403" in outcome["failures"]["bronze/tdx_departments"]
    assert "❌" in done.stderr
    missing = {"enriched/tdx_department_details", "silver/tdx_departments", "silver/departments"}
    assert set(outcome["skipped"]) == missing


def test_the_limit_holds_for_records(lsats: Lsats) -> None:
    done = lsats("run", "bronze/tdx_departments", "--limit", "7", "--json")
    outcome = json.loads(done.stdout)
    assert outcome["failures"] == {}
    assert outcome["tables"]["bronze/tdx_departments"]["processed"] == 7


def test_the_limit_holds_for_calls(lsats: Lsats) -> None:
    assert lsats("run", "bronze/tdx_departments").returncode == 0
    for limit in (5, 0):
        done = lsats("run", "enriched/tdx_department_details", "--limit", str(limit), "--json")
        assert json.loads(done.stdout)["tables"]["enriched/tdx_department_details"]["processed"] == limit


def test_a_failed_run_has_a_row_per_table_and_is_not_tried_again_where_a_person_waits(
    lsats: Lsats, campus: Campus
) -> None:
    campus.fault("gateway/DeptData", "html", times=None)
    done = lsats("run", "umich_api_ingest", "--no-retry")
    assert done.returncode == 1
    assert re.search(r"❌ bronze/umapi_departments +failed", done.stdout)
    assert re.search(r"⏭️ +silver/umapi_departments +not run", done.stdout)
    assert "tried 1 time; the next run may do better" in done.stdout
    assert done.stdout.count("HTTP 200 without JSON") == 1
    # Each pause of a call says the reason, which try, and how long.
    assert re.search(r"HTTP 200 without JSON.*; try 2 of 3 in [1-9]\d* s", done.stderr)
    assert "try 2 of 4" not in done.stderr


def test_an_approval_that_is_no_run_id_is_wrong_use(lsats: Lsats) -> None:
    assert_wrong_use(lsats("run", "umich_api_ingest", "--approve-removals", "all"), "all", "run id")


@pytest.mark.parametrize(
    ("variable", "own_database"), [("LSATS_HOME", True), ("LSATS_HOME", False), ("DAGSTER_HOME", True)]
)
def test_a_home_that_cannot_be_written_is_one_sentence(
    lsats: Lsats, tmp_path: Path, variable: str, own_database: bool
) -> None:
    """A file stands where the folder should be: no account can make a folder in it, root included."""
    (tmp_path / "file").write_text("")
    changes: dict[str, str | None] = {} if own_database else {"DATABASE_URL": None}
    done = lsats("status", **{variable: str(tmp_path / "file" / "home")}, **changes)
    assert_wrong_use(done, variable, os.fspath(tmp_path / "file"))


def test_dagsters_variables_count_in_the_file(lsats: Lsats, url: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"DAGSTER_PG_URL={dagsters(url, 'no_such')}\nDAGSTER_HOME=elsewhere\n")
    assert_wrong_use(lsats("run", "tdx_ingest"), "no_such")
    assert (tmp_path / "elsewhere" / "dagster.yaml").exists()


def test_docs_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    words = ("db", "docs", "--folder", str(tmp_path / "pages"))
    done = in_process(*words, folder=tmp_path, variables=environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "pages").iterdir()} >= {"README.md", "departments.md"}


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (("run", "bronze/tdx_departments", "--since", "2026-01-31T08:00:00"), "with a zone"),
        (("run", "bronze/tdx_departments", "--since", "2026-01-31T08:00:00-05:00"), "leave out --since"),
        (("backfill", "tdx", "--since", "2026-01-31T08:00:00-05:00"), "leave out --since"),
    ],
)
def test_since_is_refused_where_nothing_can_tell(lsats: Lsats, command: tuple[str, ...], word: str) -> None:
    assert_wrong_use(lsats(*command), word)


def test_log_lines_show_the_time_of_the_university() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    log = logging.getLogger("lsats_dagster")
    with undone():
        log_to_stderr("INFO")
        line = log.handlers[-1].format(logging.makeLogRecord({"msg": "read", "created": moment, "msecs": 0.0}))
    assert line.startswith("2026-01-01 22:04:05,000 - ")
