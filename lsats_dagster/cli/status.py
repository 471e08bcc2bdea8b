"""`lsats status` and `lsats runs`: what the hub holds, what needs an answer, and what ran."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment, sources_read
from lsats_dagster.cli.findings import findings, print_findings
from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.names import asset_keys, resolved
from lsats_dagster.cli.output import show, table
from lsats_dagster.local_time import local
from lsats_dagster.runs import status as current_status
from lsats_dagster.runs.history import history
from lsats_dagster.source import next_due
from lsats_dagster.watched import Watched, watched

MARKS = {"completed": "✅", "failed": "❌", "running": "🔄"}


def register(app: typer.Typer) -> None:
    app.command("status")(status)
    app.command("runs")(runs)


def status(as_json: JSON = False) -> None:
    """Show how fresh and how good every table is, and what needs an answer.

    Each finding stands with the command that answers it: failed runs and checks, late tables, quarantine, details left.
    Times are local to the university. Example: lsats status
    """
    now = datetime.now(UTC)
    with hub_environment() as settings, hub_database(settings) as database, database.transaction() as connection:
        rows = {row.name: row for row in current_status(connection)}
        watch = watched(sources_read(settings), hub().tables)
        found = findings(connection, rows, watch, now)
    if as_json:
        next_times = {name: next_due(table.cadence, now) for name, table in watch.items()}
        told = [
            {
                **asdict(row),
                "name": key,
                "next_due": next_times.get(name),
                "findings": [asdict(finding) for finding in found if finding.table == key],
            }
            for name, key in asset_keys().items()
            if (row := rows.get(name))
        ]
        print(json.dumps(told, indent=2, default=str))
        return
    if not rows:
        print("Nothing has run yet. Try `lsats run hub_daily`, or `lsats demo`.")
        return
    shown = table("", "table", "last run", "last success", "next due", "processed", whole=("",), title="📊 Status")
    answerable = {finding.table for finding in found}
    for name, key in asset_keys().items():
        due_at = due(watch.get(name), now)
        if row := rows.get(name):
            mark = "⚠️" if row.status == "completed" and key in answerable else MARKS[row.status]
            last = ago(row.completed_at or row.started_at)
            shown.add_row(mark, key, last, ago(row.last_success), due_at, str(row.records_processed))
        else:
            shown.add_row("⏭️", key, "never", "never", due_at, "")
    show(shown, 120)
    print_findings(found)
    if not found:
        print("✅ Nothing needs an answer")


def runs(
    of: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="One table (silver/departments); all by default.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Failed runs only.")] = False,
    days: Annotated[float | None, typer.Option(min=0, help="Of so many last days only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many runs.")] = 30,
    as_json: JSON = False,
) -> None:
    """Show what ran, the newest first.

    What failed last night: lsats runs --failed --days 1. Example: lsats runs silver/departments --limit 5
    """
    names = {key: name for name, key in asset_keys().items()}
    name = names[resolved(of)] if of else None
    with hub_environment() as settings, hub_database(settings) as database, database.transaction() as connection:
        past = history(connection, name=name, failed=failed, days=days, limit=limit)
    keys = asset_keys()
    if as_json:
        print(json.dumps([asdict(run) | {"name": keys.get(run.name, run.name)} for run in past], indent=2, default=str))
        return
    if not past:
        print("✅ No such run")
        return
    shown = table("", "table", "started", "took", "processed", "new", "updated", "removed", "quarantined", whole=("",))
    for run in past:
        took = f"{(run.completed_at - run.started_at).total_seconds():.0f} s" if run.completed_at else ""
        figures = (run.records_processed, run.records_created, run.records_updated, run.records_removed)
        cells = [str(figure) for figure in (*figures, run.records_failed)]
        shown.add_row(MARKS[run.status], keys.get(run.name, run.name), local(run.started_at), took, *cells)
    show(shown, 140)
    for run in past:
        if run.error_message:
            print(f"❌ {keys.get(run.name, run.name)}, run {run.run_id}: {run.error_message}")


def due(table: Watched | None, now: datetime) -> str:
    """When the schedule next brings a table up to date."""
    if table is None:
        return "not set up"
    moment = next_due(table.cadence, now)
    return local(moment, "%a %H:%M") if moment else "when it comes"


def ago(moment: datetime | None) -> str:
    """A moment as its distance from now."""
    if moment is None:
        return "never"
    minutes = int((datetime.now(UTC) - moment).total_seconds() // 60)
    for size, unit in ((1440, "d"), (60, "h")):
        if minutes >= size:
            return f"{minutes // size} {unit} ago"
    return f"{minutes} min ago"
