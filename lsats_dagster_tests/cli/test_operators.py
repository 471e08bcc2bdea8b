"""The commands of those who operate the hub: backfill, doctor, quarantine, explain, dev; and queries for analysts."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pandas as pd
import pytest
import requests
from sqlalchemy import make_url

from lsats_dagster.database import DatabaseError
from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.resources import HubDatabase
from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.automation.aids import Operation, serving, wait_until
from lsats_dagster_tests.cli.test_cli import Lsats, assert_wrong_use, rows
from lsats_dagster_tests.conftest import new_database

LSATS = Path(sys.executable).with_name("lsats")
CANARY = "canary-of-a-secret"
UMICH = ("UM_BASE_URL", "UM_CATEGORY_ID", "UM_CLIENT_KEY", "UM_CLIENT_SECRET")
TDX = ("TDX_BASE_URL", "TDX_BEID", "TDX_WEB_SERVICES_KEY", "TDX_USERNAME", "TDX_PASSWORD")


@pytest.fixture
def url(server: EmbeddedPostgres) -> str:
    return new_database(server)


@pytest.fixture
def variables(url: str, campus: Campus, tmp_path: Path) -> dict[str, str]:
    """The whole environment of a command."""
    campus.limit("tdx", 100_000, 60)
    return {
        **campus.environment, "DATABASE_URL": url, "DAGSTER_PG_DATABASE": "dagster", "HTTP_READ_SECONDS": "5",
        "HTTP_CONNECT_SECONDS": "2", "HTTP_ANSWER_SECONDS": "8", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path),
        "LSATS_HOME": str(tmp_path / "home"),
    }  # fmt: skip


@pytest.fixture
def lsats(variables: dict[str, str], tmp_path: Path) -> Lsats:
    """The command on a hub database and a campus. Keywords set variables; None takes one away."""

    def run(*arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in {**variables, **changes}.items() if value is not None}
        return subprocess.run(
            [str(LSATS), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def operation(
    variables: dict[str, str], url: str, campus: Campus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Operation]:
    """The same hub for runs in this process, which take less time than commands."""
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        if name not in ("PATH", "HOME"):
            monkeypatch.setenv(name, value)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Operation(instance, campus, url)


def without(*names: str) -> dict[str, str | None]:
    return dict.fromkeys(names)


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
    assert f"{left} details are left" in done.stdout
    assert "The same command goes on there" in done.stdout
    campus.fault("tdx/accounts/search", "status", times=None, status=403)
    dry = lsats("backfill", "tdx", "--full", "--dry-run")
    assert (dry.returncode, "nothing written" in dry.stdout, "HTTP 403" in dry.stdout) == (1, True, True)


def test_backfill_refuses_what_it_cannot_mean(lsats: Lsats) -> None:
    assert_wrong_use(lsats("backfill", "tdxx"), "tdxx", "umich_api")
    assert_wrong_use(lsats("backfill", "tdx", "--approve-removals", "all"), "all", "run id")
    assert lsats("backfill", "tdx", "--budget", "-1").returncode == 2


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, set[tuple[str, str]]]:
    """What a doctor's JSON says: about -> (state, sentence)."""
    assert "Traceback" not in done.stderr, done.stderr
    assert CANARY not in done.stdout + done.stderr
    found: dict[str, set[tuple[str, str]]] = {}
    for entry in json.loads(done.stdout):
        found.setdefault(entry["about"], set()).add((entry["state"], entry["sentence"]))
    return found


def sick(done: subprocess.CompletedProcess[str]) -> dict[str, set[tuple[str, str]]]:
    """The findings that are not ok."""
    found = {about: {f for f in said if f[0] != "ok"} for about, said in findings(done).items()}
    return {about: said for about, said in found.items() if said}


