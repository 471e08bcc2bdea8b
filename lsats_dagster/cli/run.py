"""`lsats run`: materialize a job or a selection of assets, in this process, on Dagster's instance."""

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

import dagster as dg
import typer
from rich.console import Console
from rich.table import Table

from lsats_dagster.assets.streams import moment
from lsats_dagster.automation.jobs import BACKFILL_SUFFIX
from lsats_dagster.cli import FAILED, JSON
from lsats_dagster.cli.environment import dagster_instance, hub_database, hub_environment
from lsats_dagster.definitions import build_definitions
from lsats_dagster.settings import ConfigurationError, load, needed
from lsats_dagster.sources import SOURCES

FIGURES = ("processed", "created", "updated", "skipped", "removed", "failed")
HEADINGS = ("processed", "new", "updated", "skipped", "removed", "failed", "quality", "duration")

# By this tag the UI counts a run among those of its job; runs that Dagster launches have it. It has no public name.
IN_REPOSITORY = {".dagster/repository": "__repository__@lsats_dagster"}
SINCE = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Read what changed since then, where the source can tell (2026-01-31T08:00-05:00)."
    ),
]
# Dagster's console log stays silent: the hub's own lines say the same in fewer words.
QUIET_CONSOLE: dict[str, Any] = {"console": {"config": {"log_level": "CRITICAL"}}}


@dataclass
class Outcome:
    """What one Dagster run did: figures per table, and a sentence per step that failed."""

    dagster_run_id: str
    success: bool
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    selection: Annotated[
        str, typer.Argument(help="A job (tdx_ingest) or an asset selection (group:tdx, silver/departments).")
    ],
    full: Annotated[
        bool, typer.Option("--full", help="Fetch every detail again, compute whole silver tables.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and compare, write nothing.")] = False,
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many records or calls per stream.")] = None,
    approve_removals: Annotated[
        str | None,
        typer.Option(metavar="RUN_ID", help="The run whose refused removals you found to be right."),
    ] = None,
    since: SINCE = None,
    as_json: JSON = False,
) -> None:
    """Materialize assets now.

    Example: lsats run tdx_ingest --dry-run
    """
    with hub_environment(sources=True) as settings, hub_database(settings), dagster_instance() as instance:
        config = {
            "full": full or None,
            "dry_run": dry_run or None,
            "limit": limit,
            "budget": limit,
            "approve_removals": checked_run_id(approve_removals),
            "since": checked_moment(since),
        }
        outcome = execute(selection, instance, {name: value for name, value in config.items() if value is not None})
    show(outcome, as_json=as_json, dry_run=dry_run)
    if not outcome.success:
        raise typer.Exit(FAILED)


def execute(selection: str, instance: dg.DagsterInstance, config: dict[str, Any]) -> Outcome:
    """Run a job or an asset selection in this process. ConfigurationError when nothing is meant by `selection`, or no source
    that it reads is set up.
    """
    definitions = build_definitions()
    jobs = {job.name for job in definitions.resolve_all_job_defs()}
    if selection in jobs and selection.endswith(BACKFILL_SUFFIX):
        source = selection.removesuffix(BACKFILL_SUFFIX)
        raise ConfigurationError(f"a backfill has options of its own: use `lsats backfill {source}`")
    if selection in jobs:
        job = definitions.resolve_job_def(selection)
        keys: Collection[dg.AssetKey] = set(job.asset_layer.executable_asset_keys)
        chosen = None
    else:
        keys = select(selection, definitions, jobs)
        job = definitions.resolve_implicit_global_asset_job_def()
        chosen = list(keys)
    require_a_source(keys)
    ops = op_config(definitions, keys, config)
    if "since" in config and not any("since" in op["config"] for op in ops.values()):
        raise ConfigurationError("nothing selected can tell what changed since a moment: leave out --since")
    run_config = {"ops": ops, "loggers": QUIET_CONSOLE}
    return outcome_of(
        job.execute_in_process(
            instance=instance, run_config=run_config, asset_selection=chosen, raise_on_error=False, tags=IN_REPOSITORY
        ),
        keys,
    )


def require_a_source(keys: Collection[dg.AssetKey]) -> None:
    """ConfigurationError, naming all that is missing, when none of the sources that these assets read is set up.

    One that is set up is reason enough to run: the others fail alone.
    """
    names = {key.to_user_string() for key in keys}
    read = [source for source in SOURCES if any(f"{s.layer}/{s.table}" in names for s in source.streams)]
    missing = {source.name: load(source.settings).missing for source in read}
    if missing and all(missing.values()):
        raise ConfigurationError(needed([name for names in missing.values() for name in names], " and ".join(missing)))


