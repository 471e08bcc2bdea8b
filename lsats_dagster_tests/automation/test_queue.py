"""Runs that fetch the same details queue for one another; nothing else waits for them."""

from collections.abc import Iterator

import dagster as dg
import pytest
import yaml

from lsats_dagster.assets.common import asset_key
from lsats_dagster.cli.execution import job_origin
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.settings import REPOSITORY
from lsats_dagster.source import NIGHTLY
from lsats_dagster_tests.automation.aids import Operation, failures
from lsats_dagster_tests.hubs import FEW

# What a night asks for.
LISTS = {
    asset_key(f"{stream.layer}.{stream.table}")
    for source in FEW
    for stream in source.streams
    if source.cadence_of(stream) == NIGHTLY
}
DETAILS = {stream.table for source in FEW for stream in source.streams if isinstance(stream, DetailStream)}


@pytest.fixture
def queued(operation: Operation) -> Iterator[Operation]:
    """An instance with the limits of dagster.yaml, on its own storage."""
    limits = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())["concurrency"]
    with dg.instance_for_test(overrides={"concurrency": limits}) as instance:
        yield Operation(instance, operation.campus, operation.url)


def pools(operation: Operation, name: str, assets: set[dg.AssetKey] | None = None) -> set[str]:
    """The pools that a run of a job, or of these of its assets, holds as long as it is under way.

    Dagster's daemon starts no run while another one that is under way holds one of its pools.
    """
    job = operation.definitions.resolve_job_def(name)
    job = job.get_subset(asset_selection=assets) if assets else job
    status = dg.DagsterRunStatus.QUEUED
    run = operation.instance.create_run_for_job(
        job, tags=job.tags, status=status, asset_selection=assets, remote_job_origin=job_origin(name)
    )
    stored = operation.instance.get_run_by_id(run.run_id)
    assert stored is not None
    return set(stored.run_op_concurrency.all_pools or ()) if stored.run_op_concurrency else set()


def test_runs_that_fetch_details_queue_and_the_night_does_not(queued: Operation) -> None:
    for name in ("tdx_backfill", "tdx_ingest", "tdx_details", "hub_daily"):
        assert pools(queued, name) == DETAILS
    for table in DETAILS:
        assert pools(queued, "hub_daily", {asset_key(f"enriched.{table}")}) == {table}
    assert pools(queued, "hub_daily", LISTS) == set()
    assert pools(queued, "umich_api_ingest") == set()
    limits = queued.instance.get_concurrency_config().pool_config
    assert (limits.pool_granularity.value, limits.default_pool_limit) == ("run", 1)  # type: ignore[union-attr]


def test_a_run_in_this_process_waits_for_no_pool_and_leaves_no_slot(queued: Operation) -> None:
    """A command starts at once, whatever is under way, and one that was killed keeps nobody from its pool."""
    job = queued.definitions.resolve_job_def("tdx_backfill")
    queued.instance.create_run_for_job(job, tags=job.tags, status=dg.DagsterRunStatus.STARTED)
    result = queued.materialize("bronze/tdx_departments", "enriched/tdx_department_details")
    assert result.success, failures(result)
    assert queued.instance.event_log_storage.get_concurrency_run_ids() == set()
