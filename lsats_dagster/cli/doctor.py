"""`lsats doctor`: whether everything the hub stands on works; each fault in its own sentence, with what to do."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import dagster as dg
import typer
from sqlalchemy import Connection, make_url

from lsats_dagster.automation.alerts import channels
from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_environment
from lsats_dagster.cli.execution import dagster_instance
from lsats_dagster.cli.hub import hub, whole
from lsats_dagster.clients.errors import SourceError, TransientSourceError
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.database import READER, Database, DatabaseError, UnusableServerError
from lsats_dagster.ingestion.call_window import call_allowances
from lsats_dagster.local_time import local
from lsats_dagster.migrations import (
    MigrationError,
    check_encoding,
    load_migrations,
    pending,
    reader_sees_views,
    recorded_migrations,
    server_facts,
    service_grant,
    writer_rights_hold,
)
from lsats_dagster.resources import open_client, open_database
from lsats_dagster.runs import status
from lsats_dagster.settings import SQL_ROOT, ConfigurationError, Settings, load

CLOCK_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. state: ok, warning, fault."""

    about: str
    state: str
    sentence: str


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(as_json: JSON = False) -> None:
    """Look at configuration, database, rights, schema, Dagster's storage, alerts, and every source with its limits and clock.

    Example: lsats doctor
    """
    with hub_environment(sources=True) as settings:
        findings = [
            *look_at_database(settings),
            *look_at_administrator(settings),
            *look_at_dagster(),
            look_at_alerts(settings),
            *look_at_sources(settings),
        ]
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{ {'ok': '✅', 'warning': '⚠️', 'fault': '❌'}[finding.state] } {finding.about}: {finding.sentence}")
    if any(finding.state == "fault" for finding in findings):
        raise typer.Exit(1)


def look_at_database(settings: Settings) -> Iterator[Finding]:
    """Connection, server, clock, rights, schema of the hub's database, and what it knows of the sources' limits."""
    database = open_database(settings, "lsats doctor")
    # A server that cannot be used says so to a login with its own rights; it need not know the hub's roles.
    plain = Database(settings.require_database(), role=None, application="lsats doctor")
    try:
        with plain.connect():
            pass
        with database.transaction() as connection:
            name, now = server_facts(connection)
            yield Finding("database", "ok", f"Postgres {name} answers")
            yield clock("database", (now - datetime.now(UTC)).total_seconds())
            check_encoding(connection)
            if writer_rights_hold(connection):
                yield Finding("rights", "ok", "the writer role appends to bronze and can change nothing in it")
            else:
                yield Finding(
                    "rights", "fault", "the writer role has other rights than it should: run `lsats db upgrade`"
                )
            yield look_at_schema(connection)
            yield from look_at_allowances(connection)
        yield look_at_reader(settings)
    except UnusableServerError:
        # Nothing else is worth a look before this is put right.
        raise
    except DatabaseError as error:
        yield Finding("database", "fault", explain_database(error, settings))
    except MigrationError as error:
        yield Finding("database", "fault", str(error))
    finally:
        plain.dispose()
        database.dispose()


def look_at_schema(connection: Connection) -> Finding:
    """What was applied to the database, beside what this checkout brings."""
    applied = [name.removesuffix(".sql") for name, _ in recorded_migrations(connection).values()]
    at = f"at {applied[-1]}" if applied else "without any migration"
    newest = load_migrations(SQL_ROOT / "migrations")[-1].name.removesuffix(".sql")
    try:
        waiting = pending(connection, SQL_ROOT, whole().streams, whole().tables)
    except MigrationError as error:
        return Finding("schema", "fault", f"{at}, this checkout at {newest}: {error}")
    if waiting:
        what = ", ".join(waiting)
        return Finding("schema", "fault", f"{at}, behind this checkout at {newest} ({what}): run `lsats db upgrade`")
    return Finding("schema", "ok", f"{at}, as this checkout says")


