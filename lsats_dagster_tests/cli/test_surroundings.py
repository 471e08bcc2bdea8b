"""What surrounds a command: Dagster's storage, the folder it is given in, the terminal, what `clean` leaves."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from sqlalchemy import make_url

from lsats_dagster.cli.environment import dagster_variables
from lsats_dagster.settings import load_settings
from lsats_dagster_tests.automation.aids import Operation
from lsats_dagster_tests.cli.aids import (
    Lsats,
    assert_wrong_use,
    environment,
    in_process,
    rows,
    undone,
)

# Dagster's storage ends the connection that writes this event, once.
DROPS = """
create sequence dropped;
create function drop_connection() returns trigger language plpgsql as $$
begin
    if nextval('dropped') = 1 then
        perform pg_terminate_backend(pg_backend_pid());
    end if;
    return new;
end $$;
create trigger drop_connection before insert on event_logs for each row
when (new.dagster_event_type = 'EVENT') execute function drop_connection();
"""
DROPS_NOT = "drop function drop_connection() cascade; drop sequence dropped"


@pytest.mark.budget(6, "a whole backfill, on Dagster's storage")
@pytest.mark.parametrize("event", ["STEP_SUCCESS", "PIPELINE_SUCCESS"])
def test_dagsters_storage_that_drops_a_connection_is_one_sentence(
    lsats: Lsats, url: str, tmp_path: Path, event: str
) -> None:
    """Within a step, whose failure it is, and at the end of the run, which nothing is left to tell of."""
    address = make_url(url).set(database="dagster").render_as_string(hide_password=False)
    lsats("doctor")
    with psycopg.connect(address, autocommit=True) as storage:
        storage.execute(DROPS.replace("EVENT", event).encode())
        try:
            done = lsats("backfill", "umich_api")
        finally:
            storage.execute(DROPS_NOT)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1
    for trace in ("Traceback", "Stack Trace", "INSERT INTO", "psycopg2"):
        assert trace not in said
    assert re.search(r"❌ (bronze/umapi_departments: )?Dagster's own storage failed \(OperationalError\)", said)
    assert lsats("verify").returncode == 0
    assert rows(url, "select distinct status from meta.ingestion_runs") == [("completed",)]
    # Nothing is kept there that grows with the runs.
    assert [path.name for path in (tmp_path / "home" / "dagster").rglob("*") if path.is_file()] == ["dagster.yaml"]


@pytest.mark.parametrize(
    "words",
    [("status",), ("verify",), ("doctor",), ("explain", "department", "1"), ("quarantine", "list"), ("quarantine", "replay"),
     ("quarantine", "show", "0d9c7f3e-5d0a-4c55-9f6b-2b1f4e6a7c10"), ("run", "hub_daily"), ("backfill", "tdx"),
     ("dev", "--port", "9")],
    ids=" ".join,
)  # fmt: skip
def test_where_no_hub_is_a_command_says_so_and_makes_none(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = in_process(*words, folder=tmp_path, variables=environment(tmp_path))
    assert_wrong_use(done, "no hub here", str(tmp_path / "home"), "DATABASE_URL", "lsats demo", "lsats db upgrade")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("status",), ("quarantine", "list"), ("run", "nothing")], ids=" ".join)
def test_signs_that_an_output_cannot_show_are_replaced(
    lsats: Lsats, operation: Operation, words: tuple[str, ...]
) -> None:
    assert operation.run("umich_api_ingest").success
    try:
        done = lsats(*words, PYTHONIOENCODING="ascii")
    except UnicodeEncodeError as error:
        pytest.fail(str(error))
    assert "Traceback" not in done.stderr
    assert done.returncode == (2 if "run" in words else 0)
    assert "?" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "form", ["{login}@/{name}?host={folder}&port={port}", "{user}@{host}:{port}/{name}?password={password}"]
)
def test_dagsters_storage_is_found_from_an_address_of_any_form(lsats: Lsats, url: str, form: str) -> None:
    parts = make_url(url)
    [[folder]] = rows(url, "show unix_socket_directories")
    address = form.format(
        login=f"{parts.username}:{parts.password}", user=parts.username, password=parts.password, host=parts.host,
        port=parts.port, name=parts.database, folder=folder,
    )  # fmt: skip
    found = {
        f["about"]: f["state"]
        for f in json.loads(lsats("doctor", "--json", DATABASE_URL=f"postgresql://{address}").stdout)
    }
    assert (found["schema"], found["dagster"]) == ("ok", "ok")


@pytest.mark.parametrize("own", [True, False])
def test_clean_asks_and_says_what_goes_and_what_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    home = tmp_path / "home"
    (home / "dagster").mkdir(parents=True)
    for name in ("campus.json", "dagster/dagster.yaml", "mine.txt"):
        (home / name).write_text("")
    variables = environment(tmp_path, LSATS_HOME="home") | (
        {} if own else {"DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    done = in_process("clean", folder=tmp_path, variables=variables)
    assert (done.returncode, (home / "campus.json").exists()) == (1, True)
    assert f"{home}/campus.json" in done.stdout
    assert ("DATABASE_URL stays as it is" in done.stdout) is not own
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    done = in_process("clean", folder=tmp_path, variables=variables)
    assert (done.returncode, [path.name for path in home.iterdir()]) == (0, ["mine.txt"])
    assert "Nothing to remove" in in_process("clean", folder=tmp_path, variables=variables).stdout


def sessions(url: str) -> int:
    """How many connections to Dagster's storage were opened so far."""
    ((number,),) = rows(url, "select sessions from pg_stat_database where datname = 'dagster'")
    return int(number)


@pytest.mark.budget(6, "three runs of all tables")
def test_a_run_keeps_its_connection_to_dagsters_storage(
    lsats: Lsats, operation: Operation, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever began it. Dagster by itself opens one for each event."""
    assert lsats("run", "hub_daily").returncode == 0
    before = sessions(url)
    assert lsats("run", "hub_daily").returncode == 0
    by_command = sessions(url) - before
    for name, value in dagster_variables(load_settings(), url).items():
        monkeypatch.setenv(name, value)
    # The level that a run puts on the hub's logger stays there after it.
    with undone(), dg.DagsterInstance.get() as instance:
        before = sessions(url)
        assert replace(operation, instance=instance).run("hub_daily").success
        by_dagster = sessions(url) - before
        (run,) = instance.get_runs(limit=1)
        events = len(instance.all_logs(run.run_id))
    assert by_command < events / 4
    # Here, what comes before the first step counts, too.
    assert by_dagster < 1.5 * events
