"""`lsats demo`: the whole hub over a simulated campus, in one command."""

import fcntl
import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import dagster as dg
import typer

from lsats_dagster.cli import FAILED, JSON
from lsats_dagster.cli.database import upgrade_database
from lsats_dagster.cli.dev import PORT, check_port, open_ui
from lsats_dagster.cli.environment import (
    campus_size,
    campus_state,
    hub_database,
    hub_environment,
    variables,
)
from lsats_dagster.cli.execution import dagster_instance
from lsats_dagster.cli.explain import EXAMPLE, show_fields
from lsats_dagster.cli.history import print_versions, versions
from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.names import asset_keys, silver_table
from lsats_dagster.cli.output import console, typed
from lsats_dagster.cli.run import Outcome, execute, show
from lsats_dagster.demo.campus import BAD_RECORD, SIZES, Campus, exports_beside, running_campus
from lsats_dagster.demo.postgres import cluster_folder, remove_cluster
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.runs import status
from lsats_dagster.settings import ConfigurationError, Settings, load_settings
from lsats_dagster.transforms.engine import subject
from lsats_dagster.transforms.explain import changed_key
from lsats_dagster.transforms.explain import explain as explain_row

EVERYTHING = "hub_daily"
# Days of a campus take minutes, so that no stream is due for the whole read that it has once a week.
WEEK = 7
Size = StrEnum("Size", {name: name for name in SIZES})  # type: ignore[misc]
# What the demo tells of people: their table, and how many of the fields on which sources disagree.
PEOPLE = "silver/users"
FIELDS_SHOWN = 3
FIGURES_SHOWN = {"created": "new", "updated": "updated", "removed": "removed", "failed": "quarantined"}


