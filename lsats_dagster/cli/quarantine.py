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
    """Put what is quarantined through the engine again, after the rule that refused it was fixed.

    What the source repairs needs no replay: the next read of its table resolves it.
    Example: lsats quarantine replay bronze/tdx_departments
    """
    streams = chosen(stream)
    outcomes: dict[str, dict[str, int]] = {}
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
            outcomes[key] = {"replayed": run.counts.processed, "written": written, "left": stay}
    if as_json:
        # A replay is no materialization, so nothing in Dagster tells silver of it.
        more = {name: {"next": FOLLOW_UP} if figures["written"] else {} for name, figures in outcomes.items()}
        print(json.dumps({name: {**figures, **more[name]} for name, figures in outcomes.items()}, indent=2))
        return
    told = {name: in_words(**figures) for name, figures in outcomes.items() if figures["replayed"] or figures["left"]}
    for name, sentence in told.items():
        print(f"{'⚠️' if outcomes[name]['left'] else '✅'} {name}: {sentence}")
    if not told:
        print("✅ Nothing is quarantined" if stream is None else f"✅ {next(iter(outcomes))}: nothing is quarantined")
    if any(figures["written"] for figures in outcomes.values()):
        print(f"⏭️ Silver follows with `{FOLLOW_UP}`, or with the next nightly run")


def in_words(replayed: int, written: int, left: int) -> str:
    """What a replay did with the records of one table. Of what it put through it writes what is not there already."""
    done = []
    if replayed and written == replayed:
        done.append(f"{records(replayed)} replayed and written")
    elif replayed and not written:
        done.append(
            f"{records(replayed)} replayed, nothing written: {'it was' if replayed == 1 else 'all were'} there already"
        )
    elif replayed:
        done.append(f"{records(replayed)} replayed: {written} written, {replayed - written} there already")
    if left:
        done.append(f"{records(left)} stay{'s' * (left == 1)}, as bad as before")
    return "; ".join(done)


def records(number: int) -> str:
    """A number of records."""
    return f"{number} record{'s' * (number != 1)}"


def chosen(spelling: str | None) -> list[StreamDeclaration]:
    """The stream of the named table, or all."""
    wanted = None if spelling is None else resolved(spelling)
    found = [stream for stream in hub().streams if wanted in (None, asset_keys()[stream.name])]
    if not found:
        raise ConfigurationError(
            f"{wanted} is made of other tables and quarantines nothing: name one of bronze or enriched"
        )
    return found
