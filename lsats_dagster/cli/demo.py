"""`lsats demo`: the whole hub over a simulated campus, in one command."""

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import dagster as dg
import typer

from lsats_dagster.cli import FAILED, JSON
from lsats_dagster.cli.database import upgrade_database
from lsats_dagster.cli.dev import PORT, check_port, open_ui
from lsats_dagster.cli.environment import (
    CAMPUS_SIZE,
    campus_state,
    dagster_instance,
    hub_database,
    hub_environment,
    variables,
)
from lsats_dagster.cli.run import Outcome, execute, show
from lsats_dagster.demo.campus import Campus, running_campus
from lsats_dagster.demo.postgres import remove_cluster
from lsats_dagster.runs import status
from lsats_dagster.settings import ConfigurationError, Settings, load_settings
from lsats_dagster.sources import STREAMS

EVERYTHING = "hub_daily"


@dataclass
class Day:
    """One day of a demo: the run, and for each stream what the hub saw and what the campus did (new, updated, removed)."""

    day: int
    run: Outcome
    seen: dict[str, list[int]] = field(default_factory=dict)
    done: dict[str, list[int]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether everything ran, and the hub saw all that happened and nothing else."""
        return self.run.success and self.seen == self.done


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)
    app.command("clean")(clean)


def demo(
    days: Annotated[int, typer.Option(min=0, help="Campus days to live through after the first run.")] = 1,
    ui: Annotated[bool, typer.Option("--ui", help="Open Dagster on the demo data afterwards, until Ctrl-C.")] = False,
    port: PORT = 3000,
    as_json: JSON = False,
) -> None:
    """Start Postgres and a simulated campus, materialize everything, live a day, and show what the day changed.

    A later demo goes on from the day and the data of the one before. Example: lsats demo --days 3
    """
    if ui:
        check_port(port)
    with hub_environment() as settings, only_one(settings.lsats_home):
        state = campus_state(settings)
        say = partial(print, file=sys.stderr if as_json else sys.stdout)
        say("🔄 Preparing the database")
        upgrade_database(settings)
        refuse_foreign_data(settings, state)
        say("🔄 Starting the campus: TeamDynamix and the UMich API gateway, simulated on loopback")
        with running_campus(size=CAMPUS_SIZE, state=state) as campus, variables(campus.environment):
            with dagster_instance() as instance:
                lived = []
                for day in live(campus, instance, days, say):
                    lived.append(day)
                    if not as_json:
                        show_day(day)
            if as_json:
                print(json.dumps([asdict(day) | {"whole": day.whole} for day in lived], indent=2))
            else:
                print_directions(settings)
            if ui:
                open_ui(port)
    if not all(day.whole for day in lived):
        raise typer.Exit(FAILED)


def clean() -> None:
    """Remove the embedded Postgres with all its data, and what the demo keeps in LSATS_HOME.

    Example: lsats clean
    """
    home = load_settings().lsats_home
    remove_cluster(home)
    for path in (campus_state(load_settings()), home / "demo.lock"):
        path.unlink(missing_ok=True)
    shutil.rmtree(home / "dagster", ignore_errors=True)
    # LSATS_HOME may be a folder that holds other things; these stay.
    with suppress(OSError):
        home.rmdir()
    print(f"✅ The demo data of {home} is gone")


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Two demos would live through each other's days."""
    with (home / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(
                f"another demo runs on {home}: wait until it has ended, or set LSATS_HOME to another folder"
            ) from None
        yield


def refuse_foreign_data(settings: Settings, state: Path) -> None:
    """The demo writes invented departments, so it only touches a database that is empty or its own."""
    with hub_database(settings) as database, database.transaction() as connection:
        used = bool(status(connection))
    if used and not state.exists():
        raise ConfigurationError(
            "the database holds data that no demo wrote; the demo would mix invented departments into it. "
            "Unset DATABASE_URL, or name an empty database"
        )


def live(campus: Campus, instance: dg.DagsterInstance, days: int, say: Callable[[str], None]) -> Iterator[Day]:
    """Materialize everything, then live and materialize day by day."""
    say(f"🔄 Campus day {campus.day()}: materializing everything through Dagster")
    yield Day(campus.day(), execute(EVERYTHING, instance, {}))
    for _ in range(days):
        changes = campus.live_one_day()
        say(f"\n🔄 Campus day {campus.day()}: a day has passed; the incremental run")
        day = Day(campus.day(), execute(EVERYTHING, instance, {}))
        for stream in (stream for stream in STREAMS if stream.name in changes):
            seen = day.run.tables.get(f"{stream.layer}/{stream.table}", {})
            done = changes[stream.name]
            day.seen[stream.name] = [seen.get(figure, 0) for figure in ("created", "updated", "removed")]
            day.done[stream.name] = [len(done.new) + len(done.returned), len(done.changed), len(done.removed)]
        yield day


def show_day(day: Day) -> None:
    """The summary of a day's run, and what the hub saw beside what the campus did."""
    show(day.run, as_json=False, dry_run=False)
    for name, seen in day.seen.items():
        done = day.done[name]
        print(
            f"{'✅' if seen == done else '❌'} {name}: new, updated, removed {tuple(seen)}; the campus says {tuple(done)}"
        )


def print_directions(settings: Settings) -> None:
    """Where to look next, with the command as it can be typed here."""
    lsats = os.path.relpath(sys.argv[0])
    print(
        f"""
Where to look next
  make ui                              Dagster over this data: lineage, runs, figures (http://127.0.0.1:3000)
  {lsats} status               last run and last success of every table
  {lsats} verify               proof that incremental and full refreshes agree
  {lsats} run group:tdx        read one source again
  docs/tables/README.md                every silver column and what it means
Data, logs and the embedded Postgres are in {settings.lsats_home.absolute()}; `make clean` removes them."""
    )
