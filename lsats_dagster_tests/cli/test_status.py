"""Whether an operator finds everything in `lsats status` and `lsats runs`, and answers it with the commands that stand there."""

import json
import re
import shlex
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lsats_dagster.cli.environment import campus_state
from lsats_dagster.cli.findings import Finding, print_findings
from lsats_dagster.demo.campus import BAD_RECORD, Campus
from lsats_dagster.local_time import TIME_ZONE
from lsats_dagster.settings import load_settings
from lsats_dagster_tests.automation.aids import Operation
from lsats_dagster_tests.cli.aids import LSATS, Lsats, assert_wrong_use
from lsats_dagster_tests.hubs import FEW_KEYS

ANSWER = re.compile(r"^   -> lsats (.*)$", re.MULTILINE)
LISTED = "bronze/umapi_departments"


def answers(said: str) -> set[str]:
    """The commands that stand under findings."""
    return set(ANSWER.findall(said))


@pytest.mark.budget(8, "four runs and what an operator answers")
def test_what_needs_an_answer_stands_with_its_command(lsats: Lsats, operation: Operation, campus: Campus) -> None:
    assert operation.run("hub_daily").success
    assert answers(lsats("status").stdout) == set()
    for key in sorted(campus.truth("umich_api/department"))[:20]:
        campus.delete("umich_api/department", key)
    campus.poison(BAD_RECORD[0], [BAD_RECORD[1]])
    # A dry run says what a run would find, and nothing that could be approved: nothing was refused.
    dry = lsats("run", "umich_api/department", "--dry-run")
    assert (dry.returncode, "🎉" in dry.stdout) == (0, False)
    assert "check removal_guard would fail: 20 of " in dry.stdout
    assert answers(dry.stdout) == {f"run {LISTED}", "quarantine list"}
    ran = lsats("run", "umich_api/department")
    assert (ran.returncode, "🎉" in ran.stdout) == (0, False)
    # A run that put one record aside has not failed: the figures are called as in `lsats runs`.
    assert re.search(
        r"^ table +processed +new +updated +unchanged +removed +quarantined +quality", ran.stdout, re.MULTILINE
    )
    said = lsats("status").stdout
    approvals = [answer for answer in answers(said) if "--approve-removals" in answer]
    assert len(approvals) == 1
    approval = approvals[0]
    assert answers(said) == answers(ran.stdout) == {approval, "quarantine list"}
    assert re.search(rf"⚠️ +{LISTED} ", said)
    # The answers work as they stand.
    listed = lsats("quarantine", "list").stdout
    assert "cannot be written as JSON" in listed
    # By one clock everywhere, that of the university.
    began = operation.sql("select max(quarantined_at) from meta.quarantine")[0][0]
    assert f"{began.astimezone(ZoneInfo(TIME_ZONE)):%Y-%m-%d %H:%M}" in listed
    assert lsats(*shlex.split(approval)).returncode == 0
    assert answers(lsats("status").stdout) == {"quarantine list"}
    # What was approved shows once more in the table made of it, which says how many rows there are and were; once only.
    made_of_it = "silver/umapi_departments"
    told = lsats("run", made_of_it).stdout
    assert re.search(rf"{made_of_it}: check volume failed: \d+ present rows, \d+ after the run before", told), told
    assert answers(told) == {f"runs {made_of_it}"}
    assert lsats("run", made_of_it).returncode == 0
    assert answers(lsats("status").stdout) == {"quarantine list"}

    operation.sql(
        "update meta.ingestion_runs set started_at = started_at - interval '3 days', completed_at = completed_at - interval "
        "'3 days' where source_system = 'tdx' and entity_type = 'department'"
    )
    late = "run bronze/tdx_departments"
    assert answers(lsats("status").stdout) == {"quarantine list", late}
    campus.fault("tdx/accounts/search", "status", times=None, status=403)
    failed = lsats(*shlex.split(late))
    assert failed.returncode == 1
    assert re.search(r"❌ bronze/tdx_departments +failed", failed.stdout)
    said = lsats("status").stdout
    assert re.search(r"❌ +bronze/tdx_departments ", said)
    assert "the last run failed: " in said
    assert "HTTP 403" in said
    past = json.loads(lsats("runs", "--failed", "--days", "1", "--json").stdout)
    assert [(run["name"], run["status"]) for run in past] == [("bronze/tdx_departments", "failed")]
    assert "HTTP 403" in lsats("runs", "tdx/department", "--limit", "1").stdout
    assert_wrong_use(lsats("runs", "departmnts"), "departmnts", "did you mean silver/departments")

    entries = {entry["name"]: entry for entry in json.loads(lsats("status", "--json").stdout)}
    for width in ("50", "80"):
        # What does not fit stands below its table, and nothing is cut.
        shown = lsats("status", COLUMNS=width).stdout
        assert re.findall(r"^\S+ +([a-z]+/\w+)$", shown, re.MULTILINE) == list(entries), width
        assert re.findall(r"\bprocessed\s+(\d+)", shown) == [str(row["records_processed"]) for row in entries.values()]
        assert max(map(len, shown.partition("\n   ->")[0].splitlines()[:-1])) <= int(width)
        assert re.search(r"quarantined\s+1\b", lsats("runs", LISTED, COLUMNS=width).stdout)
        kept = json.loads(lsats("quarantine", "list", "--json").stdout)
        assert kept[0]["quarantine_id"] in lsats("quarantine", "list", COLUMNS=width).stdout.splitlines()
    assert entries["silver/departments"]["next_due"]
    assert [finding["command"] for finding in entries[LISTED]["findings"]] == ["lsats quarantine list"]