def select(selection: str, definitions: dg.Definitions, jobs: set[str]) -> Collection[dg.AssetKey]:
    """The assets that `selection` means, in Dagster's selection syntax; a bare `layer/table` is its key."""
    graph = definitions.resolve_asset_graph()
    known = {key.to_user_string() for key in graph.get_all_asset_keys()}
    if selection in known:
        return [dg.AssetKey.from_user_string(selection)]
    try:
        keys = dg.AssetSelection.from_string(selection).resolve(graph)
    except Exception:
        keys = set()
    if not keys:
        raise ConfigurationError(
            f"{selection!r} is no job and selects no asset. Jobs: {', '.join(sorted(n for n in jobs if not n.startswith('_')))}. "
            f"Assets: {', '.join(sorted(known))}"
        )
    return keys


def op_config(definitions: dg.Definitions, keys: Collection[dg.AssetKey], config: dict[str, Any]) -> dict[str, Any]:
    """The run config: each asset gets those of `config` that it knows."""
    graph = definitions.resolve_asset_graph()
    ops = {}
    for key in keys:
        assets = graph.get(key).assets_def
        fields = assets.op.config_schema.config_type.fields  # type: ignore[union-attr]
        known = {name: value for name, value in config.items() if name in fields}
        if known:
            ops[assets.op.name] = {"config": known}
    return ops


def checked_run_id(text: str | None) -> str | None:
    """A run id, or ConfigurationError."""
    try:
        return str(UUID(text)) if text else None
    except ValueError:
        raise ConfigurationError(f"{text!r} is no run id; the refusing run's message names its own") from None


def checked_moment(text: str | None) -> str | None:
    """A moment with its zone, or ConfigurationError."""
    found = moment(text)
    return None if found is None else found.isoformat()


def outcome_of(result: dg.ExecuteInProcessResult, keys: Collection[dg.AssetKey]) -> Outcome:
    """Figures and failures of a finished run, from its events."""
    outcome = Outcome(result.run_id, result.success)
    started: set[str] = set()
    for event in result.all_events:
        entry: Any = None
        if event.is_step_materialization:
            entry = event.step_materialization_data.materialization
        elif event.event_type_value == "ASSET_OBSERVATION":
            entry = event.asset_observation_data.asset_observation
        elif event.is_step_failure:
            error = event.step_failure_data.user_failure_data or event.step_failure_data.error
            description = getattr(error, "description", None) or getattr(error, "message", "failed")
            if getattr(error, "cls_name", None) == dg.DagsterExecutionInterruptedError.__name__:
                description = "stopped; what it had finished is kept, the next run goes on from there"
            outcome.failures[(event.step_key or "").replace("__", "/")] = str(description)
        elif event.event_type_value == "STEP_START":
            started.add((event.step_key or "").replace("__", "/"))
        if entry is not None:
            outcome.tables[entry.asset_key.to_user_string()] = figures(entry.metadata)
    # Dagster has no event for steps behind a failed one.
    outcome.skipped = sorted({key.to_user_string() for key in keys} - started)
    return outcome


def figures(metadata: dict[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    """The `lsats/` figures of one materialization under their short names."""
    return {name.removeprefix("lsats/"): value.value for name, value in metadata.items() if name.startswith("lsats/")}


def show(outcome: Outcome, *, as_json: bool, dry_run: bool) -> None:
    """Print an outcome for a person or, as JSON, for a script."""
    if as_json:
        print(json.dumps(outcome.__dict__, indent=2))
        return
    console = Console()
    if not console.is_terminal:
        console.width = 120
    title = "📊 Summary" + (" 🧪 dry run, nothing written" if dry_run else "")
    table = Table("table", *HEADINGS, title=title, title_justify="left")
    for name, row in outcome.tables.items():
        quality = f"{row['quality_mean']:.2f}" if "quality_mean" in row else ""
        table.add_row(name, *(str(row.get(figure, 0)) for figure in FIGURES), quality, f"{row.get('seconds', 0):.2f} s")
    console.print(table)
    for step, message in outcome.failures.items():
        console.print(f"❌ {step}: {message}", highlight=False)
    for step in outcome.skipped:
        console.print(f"⏭️ {step}: not run, because something before it failed or wrote nothing", highlight=False)
    console.print("🎉 Completed" if outcome.success else f"❌ Failed (Dagster run {outcome.dagster_run_id})")


logging.getLogger("dagster").setLevel(logging.CRITICAL)