def test_doctor_of_a_hub_in_health(lsats: Lsats) -> None:
    done = lsats("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line[0] for line in done.stdout.splitlines()} == {"✅"}
    for about in ("database", "rights", "schema", "reader", "dagster", "tdx", "umich_api"):
        assert f"✅ {about}: " in done.stdout
    assert "calls left" in done.stdout


# What is planted, and about what which words must be said; nothing else may be ill.
Faults = dict[str, tuple[str, tuple[str, ...]]]
PLANTED: dict[str, tuple[dict[str, str | None], Faults]] = {
    "wrong passwords": (
        {**without("TDX_BEID", "TDX_WEB_SERVICES_KEY"), "TDX_PASSWORD": CANARY, "UM_CLIENT_SECRET": CANARY},
        {"tdx": ("fault", ("HTTP 40", "auth")), "umich_api": ("fault", ("HTTP 40", "UM_CLIENT_SECRET"))},
    ),
    "unreachable and half set": (
        {"TDX_BASE_URL": "http://127.0.0.1:1/TDWebApi/api", "UM_CLIENT_SECRET": None},
        {
            "tdx": ("fault", ("ConnectionRefusedError", "TDX_BASE_URL")),
            "umich_api": ("fault", ("UM_CLIENT_SECRET not set",)),
        },
    ),
    "not set at all": (
        without(*TDX, *UMICH),
        {"tdx": ("warning", ("TDX_BASE_URL", "not set")), "umich_api": ("warning", (*UMICH, "not set"))},
    ),
    "no address": ({"TDX_BASE_URL": "campus"}, {"tdx": ("fault", ("TDX_BASE_URL",))}),
    "no storage of Dagster's": ({"DAGSTER_PG_DATABASE": "no_such"}, {"dagster": ("fault", ("DAGSTER_PG_",))}),
}


@pytest.mark.parametrize("case", PLANTED)
def test_doctor_says_each_planted_fault_in_its_own_sentence(lsats: Lsats, case: str) -> None:
    changes, expected = PLANTED[case]
    done = lsats("doctor", "--json", **changes)
    found = sick(done)
    assert found.keys() == expected.keys()
    for about, (state, words) in expected.items():
        ((said_state, sentence),) = found[about]
        assert said_state == state
        assert [word for word in words if word not in sentence] == [], sentence
    assert done.returncode == (1 if any(state == "fault" for state, _ in expected.values()) else 0)


def test_doctor_on_a_database_that_is_behind(lsats: Lsats, url: str, server: EmbeddedPostgres) -> None:
    rows(
        url, "update meta.silver_definitions set definition_hash = 'older' where table_name = 'departments' returning 1"
    )
    done = lsats("doctor", "--json")
    ((state, sentence),) = sick(done)["schema"]
    assert (done.returncode, state) == (1, "fault")
    assert "table silver.departments" in sentence
    assert "lsats db upgrade" in sentence
    done = lsats("doctor", "--json", DATABASE_URL=new_database(server, template="template1"))
    assert done.returncode == 1
    assert any("lsats db upgrade" in sentence for said in sick(done).values() for _, sentence in said)


def test_doctor_without_a_database(lsats: Lsats, url: str) -> None:
    closed = make_url(url).set(port=1, password=CANARY).render_as_string(hide_password=False)
    done = lsats("doctor", "--json", DATABASE_URL=closed)
    found = sick(done)
    assert (done.returncode, found.keys()) == (1, {"database", "dagster"})
    ((_, sentence),) = found["database"]
    assert "DATABASE_URL" in sentence


@contextmanager
def behind_a_wrong_clock(target: str, ahead: timedelta) -> Iterator[str]:
    """A server that hands everything on, and tells another time of day."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = requests.request(self.command, target + self.path, data=body, headers=headers, timeout=20)
            self.send_response_only(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in (
                    "date",
                    "content-length",
                    "content-encoding",
                    "transfer-encoding",
                    "connection",
                ):
                    self.send_header(name, value)
            self.send_header("Date", format_datetime(datetime.now(UTC) + ahead, usegmt=True))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


def test_doctor_reports_a_clock_that_differs(lsats: Lsats, campus: Campus) -> None:
    address = urlsplit(campus.environment["TDX_BASE_URL"])
    with behind_a_wrong_clock(f"{address.scheme}://{address.netloc}", timedelta(minutes=-10)) as proxy:
        done = lsats("doctor", "--json", TDX_BASE_URL=proxy + address.path)
    found = sick(done)
    assert found.keys() == {"tdx"}
    ((state, sentence),) = found["tdx"]
    assert (done.returncode, state) == (0, "warning")
    assert "-600 s" in sentence or "-601 s" in sentence


def test_quarantine_shows_contents_only_when_asked(lsats: Lsats, operation: Operation) -> None:
    operation.campus.poison("umich_api/department", [f'{{"DeptDescription": "{CANARY}"}}'])
    assert operation.materialize("bronze/umapi_departments").success
    listed = lsats("quarantine", "list", "--json")
    (entry,) = json.loads(listed.stdout)
    assert (entry["stream"], entry["stage"], entry["resolution"]) == ("umich_api/department", "key", None)
    table = lsats("quarantine", "list")
    assert entry["quarantine_id"] in table.stdout
    assert CANARY not in listed.stdout + listed.stderr + table.stdout + table.stderr
    shown = lsats("quarantine", "show", entry["quarantine_id"])
    assert json.loads(shown.stdout)["DeptDescription"] == CANARY, shown.stderr
    assert lsats("quarantine", "show", entry["run_id"]).returncode == 1
    assert_wrong_use(lsats("quarantine", "show", "first"), "first", "lsats quarantine list")

    # It is still bad: it stays where it is.
    done = lsats("quarantine", "replay", "umich_api/department", "--json")
    assert json.loads(done.stdout) == {"umich_api/department": {"replayed": 0, "written": 0}}
    assert operation.sql("select count(*) from meta.quarantine where resolved_at is null") == [(1,)]
    assert_wrong_use(lsats("quarantine", "replay", "umich/department"), "umich/department", "umich_api/department")
    # Gone from the source, it is resolved, and no longer shown unless asked for.
    operation.campus.poison("umich_api/department", [])
    assert operation.materialize("bronze/umapi_departments").success
    assert "Nothing is kept aside" in lsats("quarantine", "list").stdout
    (entry,) = json.loads(lsats("quarantine", "list", "--all", "--json").stdout)
    assert entry["resolution"] == "superseded"


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
    assert (said["table"], said["key"], said["is_present"]) == ("silver.departments", code, True)
    fields = {entry["name"]: entry for entry in said["fields"]}
    assert fields["department_name"] == {
        "name": "department_name", "value": name, "source": "umich_api", "losing": {"tdx": other}
    }  # fmt: skip
    assert said["score"] == float(score) == round(1 - sum(float(flag[1]) for flag in said["flags"]), 2)
    assert {entry["stream"] for entry in said["bronze"]} == {
        "tdx/department", "tdx/department_detail", "umich_api/department"
    }  # fmt: skip
    raw_ids = {row[0] for row in rows(url, "select raw_id::text from bronze.raw_entities")}
    assert {entry["raw_id"] for entry in said["bronze"]} <= raw_ids

    shown = lsats("explain", "departments", code).stdout
    for word in (name, f"tdx: {other}", f"score {score:.2f}", said["flags"][0][0], said["bronze"][0]["raw_id"]):
        assert word in shown
    unknown = lsats("explain", "department", "no-such-code")
    assert (unknown.returncode, "no-such-code" in unknown.stdout) == (1, True)
    assert_wrong_use(lsats("explain", "building", code), "building", "departments")
    own = json.loads(lsats("explain", "umapi_department", code, "--json").stdout)
    assert [entry["stream"] for entry in own["bronze"]] == ["umich_api/department"]


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_dev_refuses_a_port_in_use(lsats: Lsats) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_wrong_use(lsats("dev", "--port", port), port, "--port")


def processes_of(mark: str) -> list[int]:
    """Processes that have the variable LSATS_HOME with this value: whatever a command left."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                alive = (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            except OSError:
                continue
            if alive and f"LSATS_HOME={mark}".encode() in environment:
                found.append(int(folder.name))
    return found


def interrupt_terminal(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C: the terminal tells the whole group."""
    os.killpg(process.pid, signal.SIGINT)


def interrupt_alone(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGINT)


def terminate(process: subprocess.Popen[bytes]) -> None:
    """A service manager or a script: the command alone is told."""
    os.kill(process.pid, signal.SIGTERM)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
@pytest.mark.parametrize("end", [interrupt_terminal, interrupt_alone, terminate])
def test_dev_answers_and_ends_without_a_trace(
    variables: dict[str, str], tmp_path: Path, end: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    port = free_port()
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [str(LSATS), "dev", "--port", str(port)], cwd=tmp_path, env={**variables, "PYTHONPATH": str(REPOSITORY)},
            stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: process.poll() is not None or answers(port), "an answer of the web server")
        assert process.poll() is None, (tmp_path / "said").read_text()
        # The command, Dagster's launcher, its web server, its daemon.
        assert len(processes_of(variables["LSATS_HOME"])) >= 4
        end(process)
        process.wait(timeout=60)
        wait_until(lambda: not processes_of(variables["LSATS_HOME"]), "the end of everything that was started")
        assert not answers(port)
    finally:
        # Only what carries this test's own folder in its environment.
        for left in processes_of(variables["LSATS_HOME"]):
            os.kill(left, signal.SIGKILL)
        process.wait(timeout=20)


def answers(port: int) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=2) as answer:
            return json.load(answer)["dagster_version"]
    except (OSError, ValueError):
        time.sleep(0.2)
        return None