def look_at_allowances(connection: Connection) -> Iterator[Finding]:
    """The calls that each source still grants, as the runs' answers told; sources on one host share a finding."""
    sources: dict[str, list[str]] = {}
    for source in hub().sources:
        with suppress(ConfigurationError):  # that source's own finding
            address = getattr(load(source.settings), source.settings.address())
            if host := urlsplit(str(address or "")).netloc.lower():
                sources.setdefault(host, []).append(source.name)
    windows = call_allowances(connection)
    called = {row.name for row in status(connection)}
    for host, names in sources.items():
        seen = [
            f"{method}: {left} of {most} calls left until {local(ends_at, '%Y-%m-%d %H:%M:%S')}"
            for method, left, most, ends_at in windows
            if method.startswith(f"{host} ")
        ]
        read = any(
            stream.name in called for source in hub().sources if source.name in names for stream in source.streams
        )
        none = "runs told of no limits at this address" if read else "no run has called it yet"
        sentence = f"as runs last saw it, {'; '.join(seen)}" if seen else none
        yield Finding(" and ".join(names), "ok", sentence)


def explain_database(error: DatabaseError, settings: Settings) -> str:
    """What a connection error means, and what to do."""
    if "permission denied to set role" in str(error):
        assert settings.database_url is not None
        login = make_url(settings.database_url.get_secret_value()).username or "the login"
        return (
            f"the login may not act as the hub's roles ({error}): ask an administrator of the server to run "
            f"`{service_grant(login)}`; `lsats db upgrade` does it where DATABASE_ADMIN_URL may"
        )
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


def look_at_administrator(settings: Settings) -> Iterator[Finding]:
    """Whether the login for upgrades connects, where there is one."""
    if settings.database_admin_url is None:
        return
    database = Database(settings.database_admin_url.get_secret_value(), role=None, application="lsats doctor")
    try:
        with database.transaction():
            yield Finding("administrator", "ok", "DATABASE_ADMIN_URL connects")
    except DatabaseError as error:
        yield Finding("administrator", "fault", f"{error}: look at DATABASE_ADMIN_URL")
    finally:
        database.dispose()


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
            f"its storage does not answer ({type(error).__name__}): look at DAGSTER_PG_URL",
        )


def look_at_alerts(settings: Settings) -> Finding:
    """Where alerts go. A channel that is set by half is a settings error before this."""
    names = list(channels(settings))
    if len(names) > 1:
        return Finding("alerts", "ok", f"they go to {', '.join(names)}")
    return Finding(
        "alerts", "warning", "they go to the log alone: set ALERT_WEBHOOK_URL, or ALERT_SMTP_HOST and ALERT_EMAIL_TO"
    )


def look_at_sources(settings: Settings) -> Iterator[Finding]:
    """Settings, login, rights, limits and clock of every source."""
    for source in hub().sources:
        try:
            given = load(source.settings)
        except ConfigurationError as error:
            yield Finding(source.name, "fault", str(error))
            continue
        if given.missing:
            state = "fault" if given.is_set_up else "warning"
            yield Finding(
                source.name,
                state,
                f"{', '.join(given.missing)} not set, so it is not read (.env.example explains each)",
            )
            continue
        try:
            client = open_client(source, settings, LocalCallWindow())
            try:
                probe = client.probe()
            finally:
                client.close()
        except TransientSourceError as error:
            address = source.settings.address().upper()
            yield Finding(source.name, "fault", f"{error}: look at {address}, and whether this host may reach it")
            continue
        except SourceError as error:
            yield Finding(source.name, "fault", str(error))
            continue
        limits = "; ".join(f"{method}: {left} of {most} calls left" for method, (most, left) in probe.limits.items())
        yield Finding(source.name, "ok", f"login and read work; {limits or 'it tells no limits'}")
        if probe.clock_difference is not None:
            yield clock(source.name, probe.clock_difference)


def clock(about: str, seconds: float) -> Finding:
    """A finding about a clock that differs from ours by `seconds`. Sources tell whole seconds only."""
    if abs(seconds) <= CLOCK_SECONDS:
        return Finding(about, "ok", f"its clock agrees with ours ({round(seconds):+d} s)")
    return Finding(about, "warning", f"its clock differs from ours by {round(seconds):+d} s: set both by NTP")
