"""The commands of those who operate the hub: backfill, quarantine, explain; and queries for analysts."""

import json
import re

import pandas as pd
import pytest

from lsats_dagster.cli.quarantine import in_words
from lsats_dagster.database import DatabaseError
from lsats_dagster.demo.campus import Campus
from lsats_dagster.resources import HubDatabase
from lsats_dagster_tests.automation.aids import Operation
from lsats_dagster_tests.cli.aids import Lsats, assert_wrong_use, rows

CANARY = "canary-of-a-secret"


@pytest.mark.budget(6, "three backfills through to the merged table")
def test_backfill_for_scripts_and_people(lsats: Lsats, url: str, campus: Campus) -> None:
    done = lsats("backfill", "tdx", "--budget", "5", "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["success"] is True
    assert outcome["tables"]["enriched/tdx_department_details"]["processed"] == 5
    assert "silver/departments" in outcome["tables"]
    assert rows(url, "select count(*) from meta.detail_fetches") == [(5,)]
    done = lsats("backfill", "tdx", "--budget", "5")
    left = len(campus.truth("tdx/department")) - 10
    for said in (done.stdout, lsats("status").stdout):
        assert re.search(rf"{left} details are left; at this pace until [-\d]{{10}} \d\d:\d\d$", said, re.MULTILINE)
        assert "   -> lsats backfill tdx" in said.splitlines()
    campus.fault("tdx/accounts/search", "status", times=None, status=403)
    dry = lsats("backfill", "tdx", "--full", "--dry-run")
    assert (dry.returncode, "nothing written" in dry.stdout, "HTTP 403" in dry.stdout) == (1, True, True)


def test_backfill_refuses_what_it_cannot_mean(lsats: Lsats) -> None:
    assert_wrong_use(lsats("backfill", "tdxx"), "tdxx", "umich_api")
    assert_wrong_use(lsats("backfill", "tdx", "--approve-removals", "all"), "all", "run id")
    assert lsats("backfill", "tdx", "--budget", "-1").returncode == 2


def test_quarantine_shows_contents_only_when_asked(lsats: Lsats, operation: Operation) -> None:
    operation.campus.poison("umich_api/department", [f'{{"DeptDescription": "{CANARY}"}}'])
    assert operation.materialize("bronze/umapi_departments").success
    listed = lsats("quarantine", "list", "--json")
    (entry,) = json.loads(listed.stdout)
    assert (entry["stream"], entry["stage"], entry["resolution"]) == ("bronze/umapi_departments", "key", None)
    table = lsats("quarantine", "list")
    assert entry["quarantine_id"] in table.stdout
    assert CANARY not in listed.stdout + listed.stderr + table.stdout + table.stderr
    shown = lsats("quarantine", "show", entry["quarantine_id"])
    assert json.loads(shown.stdout)["DeptDescription"] == CANARY, shown.stderr
    assert lsats("quarantine", "show", entry["run_id"]).returncode == 1
    assert_wrong_use(lsats("quarantine", "show", "first"), "first", "lsats quarantine list")

    # It is still bad: it stays where it is.
    done = lsats("quarantine", "replay", "umich_api/department", "--json")
    assert json.loads(done.stdout) == {"bronze/umapi_departments": {"replayed": 0, "written": 0, "left": 1}}
    assert operation.sql("select count(*) from meta.quarantine where resolved_at is null") == [(1,)]
    told = lsats("quarantine", "replay", "umich_api/department").stdout
    assert told == "⚠️ bronze/umapi_departments: 1 record stays, as bad as before\n"
    # Tables of which nothing is quarantined need no line.
    assert lsats("quarantine", "replay").stdout == told
    assert_wrong_use(lsats("quarantine", "replay", "umich/department"), "umich/department", "bronze/umapi_departments")
    assert_wrong_use(lsats("quarantine", "replay", "department"), "silver/departments", "bronze or enriched")
    # Gone from the source, it is resolved, and no longer shown unless asked for.
    operation.campus.poison("umich_api/department", [])
    assert operation.materialize("bronze/umapi_departments").success
    assert "Nothing is quarantined" in lsats("quarantine", "list").stdout
    (entry,) = json.loads(lsats("quarantine", "list", "--all", "--json").stdout)
    assert entry["resolution"] == "superseded"


def test_a_replay_says_what_silver_needs_to_follow(lsats: Lsats, operation: Operation) -> None:
    """Two records that a rule of before could not convert; the rule is fixed since."""
    assert operation.run("umich_api_ingest").success
    for key in ("990001", "990002"):
        operation.sql(
            "insert into meta.quarantine (source_system, entity_type, external_id, stage, reason, payload, payload_hash, "
            "run_id) select source_system, entity_type, :key, 'convert', 'too long', "
            "jsonb_build_object('DeptId', cast(:key as text))::text, decode(:key, 'hex'), run_id "
            "from meta.ingestion_runs where (source_system, entity_type) = ('umich_api', 'department') limit 1",
            key=key,
        )
        done = lsats("quarantine", "replay", *(["--json"] if key == "990001" else []))
        assert done.returncode == 0, done.stderr
        if key == "990001":
            said = json.loads(done.stdout)
            told = {"replayed": 1, "written": 1, "left": 0, "next": "lsats run silver_refresh"}
            assert said.pop("bronze/umapi_departments") == told
            assert all(figures == {"replayed": 0, "written": 0, "left": 0} for figures in said.values())
    assert done.stdout.splitlines() == [
        "✅ bronze/umapi_departments: 1 record replayed and written",
        "⏭️ Silver follows with `lsats run silver_refresh`, or with the next nightly run",
    ]
    # The newest read is still the one of the whole list.
    read = {entry["name"]: entry["records_processed"] for entry in json.loads(lsats("status", "--json").stdout)}
    assert read["bronze/umapi_departments"] == len(operation.campus.truth("umich_api/department"))
    assert operation.run("silver_refresh").success
    assert operation.sql("select count(*) from silver.umapi_departments where dept_id like '99000_'") == [(2,)]
    assert lsats("quarantine", "replay").stdout == "✅ Nothing is quarantined\n"
    named = lsats("quarantine", "replay", "bronze/umapi_departments").stdout
    assert named == "✅ bronze/umapi_departments: nothing is quarantined\n"


@pytest.mark.parametrize(
    ("replayed", "written", "left", "told"),
    [
        (1, 1, 0, "1 record replayed and written"),
        (3, 3, 0, "3 records replayed and written"),
        (3, 1, 0, "3 records replayed: 1 written, 2 there already"),
        (1, 0, 0, "1 record replayed, nothing written: it was there already"),
        (3, 0, 0, "3 records replayed, nothing written: all were there already"),
        (0, 0, 1, "1 record stays, as bad as before"),
        (0, 0, 2, "2 records stay, as bad as before"),
        (2, 2, 1, "2 records replayed and written; 1 record stays, as bad as before"),
        (2, 1, 2, "2 records replayed: 1 written, 1 there already; 2 records stay, as bad as before"),
    ],
)
def test_a_replay_says_in_words_what_it_did(replayed: int, written: int, left: int, told: str) -> None:
    assert in_words(replayed, written, left) == told


def test_explain_shows_where_a_row_came_from(lsats: Lsats, operation: Operation, url: str) -> None:
    assert operation.run("hub_daily").success
    code, name, other, score = rows(
        url,
        "select d.dept_id, d.department_name, t.department_name, d.data_quality_score from silver.departments d "
        "join silver.tdx_departments t on t.tdx_id = d.tdx_id join silver.umapi_departments u on u.dept_id = d.dept_id "
        "where d.department_name <> t.department_name and cardinality(d.tdx_ids) = 1 "
        "and cardinality(d.quality_flags) > 0 order by 1 limit 1",
    )[0]
    done = lsats("explain", "department", code, "--json")
    said = json.loads(done.stdout)
    assert (said["table"], said["key"], said["is_present"]) == ("silver/departments", code, True)
    fields = {entry["name"]: entry for entry in said["fields"]}
    (giving,) = [entry for entry in said["bronze"] if entry["stream"] == "bronze/umapi_departments"]
    assert fields["department_name"] == {
        "name": "department_name", "value": name, "source": "umich_api", "agreeing": [], "losing": {"tdx": other},
        "computed_from": [],
        "bronze": [giving["seq"]], "read_at": giving["ingested_at"],
    }  # fmt: skip
    # List and detail of an account make one row, and every value of it.
    assert fields["tdx_id"]["bronze"] == sorted(e["seq"] for e in said["bronze"] if "tdx_department" in e["stream"])
    assert fields["dept_id"]["bronze"] == []
    assert said["score"] == float(score) == round(1 - sum(float(flag[1]) for flag in said["flags"]), 2)
    assert {entry["stream"] for entry in said["bronze"]} == {
        "bronze/tdx_departments", "enriched/tdx_department_details", "bronze/umapi_departments"
    }  # fmt: skip
    raw_ids = {row[0] for row in rows(url, "select raw_id::text from bronze.raw_entities")}
    assert {entry["raw_id"] for entry in said["bronze"]} <= raw_ids

    shown = lsats("explain", "departments", code).stdout
    for word in (name, f"tdx: {other}", f"score {score:.2f}", said["flags"][0][0], said["bronze"][0]["raw_id"]):
        assert word in shown
    unknown = lsats("explain", "department", "no-such-code")
    assert (unknown.returncode, "no-such-code" in unknown.stdout) == (1, True)
    for near in (code[:-1], name.upper()):
        offered = lsats("explain", "department", near)
        assert (offered.returncode, code in offered.stdout, name in offered.stdout) == (1, True, True)
    assert_wrong_use(lsats("explain", "building", code), "building", "departments")
    own = json.loads(lsats("explain", "silver_transformation/umapi_departments", code, "--json").stdout)
    assert [entry["stream"] for entry in own["bronze"]] == ["bronze/umapi_departments"]
    assert all(entry["bronze"] == [giving["seq"]] for entry in own["fields"])


def test_queries_for_analysts_know_null_and_may_only_read(operation: Operation) -> None:
    assert operation.run("umich_api_ingest").success
    hub = HubDatabase()
    frame = hub.query_to_dataframe(
        "select null::integer as none, g as some, g / 2.0 as part, g > 1 as flag, 'x' || g as word, now() as moment "
        "from (values (1), (2), (cast(:third as integer))) v (g)",
        {"third": None},
    )
    types = {"none": "Int64", "some": "Int64", "part": "Float64", "flag": "boolean", "word": "string"}
    assert {name: str(frame[name].dtype) for name in types} == types
    assert isinstance(frame["moment"].dtype, pd.DatetimeTZDtype)
    assert all(frame[name][2] is pd.NA for name in types)
    assert frame["none"].isna().all()
    assert frame["some"].tolist()[:2] == [1, 2]
    # A result without rows keeps its types, too.
    empty = hub.query_to_dataframe("select * from silver.v_departments where false")
    assert str(empty["tdx_id"].dtype) == "Int64"
    for statement in (
        "select * from silver.umapi_departments",
        "select * from bronze.raw_entities",
        "create temporary table t (a integer)",
        "update silver.v_departments set department_name = 'x'",
    ):
        with pytest.raises(DatabaseError):
            hub.query_to_dataframe(statement)