@dataclass
class Day:
    """One day of a demo: the run, and for each stream what the hub saw and what the campus did (new, updated, removed).

    weekly: the run that read whole, and so found removed, what is read by changes otherwise.
    """

    day: int
    run: Outcome
    weekly: Outcome | None = None
    seen: dict[str, list[int]] = field(default_factory=dict)
    done: dict[str, list[int]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether everything ran, and the hub saw all that happened and nothing else."""
        return self.run.success and (self.weekly is None or self.weekly.success) and self.seen == self.done

    def figures(self, label: str) -> list[int]:
        """What was seen of a stream: new, updated, removed."""
        daily = self.run.tables.get(label, {})
        last = self.weekly.tables.get(label, daily) if self.weekly else daily
        return [daily.get("created", 0), daily.get("updated", 0), last.get("removed", 0)]


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)
    app.command("clean")(clean)


def demo(
    days: Annotated[int, typer.Option(min=0, help="Campus days to live through after the first run.")] = 1,
    size: Annotated[
        Size | None,
        typer.Option(
            help="People of the campus: tiny 200, small 5,000, college 60,000. A campus keeps its size; a new one is small.",
        ),
    ] = None,
    ui: Annotated[bool, typer.Option("--ui", help="Open Dagster on the demo data afterwards, until Ctrl-C.")] = False,
    port: PORT = 3000,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show the log, and the whole summary of each run.")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Start a simulated campus, materialize everything, live a day, and show what the day changed.

    Its data goes into the database of DATABASE_URL, which must be empty or of a demo, or else into a Postgres that it
    starts. A later demo goes on from the day and the data of the one before. Example: lsats demo --days 3
    """
    own_server = load_settings().database_url is None
    if ui:
        check_port(port)
    if not (verbose or as_json):
        for handler in logging.getLogger("lsats_dagster").handlers:
            handler.setLevel(logging.WARNING)
    with hub_environment(make=True) as settings, only_one(settings.lsats_home):
        state = campus_state(settings)
        say = partial(print, file=sys.stderr if as_json else sys.stdout)
        say("🔄 Preparing the database")
        upgrade_database(settings)
        refuse_foreign_data(settings, state)
        say(f"🔄 Starting the campus: {', '.join(source.title for source in hub().sources)}, simulated on loopback")
        with running_campus(size=size or campus_size(settings), state=state) as campus, variables(campus.environment):
            with dagster_instance() as instance:
                lived = []
                for day in live(campus, instance, days, say):
                    lived.append(day)
                    if not as_json:
                        show_day(day, verbose=verbose)
            if as_json:
                print(json.dumps([asdict(day) | {"whole": day.whole} for day in lived], indent=2))
            else:
                print_directions(settings, own_server, show_example(settings, after_a_day=days > 0))
            if ui:
                open_ui(port)
    if not all(day.whole for day in lived):
        raise typer.Exit(FAILED)


def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove the embedded Postgres with all its data, and what the demo and Dagster keep in LSATS_HOME. Asks first.

    The database of DATABASE_URL is not touched. Example: lsats clean --yes
    """
    settings = load_settings()
    home = settings.lsats_home.absolute()
    cluster, dagster, files = (
        cluster_folder(home),
        home / "dagster",
        (campus_state(settings).absolute(), home / "demo.lock"),
    )
    exports = exports_beside(campus_state(settings))
    doomed = [path for path in (cluster, dagster, exports, *files) if path and path.exists()]
    if doomed and not yes:
        what = "".join(f"\n  {path}" for path in doomed)
        kept = "\nThe database of DATABASE_URL stays as it is." if settings.database_url else ""
        whole = "\nAll data of the embedded database is lost." if cluster else ""
        if not typer.confirm(f"This removes{what}{whole}{kept}\nRemove?"):
            raise typer.Exit(FAILED)
    remove_cluster(home)
    for path in files:
        path.unlink(missing_ok=True)
    for folder in (dagster, exports):
        shutil.rmtree(folder, ignore_errors=True)
    # LSATS_HOME may be a folder that holds other things; these stay.
    with suppress(OSError):
        home.rmdir()
    print(f"✅ Removed {', '.join(map(str, doomed))}" if doomed else f"✅ Nothing to remove in {home}")


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
    """Materialize everything, then live and materialize day by day, with one record that cannot be read among the others."""
    # From the first run on: `make ui` lives through no day, and a read without it would resolve what a demo before left.
    campus.poison(BAD_RECORD[0], [BAD_RECORD[1]])
    say(f"🔄 Campus day {campus.day()}: materializing everything through Dagster")
    yield Day(campus.day(), execute(EVERYTHING, instance, {}))
    for _ in range(days):
        changes = campus.live_one_day()
        say(f"\n🔄 Campus day {campus.day()}: a day has passed; the incremental run")
        day = Day(campus.day(), execute(EVERYTHING, instance, {}))
        if campus.day() % WEEK == 0 and (by_changes := read_by_changes()):
            say("🔄 A week has passed; reading whole what is read by changes otherwise")
            day.weekly = execute(" or ".join(f'key:"{label}"+' for label in by_changes), instance, {"full": True})
        for stream in (stream for stream in hub().streams if stream.name in changes):
            done = changes[stream.name]
            day.seen[stream.name] = day.figures(stream.label)
            day.done[stream.name] = [len(done.new) + len(done.returned), len(done.changed), len(done.removed)]
        yield day


def read_by_changes() -> list[str]:
    """Asset keys of the streams of which only a whole read tells what is gone."""
    lists = (stream for stream in hub().streams if isinstance(stream, ListStream))
    return [stream.label for stream in lists if stream.whole_every is not None]


def show_day(day: Day, *, verbose: bool) -> None:
    """A line about a day that went well; else, or when asked for, its summary, and what the hub saw and the campus did."""
    if day.whole and not verbose:
        sums = {
            name: sum(row.get(figure, 0) for row in day.run.tables.values()) for figure, name in FIGURES_SHOWN.items()
        }
        print(f"✅ {len(day.run.tables)} tables: {in_words(sums)}{'; exactly what the campus did' if day.seen else ''}")
        if day.seen and PEOPLE in day.run.tables:
            row = day.run.tables[PEOPLE]
            print(
                f"   of them people: {in_words({name: row.get(figure, 0) for figure, name in FIGURES_SHOWN.items()})}"
            )
        return
    for run in filter(None, (day.run, day.weekly)):
        show(run, as_json=False, dry_run=False)
    for name, seen in day.seen.items():
        done = day.done[name]
        mark = "✅" if seen == done else "❌"
        print(f"{mark} {asset_keys()[name]}: new, updated, removed {tuple(seen)}; the campus says {tuple(done)}")


def in_words(figures: dict[str, int]) -> str:
    """Figures by name; those that are 0 are left out."""
    return ", ".join(f"{number} {name}" for name, number in figures.items() if number) or "nothing has changed"


def show_example(settings: Settings, *, after_a_day: bool) -> tuple[str, str]:
    """One row, with values on which its sources disagree: of somebody whom the last day changed, and how. Gives its name."""
    with hub_database(settings) as database, database.transaction() as connection:
        people = [table for table in hub().tables if subject(table).label == PEOPLE and after_a_day]
        person = changed_key(connection, people[0]) if people else None
        entity, key = ("user", person) if person else EXAMPLE
        definition = silver_table(entity)
        explanation = explain_row(connection, definition, key, hub().tables)
        changes, _ = (versions(connection, definition, key, 1) if person else None) or ([], 0)
    if explanation is not None:
        print()
        print_versions(changes)
        disputed = [item for item in explanation.fields if any(value != item.value for value in item.losing.values())]
        show_fields(console(120), explanation, disputed[:FIELDS_SHOWN])
    return entity, key


def print_directions(settings: Settings, own_server: bool, explained: tuple[str, str]) -> None:
    """Where to look next, with the command as it can be typed here; explained: entity and key of the row shown before."""
    lsats = typed("lsats")
    home = settings.lsats_home.absolute()
    table = asset_keys()[BAD_RECORD[0]]
    # A line of these fits a terminal of 80 columns.
    steps = {
        "make ui": "Dagster; prints its address",
        f"{lsats} status": "how fresh, what needs an answer",
        f"{lsats} explain {' '.join(explained)}": "the whole row above",
        f"{lsats} find biscuit": "who and what is called so",
        f"{lsats} quarantine list": "what was refused, and why",
        f"{lsats} quarantine replay": "no rule was fixed, so it stays",
        f"{lsats} run {table}": "its source no longer sends it",
        f"{lsats} verify": "incremental and full agree",
        "docs/tables/README.md": "what every silver column means",
    }
    print("\nWhere to look next")
    for step, about in steps.items():
        print(f"  {step:<{max(map(len, steps))}}  {about}")
    if own_server:
        print(
            f"Data and embedded Postgres are in {cluster_folder(home)}, the rest in {home}; `{lsats} clean` removes them."
        )
    else:
        print(
            f"The data is in the database of DATABASE_URL, the rest in {home}; `{lsats} clean` removes the rest alone. "
            "A new demo then needs an empty database."
        )
