"""Details of one source are fetched side by side: each stream in a process of its own, beside others that wait or fail."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lsats_dagster.definitions import build_definitions
from lsats_dagster.demo.campus import Campus
from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.automation.aids import PATIENCE, Operation, kill, wait_until
from lsats_dagster_tests.cli.aids import LSATS, rows

ROUTES = {
    "enriched/tdx_department_details": "tdx/accounts/{id}",
    "enriched/tdx_user_details": "tdx/people/{uid}",
    "enriched/tdx_asset_details": "tdx/assets/{id}",
}
LISTS = ("bronze/tdx_departments", "bronze/tdx_users", "bronze/tdx_assets")
STATES = "select asset_key, status, error_message from meta.ingestion_runs where asset_key like 'enriched/%'"


@contextmanager
def details_under_way(
    campus: Campus, variables: dict[str, str], url: str, folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The command that fetches details, with a call of each stream under way that gets no answer; and what it says."""
    campus.reset_calls()
    for route in ROUTES.values():
        campus.fault(route, "hang", times=None)
    said = folder / "said"
    with said.open("w") as out:
        process = subprocess.Popen(
            [str(LSATS), "run", "tdx_details", "--no-retry"],
            cwd=folder, env=variables | {"HTTP_READ_SECONDS": "5", "PYTHONPATH": str(REPOSITORY)}, stdout=out, stderr=out,
        )  # fmt: skip

    def all_at_once() -> bool:
        assert process.poll() is None, said.read_text()
        waiting = {row.asset_key for row in rows(url, STATES) if row.status == "running"}
        return waiting == ROUTES.keys() == {key for key, route in ROUTES.items() if campus.calls().get(route)}

    try:
        wait_until(all_at_once, "a call of each stream")
        yield process, said
    finally:
        process.kill()
        process.wait()


@pytest.mark.budget(25, "a command with a process for each stream, twice")
def test_details_of_all_streams_are_fetched_at_the_same_time(
    operation: Operation, campus: Campus, variables: dict[str, str], url: str, tmp_path: Path
) -> None:
    assert replace(operation, definitions=build_definitions()).materialize(*LISTS).success
    with details_under_way(campus, variables, url, tmp_path) as (process, _):
        kill(process)
        wait_until(lambda: {row.status for row in rows(url, STATES)} == {"failed"}, "the end of the steps")
    # Nobody goes on without the run.
    assert all(row.error_message.startswith("stopped") for row in rows(url, STATES))
    campus.clear_faults()
    with details_under_way(campus, variables, url, tmp_path) as (process, said):
        campus.clear_faults()
        # One stream fails; the others come to their end.
        campus.fault(ROUTES["enriched/tdx_user_details"], "status", times=None, status=403)
        assert process.wait(PATIENCE) == 1
        text = said.read_text()
    assert "Traceback" not in text
    assert "❌ enriched/tdx_user_details: " in text
    # What the steps log is seen where the command is given.
    assert "enriched/tdx_asset_details: 25 of" in text
    done = {row.asset_key for row in rows(url, STATES) if row.status == "completed"}
    assert done == ROUTES.keys() - {"enriched/tdx_user_details"}
