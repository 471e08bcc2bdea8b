"""How a command runs a job: on Dagster's instance, as a run of the hub's code location."""

import json
import logging
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import dagster as dg
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from lsats_dagster.assets.common import hold_connection
from lsats_dagster.cli import StorageError, log_to_stderr
from lsats_dagster.definitions import build_definitions
from lsats_dagster.settings import ConfigurationError, load_settings

# As workspace.yaml names the location, and Dagster the repository that it makes of `Definitions`.
CODE_LOCATION, REPOSITORY_NAME = "lsats_dagster", "__repository__"
RunResult = dg.ExecuteInProcessResult | dg.JobExecutionResult
# Whoever ended a command did not mean Dagster's daemon to go on with it.
NO_RETRY = {"dagster/max_retries": "0"}


@contextmanager
def dagster_instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of DAGSTER_HOME. ConfigurationError when its storage does not answer, StorageError when it is lost."""
    name = make_url(os.environ["DAGSTER_PG_URL"]).database
    try:
        instance = dg.DagsterInstance.get()
    except Exception as error:
        raise ConfigurationError(
            f"Dagster's own storage does not answer ({type(error).__name__}): make the database {name!r} on the hub's server "
            f'(create database "{name}"), or name another one in DAGSTER_PG_URL'
        ) from None
    hold_connection(instance)
    # Events are written in the middle of a step, whose failure quotes what was raised here.
    store = instance.handle_new_event

    def bordered(*event: Any, **batch: Any) -> None:
        with storage_border():
            store(*event, **batch)

    instance.handle_new_event = bordered  # type: ignore[method-assign]
    with instance, storage_border():
        yield instance


@contextmanager
def storage_border() -> Iterator[None]:
    """What Dagster's storage raises, as StorageError. The hub's own database has a border of its own (DatabaseError)."""
    try:
        yield
    except (SQLAlchemyError, DagsterPostgresException) as error:
        raise StorageError(
            f"Dagster's own storage failed ({type(error).__name__}), so the run could not go on: look at the server of "
            "DAGSTER_PG_URL, then give the command again. What the hub had written is whole"
        ) from None


def execute_here(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    run_config: Mapping[str, Any],
    assets: Sequence[dg.AssetKey] | None = None,
    tags: Mapping[str, str] | None = None,
) -> RunResult:
    """Run a job, or these of its assets, as a run of the hub's code location: in this process, or each step in one of its own
    where the job has several at a time.

    Dagster's timeline shows no other runs, and it forgets where one that a command began comes from.
    """
    create = instance.create_run_for_job
    instance.create_run_for_job = partial(create, remote_job_origin=job_origin(job.name))  # type: ignore[method-assign]
    asked: dict[str, Any] = {
        "instance": instance,
        "run_config": run_config,
        "asset_selection": assets,
        "raise_on_error": False,
        "tags": NO_RETRY | dict(tags or {}),
    }
    try:
        if job.executor_def.name == dg.multiprocess_executor.name:
            return dg.execute_job(dg.build_reconstructable_job(__name__, rebuilt.__name__, (job.name,)), **asked)
        return job.execute_in_process(**asked)
    finally:
        instance.create_run_for_job = create  # type: ignore[method-assign]


def rebuilt(name: str) -> dg.JobDefinition:
    """The job of this name, also for the process of a step, whose log lines go where those of the command go."""
    if multiprocessing.parent_process() and not logging.getLogger("lsats_dagster").handlers:
        log_to_stderr(load_settings().log_level)
    return build_definitions().resolve_job_def(name)


def job_origin(job: str) -> Any:
    """Where a job comes from, as a run records it. The classes have no public name; the form in which Dagster stores them
    does not change.
    """
    location = {"__class__": "RegisteredRepositoryLocationOrigin", "location_name": CODE_LOCATION}
    repository = {
        "__class__": "ExternalRepositoryOrigin", "repository_name": REPOSITORY_NAME, "repository_location_origin": location
    }  # fmt: skip
    origin = {"__class__": "ExternalPipelineOrigin", "pipeline_name": job, "external_repository_origin": repository}
    return dg.deserialize_value(json.dumps(origin))
