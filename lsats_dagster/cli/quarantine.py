"""`lsats quarantine`: what was quarantined, and putting it through again."""

import json
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.names import asset_keys, resolved
from lsats_dagster.cli.output import show as show_table
from lsats_dagster.cli.output import table
from lsats_dagster.ingestion.quarantine import Kept, kept, payload, replay
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.local_time import local
from lsats_dagster.runs import Origin
from lsats_dagster.settings import ConfigurationError

FOLLOW_UP = "lsats run silver_refresh"
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
        told = [asdict(row) | {"stream": asset_keys().get(row.stream, row.stream)} for row in rows]
        print(json.dumps(told, indent=2, default=str))
        return
    print_table(rows)


def print_table(rows: list[Kept]) -> None:
    """One line per record."""
    if not rows:
        print("✅ Nothing is quarantined")
        return
    shown = table("id", "table", "stage", "reason", "since", "resolved")
    for row in rows:
        name = asset_keys().get(row.stream, row.stream)
        shown.add_row(
            str(row.quarantine_id), name, row.stage, row.reason, local(row.quarantined_at), row.resolution or ""
        )
    show_table(shown)


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
        str | None,
        typer.Argument(metavar="[TABLE]", help="A table (bronze/tdx_departments); all of them when none is named."),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Put what is quarantined through the engine again, after its cause was fixed.

    Example: lsats quarantine replay bronze/tdx_departments
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
            key = asset_keys()[declaration.name]
            with database.transaction() as connection:
                stay = sum(row.stream == declaration.name for row in kept(connection, every=False))
            done[key] = {"replayed": run.counts.processed, "written": written, "left": stay}
            if written:
                # A replay is no materialization, so nothing in Dagster tells silver of it.
                done[key]["next"] = FOLLOW_UP
    if as_json:
        print(json.dumps(done, indent=2))
        return
    for name, figures in done.items():
        left = f"; {figures['left']} stay, as bad as before" if figures["left"] else ""
        print(f"✅ {name}: {figures['replayed']} replayed, {figures['written']} of them written{left}")
    if any("next" in figures for figures in done.values()):
        print(f"⏭️ Silver follows with `{FOLLOW_UP}`, or with the next nightly run")


def chosen(spelling: str | None) -> list[StreamDeclaration]:
    """The stream of the named table, or all."""
    wanted = None if spelling is None else resolved(spelling)
    found = [stream for stream in hub().streams if wanted in (None, asset_keys()[stream.name])]
    if not found:
        raise ConfigurationError(
            f"{wanted} is made of other tables and quarantines nothing: name one of bronze or enriched"
        )
    return found
