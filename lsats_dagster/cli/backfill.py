"""`lsats backfill`: one source again, through to the merged tables."""

from typing import Annotated

import typer

from lsats_dagster.assets.common import NO_STEP_RETRY
from lsats_dagster.automation.jobs import BACKFILL_SUFFIX, backfill_config
from lsats_dagster.cli import FAILED, JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.cli.execution import dagster_instance, execute_here
from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.run import (
    RETRY,
    SINCE,
    checked_moment,
    checked_run_id,
    outcome_of,
    require_a_source,
    show,
)
from lsats_dagster.definitions import build_definitions
from lsats_dagster.settings import ConfigurationError
from lsats_dagster.sources import SOURCES


def register(app: typer.Typer) -> None:
    app.command("backfill")(backfill)


def backfill(
    source: Annotated[str, typer.Argument(help=f"One of: {', '.join(known.name for known in SOURCES)}.")],
    full: Annotated[
        bool,
        typer.Option("--full", help="Fetch every detail again, compute whole silver tables. Resumes where it stopped."),
    ] = False,
    budget: Annotated[
        int | None,
        typer.Option(min=0, help="At most so many calls for each kind of detail; default: all that are due."),
    ] = None,
    approve_removals: Annotated[
        str | None, typer.Option(metavar="RUN_ID", help="The run whose refused removals you found to be right.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and compare, write nothing.")] = False,
    since: SINCE = None,
    no_retry: RETRY = False,
    as_json: JSON = False,
) -> None:
    """Bring one source up to date, whatever its schedule: after an outage, a changed rule, a refused removal.

    Can be stopped and started again at any time, also while the daily job runs. Example: lsats backfill tdx --full
    """
    here = hub()
    declaration = next((known for known in here.sources if known.name == source), None)
    if declaration is None:
        names = ", ".join(known.name for known in here.sources)
        raise ConfigurationError(f"no such source: {source}. Sources: {names}")
    if since and "since" not in backfill_config(declaration).model_fields:
        raise ConfigurationError(f"{declaration.title} cannot tell what changed since a moment: leave out --since")
    asked = {
        "full": full,
        "budget": budget,
        "approve_removals": checked_run_id(approve_removals),
        "dry_run": dry_run,
        "since": checked_moment(since),
    }
    job = build_definitions(here.sources, here.tables).resolve_job_def(f"{source}{BACKFILL_SUFFIX}")
    keys = set(job.asset_layer.executable_asset_keys)
    with hub_environment(sources=True) as settings, hub_database(settings), dagster_instance() as instance:
        require_a_source(keys)
        config = {name: value for name, value in asked.items() if value is not None}
        result = execute_here(job, instance, config, tags=NO_STEP_RETRY if no_retry else {})
    outcome = outcome_of(result, keys)
    show(outcome, as_json=as_json, dry_run=dry_run)
    if not outcome.success:
        raise typer.Exit(FAILED)