def test_the_command_under_a_finding_can_be_typed_where_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(LSATS), "status"])
    for path in ("/usr/bin", str(LSATS.parent)):
        monkeypatch.setenv("PATH", path)
        print_findings([Finding(LISTED, "late", "lsats run this")])
    here, on_path = re.findall(r"^   -> (\S+) run this$", capsys.readouterr().out, re.MULTILINE)
    assert (Path(here).resolve(), on_path) == (LSATS.resolve(), "lsats")


def test_over_the_data_of_a_demo_tables_are_due_because_its_campus_is_read(lsats: Lsats, operation: Operation) -> None:
    """No source is set up there, and yet `lsats run` and `lsats dev` read one."""
    assert operation.materialize(LISTED).success
    unset: dict[str, None] = dict.fromkeys(operation.campus.environment)
    assert lsats("status", **unset).stdout.count("not set up") == len(FEW_KEYS)
    campus_state(load_settings()).touch()
    assert "not set up" not in lsats("status", **unset).stdout


@pytest.mark.budget(4, "one run of all tables")
def test_explain_keeps_names_and_losing_values_at_any_width(lsats: Lsats, operation: Operation) -> None:
    assert operation.run("hub_daily").success
    ((code, other),) = operation.sql(
        "select d.dept_id, t.department_name from silver.departments d join silver.tdx_departments t on t.tdx_id = d.tdx_id "
        "where d.department_name <> t.department_name order by 1 limit 1"
    )
    fields = [entry["name"] for entry in json.loads(lsats("explain", "department", code, "--json").stdout)["fields"]]
    for width in ("50", "80"):
        said = lsats("explain", "silver.departments", code, COLUMNS=width).stdout
        assert [name for name in fields if f" {name} " not in said] == []
        assert "…" not in said
        assert "lost: tdx:" in said
        assert all(word in said for word in other.split())
    ((agreed,),) = operation.sql(
        "select d.dept_id from silver.departments d join silver.tdx_departments t on t.tdx_id = d.tdx_id "
        "where d.department_name = t.department_name and d.department_name is not null order by 1 limit 1"
    )
    fields = json.loads(lsats("explain", "department", agreed, "--json").stdout)["fields"]
    assert {(entry["name"], *entry["agreeing"]) for entry in fields if entry["agreeing"]} == {
        ("department_name", "tdx")
    }
    assert not any(entry["losing"] for entry in fields)
    said = lsats("explain", "department", agreed).stdout
    assert "also from tdx" in said
    assert "lost:" not in said
