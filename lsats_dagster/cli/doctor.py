"""`lsats doctor`: whether everything the hub stands on works; each fault in its own sentence, with what to do."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import dagster as dg
import typer

from lsats_dagster.cli.environment import dagster_instance, hub_environment
from lsats_dagster.clients.errors import SourceError, TransientSourceError
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.database import READER, Database, DatabaseError
from lsats_dagster.migrations import MigrationError, pending, reader_sees_views, server_facts, writer_rights_hold
from lsats_dagster.resources import CLIENTS, open_client, open_database
from lsats_dagster.settings import REQUIRED, SQL_ROOT, Settings
from lsats_dagster.transforms.definition import load_definitions

OLDEST_SERVER = 160_000
CLOCK_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. state: ok, warning, fault."""

    about: str
    state: str
    sentence: str


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """Look at configuration, database, rights, schema, Dagster's storage, and every source with its limits and clock.

    Example: lsats doctor
    """
    with hub_environment(sources=True) as settings:
        findings = [*look_at_database(settings), *look_at_dagster(), *look_at_sources(settings)]
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{ {'ok': '✅', 'warning': '⚠️', 'fault': '❌'}[finding.state] } {finding.about}: {finding.sentence}")
    if any(finding.state == "fault" for finding in findings):
        raise typer.Exit(1)


def look_at_database(settings: Settings) -> Iterator[Finding]:
    """Connection, server, clock, rights, schema of the hub's database."""
    database = open_database(settings, "lsats doctor")
    try:
        with database.transaction() as connection:
            version, name, now = server_facts(connection)
            if version >= OLDEST_SERVER:
                yield Finding("database", "ok", f"Postgres {name} answers")
            else:
                yield Finding("database", "fault", f"Postgres {name} is too old: 16 or newer is needed")
            yield clock("database", (now - datetime.now(UTC)).total_seconds())
            if writer_rights_hold(connection):
                yield Finding("rights", "ok", "the writer role appends to bronze and can change nothing in it")
            else:
                yield Finding(
                    "rights", "fault", "the writer role has other rights than it should: run `lsats db upgrade`"
                )
            waiting = pending(connection, SQL_ROOT, load_definitions(SQL_ROOT))
            if waiting:
                what = ", ".join(waiting)
                yield Finding("schema", "fault", f"behind this checkout ({what}): run `lsats db upgrade`")
            else:
                yield Finding("schema", "ok", "as this checkout says")
        yield look_at_reader(settings)
    except MigrationError as error:
        yield Finding("schema", "fault", str(error))
    except DatabaseError as error:
        yield Finding("database", "fault", explain_database(error))
    finally:
        database.dispose()


def explain_database(error: DatabaseError) -> str:
    """What a connection error means, and what to do."""
    if error.sqlstate in ("3F000", "42P01") or "lsats_writer" in str(error):
        return f"the hub's schema is not there ({error}): run `lsats db upgrade`"
    return f"{error}: look at DATABASE_URL, and whether the server runs and lets this host in"


def look_at_reader(settings: Settings) -> Finding:
    """Whether the connection for analysts works."""
    assert settings.database_url is not None
    reader = Database(settings.database_url.get_secret_value(), role=READER, read_only=True)
    try:
        with reader.transaction() as connection:
            reader_sees_views(connection)
        return Finding("reader", "ok", "the reader role sees the views")
    except DatabaseError as error:
        return Finding("reader", "fault", f"the reader role does not see the views ({error}): run `lsats db upgrade`")
    finally:
        reader.dispose()


def look_at_dagster() -> Iterator[Finding]:
    """Dagster's own storage."""
    try:
        with dagster_instance() as instance:
            instance.get_runs(limit=1)
        yield Finding("dagster", "ok", f"version {dg.__version__}, its storage answers")
    except Exception as error:
        yield Finding(
            "dagster",
            "fault",
            f"its storage does not answer ({type(error).__name__}): look at the DAGSTER_PG_ variables",
        )


def look_at_sources(settings: Settings) -> Iterator[Finding]:
    """Settings, login, rights, limits and clock of every source."""
    for source in CLIENTS:
        missing = settings.missing([source])
        if missing:
            known = {name for way in REQUIRED[source] for name in way if getattr(settings, name)}
            state = "fault" if known else "warning"
            yield Finding(
                source, state, f"{', '.join(missing)} not set, so it is not read (.env.example explains each)"
            )
            continue
        try:
            client = open_client(source, settings, LocalCallWindow())
            try:
                probe = client.probe()
            finally:
                client.close()
        except TransientSourceError as error:
            address = REQUIRED[source][0][0].upper()
            yield Finding(source, "fault", f"{error}: look at {address}, and whether this host may reach it")
            continue
        except SourceError as error:
            yield Finding(source, "fault", str(error))
            continue
        limits = "; ".join(f"{method}: {left} of {most} calls left" for method, (most, left) in probe.limits.items())
        yield Finding(source, "ok", f"login and read work; {limits or 'it tells no limits'}")
        if probe.clock_difference is not None:
            yield clock(source, probe.clock_difference)


def clock(about: str, seconds: float) -> Finding:
    """A finding about a clock that differs from ours by `seconds`. Sources tell whole seconds only."""
    if abs(seconds) <= CLOCK_SECONDS:
        return Finding(about, "ok", "its clock agrees with ours")
    return Finding(about, "warning", f"its clock differs from ours by {seconds:+.0f} s: set both by NTP")
