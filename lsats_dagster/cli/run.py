"""`lsats run`: materialize a job or a selection of assets, on Dagster's instance."""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any
from uuid import UUID

import dagster as dg
import typer

from lsats_dagster.assets.common import NO_STEP_RETRY, key_of
from lsats_dagster.assets.streams import moment
from lsats_dagster.automation.jobs import BACKFILL_SUFFIX, QUIET_CONSOLE, op_configs
from lsats_dagster.cli import FAILED, JSON, StorageError
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.cli.execution import RunResult, dagster_instance, execute_here
from lsats_dagster.cli.findings import Finding, of_check, of_details, of_dry_run, of_quarantine, print_findings
from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.names import offer, resolve
from lsats_dagster.cli.output import show as show_table
from lsats_dagster.cli.output import table
from lsats_dagster.definitions import build_definitions
from lsats_dagster.runs import STOPPED
from lsats_dagster.settings import ConfigurationError, load
from lsats_dagster.source import lacking

FIGURES = ("processed", "created", "updated", "skipped", "removed", "failed")
HEADINGS = ("processed", "new", "updated", "unchanged", "removed", "quarantined", "quality", "duration")

SINCE = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Read what changed since then, where the source can tell (2026-01-31T08:00-05:00)."
    ),
]
RETRY = Annotated[
    bool,
    typer.Option("--no-retry", help="End at the first failure of a step; by default it is tried three times more."),
]


@dataclass
class Outcome:
    """What one Dagster run did: figures per table, a sentence per step that failed, and what needs an answer."""

    dagster_run_id: str
    success: bool
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


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
    no_retry: RETRY = False,
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
        given = {name: value for name, value in config.items() if value is not None}
        outcome = execute(selection, instance, given, NO_STEP_RETRY if no_retry else {})
    show(outcome, as_json=as_json, dry_run=dry_run)
    if not outcome.success:
        raise typer.Exit(FAILED)


def execute(
    selection: str, instance: dg.DagsterInstance, config: dict[str, Any], tags: Mapping[str, str] | None = None
) -> Outcome:
    """Run a job or an asset selection. ConfigurationError when nothing is meant by `selection`, or no source
    that it reads is set up.
    """
    here = hub()
    definitions = build_definitions(here.sources, here.tables)
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
    ops = op_configs(here.sources, here.tables, [key.to_user_string() for key in keys], config)
    if "since" in config and not any("since" in op["config"] for op in ops.values()):
        raise ConfigurationError("nothing selected can tell what changed since a moment: leave out --since")
    run_config = {"ops": ops, "loggers": QUIET_CONSOLE}
    return outcome_of(execute_here(job, instance, run_config, chosen, tags), keys)


def require_a_source(keys: Collection[dg.AssetKey]) -> None:
    """ConfigurationError, naming all that is missing, when none of the sources that these assets read is set up.

    One that is set up is reason enough to run: the others fail alone.
    """
    names = {key.to_user_string() for key in keys}
    read = [source for source in hub().sources if any(stream.label in names for stream in source.streams)]
    if read and all(load(source.settings).missing for source in read):
        raise ConfigurationError(lacking(read))


def select(selection: str, definitions: dg.Definitions, jobs: set[str]) -> Collection[dg.AssetKey]:
    """The assets that `selection` means, in Dagster's selection syntax; one that names a table in any spelling is its key."""
    graph = definitions.resolve_asset_graph()
    known = {key.to_user_string() for key in graph.get_all_asset_keys()}
    if key := resolve(selection):
        return [dg.AssetKey.from_user_string(key)]
    try:
        keys = dg.AssetSelection.from_string(selection).resolve(graph)
    except Exception:
        keys = set()
    if not keys:
        named = sorted(name for name in jobs if not name.startswith("_"))
        raise ConfigurationError(
            f"{selection!r} is no job and selects no asset{offer(selection, [*named, *known])}. Jobs: {', '.join(named)}. "
            f"Assets: {', '.join(sorted(known))}"
        )
    return keys


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


def outcome_of(result: RunResult, keys: Collection[dg.AssetKey]) -> Outcome:
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
            description = str(getattr(error, "description", None) or getattr(error, "message", "failed"))
            if getattr(error, "cls_name", None) == dg.DagsterExecutionInterruptedError.__name__:
                description = STOPPED
            description = description.removeprefix(f"{StorageError.__module__}.{StorageError.__name__}: ").strip()
            outcome.failures[key_of(event.step_key)] = description
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            if not check.passed:
                key = check.asset_key.to_user_string()
                outcome.findings.append(of_check(key, check.check_name, check.description or ""))
        elif event.event_type_value == "STEP_START":
            started.add(key_of(event.step_key))
        if entry is not None:
            outcome.tables[entry.asset_key.to_user_string()] = figures(entry.metadata)
    # Dagster has no event for steps behind a failed one.
    outcome.skipped = sorted({key.to_user_string() for key in keys} - started)
    for name, row in outcome.tables.items():
        outcome.findings += of_dry_run(name, row.get("would_fail", {}))
        if row.get("failed"):
            outcome.findings.append(of_quarantine(name, row["failed"]))
        if row.get("remaining"):
            outcome.findings.append(of_details(name, row["remaining"], row.get("expected_finish")))
    return outcome


def figures(metadata: dict[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    """The `lsats/` figures of one materialization under their short names."""
    return {name.removeprefix("lsats/"): value.value for name, value in metadata.items() if name.startswith("lsats/")}


def show(outcome: Outcome, *, as_json: bool, dry_run: bool) -> None:
    """Print an outcome for a person or, as JSON, for a script."""
    if as_json:
        print(json.dumps(asdict(outcome), indent=2))
        return
    title = "📊 Summary" + (" 🧪 dry run, nothing written" if dry_run else "")
    shown = table("table", *HEADINGS, title=title)
    for name, row in outcome.tables.items():
        quality = f"{row['quality_mean']:.2f}" if "quality_mean" in row else ""
        figures = (str(row.get(figure, 0)) for figure in FIGURES)
        shown.add_row(name, *figures, quality, f"{row.get('seconds', 0):.2f} s")
    for name in outcome.failures:
        shown.add_row(f"❌ {name}", "failed")
    for name in outcome.skipped:
        shown.add_row(f"⏭️ {name}", "not run")
    show_table(shown, 140)
    for step, message in outcome.failures.items():
        print(f"❌ {step}: {message}")
    for step in outcome.skipped:
        print(f"⏭️ {step}: not run, because something before it failed or wrote nothing")
    print_findings(outcome.findings)
    if not outcome.success:
        print(f"❌ Failed (Dagster run {outcome.dagster_run_id})")
    else:
        print(
            "⚠️ Completed, with findings: `lsats status` shows those that stand" if outcome.findings else "🎉 Completed"
        )


logging.getLogger("dagster").setLevel(logging.CRITICAL)
