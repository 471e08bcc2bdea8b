"""Runs of the command line stand on the timeline, Dagster's first page, as the page asks for them."""

import json

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner
from dagster_graphql.cli import ui

from lsats_dagster.cli.environment import dagster_variables
from lsats_dagster.settings import REPOSITORY, load_settings
from lsats_dagster_tests.automation.aids import Operation
from lsats_dagster_tests.cli.aids import Lsats
from lsats_dagster_tests.hubs import few_definitions

# The part of the page's query (CompletedRunTimelineQuery) by which it takes a run or leaves it out.
TIMELINE = """
query ($done: RunsFilter!) { completed: runsOrError(filter: $done, limit: 500) { ... on Runs { results {
    id status pipelineName startTime endTime repositoryOrigin { repositoryName repositoryLocationName } } } } }
"""
DONE = {"statuses": ["FAILURE", "SUCCESS", "CANCELED"], "updatedAfter": 0.0}


def shown() -> dict[str, tuple[str, str, str, str]]:
    """Job, state and place of every run that the page shows, by id; it leaves out those whose origin it does not know."""
    asked = ["--empty-workspace", "--text", TIMELINE, "--variables", json.dumps({"done": DONE})]
    said = CliRunner().invoke(ui, asked, catch_exceptions=False).stdout
    answer = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    runs = [run for run in answer["data"]["completed"]["results"] if run["startTime"] and run["repositoryOrigin"]]
    places = [run["repositoryOrigin"] for run in runs]
    return {
        run["id"]: (run["pipelineName"], run["status"], place["repositoryName"], place["repositoryLocationName"])
        for run, place in zip(runs, places, strict=True)
    }


@pytest.mark.budget(5, "two runs of commands, and Dagster's GraphQL with all its types")
def test_runs_of_the_command_line_stand_on_the_timeline(
    lsats: Lsats, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in dagster_variables(load_settings(), operation.url).items():
        monkeypatch.setenv(name, value)
    # Other tests on this server have the same storage.
    with dg.DagsterInstance.get() as instance:
        before = {run.run_id for run in instance.get_runs()}
    assert lsats("backfill", "umich_api").returncode == 0
    operation.campus.fault("tdx/accounts/search", "status", status=403)
    assert lsats("run", "tdx_ingest").returncode == 1
    (location,) = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"]
    place = (few_definitions().get_repository_def().name, location["python_module"]["location_name"])
    with dg.DagsterInstance.get() as instance:
        made = {run_id: run for run_id, run in shown().items() if run_id not in before}
        assert sorted(made.values()) == [
            ("tdx_ingest", "FAILURE", *place),
            ("umich_api_backfill", "SUCCESS", *place),
        ]
        # Dagster's daemon does not start again what a person ended.
        run = next(run for run in instance.get_runs() if run.run_id in made and run.job_name == "tdx_ingest")
        instance.report_run_failed(run)
        assert instance.get_run_by_id(run.run_id).tags.get("dagster/will_retry") in (None, "false")  # type: ignore[union-attr]
