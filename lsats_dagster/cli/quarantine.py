"""`lsats quarantine`: what was quarantined, and putting it through again."""

import json
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from lsats_dagster.automation.jobs import SILVER_REFRESH
from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.ingestion.quarantine import Kept, kept, payload, replay
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Origin
from lsats_dagster.settings import ConfigurationError
from lsats_dagster.sources import STREAMS

FOLLOW_UP = f"lsats run {SILVER_REFRESH}"
commands = typer.Typer(help="Records that could not be read, keyed or converted.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="quarantine")


@commands.command("list")
def list_kept(
    every: Annotated[bool, typer.Option("--all", help="Show those that are resolved, too.")] = False,
    as_json: JSON = False,
) -> None:
    """List what is quarantined, without its contents.

    Example: lsats quarantine list
    """
    with hub_environment() as settings, hub_database(settings) as database, database.transaction() as connection:
        rows = kept(connection, every=every)
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2, default=str))
        return
    print_table(rows)


def print_table(rows: list[Kept]) -> None:
    """One line per record."""
    console = Console()
    if not console.is_terminal:
        console.width = 160
    if not rows:
        console.print("✅ Nothing is quarantined")
        return
    table = Table("id", "stream", "stage", "reason", "since", "resolved")
    for row in rows:
        since = f"{row.quarantined_at:%Y-%m-%d %H:%M}"
        table.add_row(str(row.quarantine_id), row.stream, row.stage, row.reason, since, row.resolution or "")
    console.print(table)


@commands.command("show")
def show(quarantine_id: Annotated[str, typer.Argument(help="An id that `list` shows.")]) -> None:
    """Print the record itself. It may hold people's data: mind where the output goes.

    Example: lsats quarantine show 0d9c7f3e-5d0a-4c55-9f6b-2b1f4e6a7c10
    """
    try:
        wanted = UUID(quarantine_id)
    except ValueError:
        raise ConfigurationError(f"{quarantine_id!r} is no id; `lsats quarantine list` shows them") from None
    with hub_environment() as settings, hub_database(settings) as database, database.transaction() as connection:
        found = payload(connection, wanted)
    if found is None:
        print(f"❌ Nothing has the id {wanted}")
        raise typer.Exit(1)
    print(found)


@commands.command("replay")
def replay_command(
    stream: Annotated[
        str | None, typer.Argument(help="A stream (tdx/department); all of them when none is named.")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Put what is quarantined through the engine again, after its cause was fixed.

    Example: lsats quarantine replay tdx/department
    """
    streams = chosen(stream)
    done: dict[str, dict[str, int | str]] = {}
    with hub_environment() as settings, hub_database(settings) as database:
        for declaration in streams:
            run = replay(
                database,
                declaration,
                origin=Origin(),
                batch_size=settings.batch_size,
                lock_wait_seconds=settings.lock_wait_seconds,
            )
            written = run.counts.created + run.counts.updated
            done[declaration.name] = {"replayed": run.counts.processed, "written": written}
            if written:
                # A replay is no materialization, so nothing in Dagster tells silver of it.
                done[declaration.name]["next"] = FOLLOW_UP
    if as_json:
        print(json.dumps(done, indent=2))
        return
    for name, figures in done.items():
        print(f"✅ {name}: {figures['replayed']} replayed, {figures['written']} of them written")
    if any("next" in figures for figures in done.values()):
        print(f"⏭️ Silver follows with `{FOLLOW_UP}`, or with the next nightly run")


def chosen(stream: str | None) -> list[StreamDeclaration]:
    """The named stream, or all."""
    found = [declaration for declaration in STREAMS if stream in (None, declaration.name)]
    if not found:
        raise ConfigurationError(f"no such stream: {stream}. Streams: {', '.join(d.name for d in STREAMS)}")
    return found
