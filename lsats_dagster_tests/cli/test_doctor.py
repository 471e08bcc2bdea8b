"""`lsats doctor`: health, and each fault in its own sentence."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import make_url

from lsats_dagster.demo.campus import Campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.migrations import load_migrations
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.sources import SOURCES
from lsats_dagster_tests.automation.aids import PATIENCE, Operation, serving
from lsats_dagster_tests.cli.aids import Lsats, dagsters, in_process, rows
from lsats_dagster_tests.conftest import new_database

CANARY = "canary-of-a-secret"
NOBODY = f"postgresql://lsats:{CANARY}@127.0.0.1:1/lsats"
UMICH = ("UM_BASE_URL", "UM_CATEGORY_ID", "UM_CLIENT_KEY", "UM_CLIENT_SECRET")
TDX = ("TDX_BASE_URL", "TDX_BEID", "TDX_WEB_SERVICES_KEY", "TDX_USERNAME", "TDX_PASSWORD")


def without(*names: str) -> dict[str, str | None]:
    return dict.fromkeys(names)


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


def test_doctor_of_a_hub_in_health(lsats: Lsats, url: str, campus: Campus) -> None:
    host = urlsplit(campus.environment["TDX_BASE_URL"]).netloc
    for at in (host, "elsewhere"):
        rows(
            url,
            f"insert into meta.call_windows values ('{at} GET accounts/{{id}}', timestamptz '2026-01-02 03:04:05Z', 60, 60, 48) "
            "returning 1",
        )
    done = lsats("doctor", DATABASE_ADMIN_URL=url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line[0] for line in done.stdout.splitlines()} == {"✅"}
    for about in ("database", "rights", "reader", "administrator", "dagster", "tdx", "umich_api"):
        assert f"✅ {about}: " in done.stdout
    newest = load_migrations(SQL_ROOT / "migrations")[-1].name.removesuffix(".sql")
    assert f"✅ schema: at {newest}, as this checkout says" in done.stdout
    assert f"{host} GET accounts/{{id}}: 12 of 60 calls left until 2026-01-01 22:04:05" in done.stdout
    assert "elsewhere" not in done.stdout
    assert "✅ alerts: they go to log, webhook" in done.stdout
    # The database and both sources.
    assert len(re.findall(r"clock agrees with ours \([+-]\d s\)", done.stdout)) == 3


def test_doctor_looks_at_every_source(variables: dict[str, str], tmp_path: Path) -> None:
    done = in_process("doctor", "--json", folder=tmp_path, variables=variables)
    assert {source.name for source in SOURCES} <= findings(done).keys()


def test_doctor_knows_that_runs_have_called_a_source_that_told_no_limits(lsats: Lsats, url: str) -> None:
    assert "no run has called it yet" in lsats("doctor").stdout
    rows(
        url,
        "insert into meta.ingestion_runs (source_system, entity_type, mode) values ('umich_api', 'department', 'full') "
        "returning 1",
    )
    said = lsats("doctor").stdout
    assert "runs told of no limits at this address" in said
    assert "no run has called it yet" not in said


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
    "no administrator": (
        {"DATABASE_ADMIN_URL": NOBODY},
        {"administrator": ("fault", ("refused", "DATABASE_ADMIN_URL"))},
    ),
    "no channel": (
        {"ALERT_WEBHOOK_URL": None},
        {"alerts": ("warning", ("ALERT_WEBHOOK_URL", "ALERT_SMTP_HOST", "ALERT_EMAIL_TO"))},
    ),
    "no address": ({"TDX_BASE_URL": "campus"}, {"tdx": ("fault", ("TDX_BASE_URL",))}),
    "no storage of Dagster's": (
        {"DAGSTER_PG_URL": "postgresql+psycopg2://x@127.0.0.1:1/x"},
        {"dagster": ("fault", ("DAGSTER_PG_URL",))},
    ),
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
    assert f"behind this checkout at {load_migrations(SQL_ROOT / 'migrations')[-1].name[:4]}" in sentence
    assert "lsats db upgrade" in sentence
    done = lsats("doctor", "--json", DATABASE_URL=new_database(server, template="template1"))
    assert done.returncode == 1
    assert any("lsats db upgrade" in sentence for said in sick(done).values() for _, sentence in said)


def test_doctor_names_the_grant_that_a_login_lacks_and_the_upgrade_gives_it(
    lsats: Lsats, url: str, operation: Operation
) -> None:
    """A member that may not act as the role is refused like one that is none."""
    own = make_url(url).set(username="plain login", password=CANARY).render_as_string(hide_password=False)
    changes = {"DATABASE_URL": own, "DAGSTER_PG_URL": dagsters(url)}
    operation.sql(f"create role \"plain login\" login password '{CANARY}'")
    try:
        operation.sql('grant lsats_writer to "plain login" with set false')
        ((state, sentence),) = sick(lsats("doctor", "--json", **changes))["database"]
        assert state == "fault"
        assert 'grant lsats_writer, lsats_reader to "plain login" with set true' in sentence
        assert lsats("db", "upgrade", DATABASE_ADMIN_URL=url, **changes).returncode == 0
        assert sick(lsats("doctor", "--json", **changes)) == {}
        assert operation.sql("select pg_has_role('plain login', 'lsats_owner', 'member')") == [(False,)]
    finally:
        operation.sql('drop role "plain login"')


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
            answer = requests.request(self.command, target + self.path, data=body, headers=headers, timeout=PATIENCE)
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
    (seconds,) = re.findall(r"-(\d+) s", sentence)
    assert 600 <= int(seconds) < 900  # more by what the calls took
