"""`lsats status` and `lsats verify`: what the hub holds, and whether it is right."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.runs import status as current_status
from lsats_dagster.settings import SQL_ROOT, ConfigurationError
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster.transforms.verify import verify as verify_tables


def register(app: typer.Typer) -> None:
    app.command("status")(status)
    app.command("verify")(verify)


def status(as_json: JSON = False) -> None:
    """Show, for each stream and table, its last run and its last success.

    Example: lsats status
    """
    with (
        hub_environment() as settings,
        hub_database(settings) as database,
        database.transaction() as connection,
    ):
        rows = current_status(connection)
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2, default=str))
        return
    table = Table(
        "stream or table",
        "last run",
        "state",
        "last success",
        "records",
        title="📊 Status",
        title_justify="left",
    )
    for row in rows:
        state = {"completed": "✅", "failed": "❌", "running": "🔄"}[row.status]
        table.add_row(row.name, ago(row.started_at), state, ago(row.last_success), str(row.records_processed))
    console = Console()
    if not console.is_terminal:
        console.width = 120
    console.print(table if rows else "Nothing has run yet. Try `lsats run hub_daily`, or `lsats demo`.")
    for row in rows:
        if row.error_message:
            console.print(f"❌ {row.name}: {row.error_message}", highlight=False)


def ago(moment: datetime | None) -> str:
    """A moment as its distance from now."""
    if moment is None:
        return "never"
    minutes = int((datetime.now(UTC) - moment).total_seconds() // 60)
    for size, unit in ((1440, "d"), (60, "h")):
        if minutes >= size:
            return f"{minutes // size} {unit} ago"
    return f"{minutes} min ago"


def verify(
    tables: Annotated[
        list[str] | None, typer.Argument(help="Tables (departments); all of them when none is named.")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Prove that incremental and full refreshes give the same tables, on the data that is there. Writes nothing.

    Example: lsats verify departments
    """
    definitions = chosen(tables or [])
    with hub_environment() as settings, hub_database(settings) as database:
        verdicts = verify_tables(database, definitions, lock_wait_seconds=settings.lock_wait_seconds)
    if as_json:
        print(json.dumps([asdict(verdict) | {"equal": verdict.equal} for verdict in verdicts], indent=2))
    else:
        for verdict in verdicts:
            mark = "✅" if verdict.equal else "❌"
            print(
                f"{mark} {verdict.table}: {verdict.rows} rows, {verdict.differing} differing, "
                f"{verdict.missing} missing, {verdict.lingering} lingering"
            )
    if not all(verdict.equal for verdict in verdicts):
        raise typer.Exit(1)


def chosen(tables: list[str]) -> list[Definition]:
    """The named definitions and what they read, each after its inputs; all of them when none is named."""
    definitions = load_definitions(SQL_ROOT)
    by_name = {definition.name: definition for definition in definitions}
    waiting = [name if name.startswith("silver.") else f"silver.{name}" for name in tables] or list(by_name)
    if unknown := [name for name in waiting if name not in by_name]:
        raise ConfigurationError(f"no such table: {', '.join(unknown)}. Tables: {', '.join(sorted(by_name))}")
    wanted: set[str] = set()
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        waiting += [table for table in by_name[name].inputs if table in by_name and table not in wanted]
    return [definition for definition in definitions if definition.name in wanted]
