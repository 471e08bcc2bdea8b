"""Where a command finds its database: DATABASE_URL, or the embedded server of LSATS_HOME, and Dagster's instance beside it."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from sqlalchemy import make_url

from lsats_dagster.database import Database
from lsats_dagster.demo.campus import running_campus
from lsats_dagster.demo.postgres import embedded_postgres
from lsats_dagster.migrations import pending
from lsats_dagster.resources import open_database
from lsats_dagster.settings import REPOSITORY, SQL_ROOT, ConfigurationError, Settings, load, load_settings
from lsats_dagster.sources import SOURCES, STREAMS
from lsats_dagster.transforms.definition import load_definitions

CAMPUS_SIZE = "demo"


@contextmanager
def hub_environment(*, sources: bool = False) -> Iterator[Settings]:
    """Settings with a reachable database. Without DATABASE_URL the embedded server runs as long as the block.

    Sets DATABASE_URL, DAGSTER_PG_* and DAGSTER_HOME where they are not set, so that Dagster and its children find them.
    With `sources`, over the data of a demo and without a source of its own, the demo's campus runs as well.
    """
    with database_environment() as settings:
        state = campus_state(settings)
        if sources and state.exists() and not any(load(source.settings).is_set_up for source in SOURCES):
            with running_campus(size=CAMPUS_SIZE, state=state) as campus, variables(campus.environment):
                yield load_settings()
        else:
            yield settings


def campus_state(settings: Settings) -> Path:
    """Where the demo keeps the day of its campus."""
    return settings.lsats_home / "campus.json"


@contextmanager
def database_environment() -> Iterator[Settings]:
    """The part of `hub_environment` that is about Postgres."""
    settings = load_settings()
    with folder_of("LSATS_HOME", settings.lsats_home):
        (settings.lsats_home / ".writable").touch()
        (settings.lsats_home / ".writable").unlink()
    if settings.database_url is not None:
        with variables(dagster_variables(settings, settings.database_url.get_secret_value())):
            yield load_settings()
        return
    with embedded_postgres(settings.lsats_home, binaries=settings.lsats_pg_bin) as server:
        url = server.url("lsats")
        with variables({"DATABASE_URL": url} | dagster_variables(settings, url)):
            yield load_settings()


@contextmanager
def folder_of(variable: str, folder: Path) -> Iterator[None]:
    """The folder exists; ConfigurationError when it cannot be made, or the block cannot write into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{variable} ({folder}) cannot be written ({error.strerror}): set it to a folder that can"
        ) from None


def dagster_variables(settings: Settings, database_url: str) -> dict[str, str]:
    """What dagster.yaml reads: by default a second database on the hub's own server."""
    url = make_url(database_url)
    home = (settings.dagster_home or settings.lsats_home / "dagster").absolute()
    with folder_of("DAGSTER_HOME", home):
        if home != REPOSITORY:
            shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    password = settings.dagster_pg_password
    return {
        "DAGSTER_HOME": str(home),
        "DAGSTER_PG_HOST": settings.dagster_pg_host or url.host or "127.0.0.1",
        "DAGSTER_PG_PORT": str(settings.dagster_pg_port or url.port or 5432),
        "DAGSTER_PG_USERNAME": settings.dagster_pg_username or url.username or "",
        "DAGSTER_PG_PASSWORD": password.get_secret_value() if password else url.password or "",
        "DAGSTER_PG_DATABASE": settings.dagster_pg_database,
    }


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the length of the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def hub_database(settings: Settings) -> Iterator[Database]:
    """The hub's database, of a schema that fits this checkout; ConfigurationError names `lsats db upgrade` otherwise."""
    database = open_database(settings)
    try:
        with database.connect() as connection:
            waiting = pending(connection, SQL_ROOT, STREAMS, load_definitions(SQL_ROOT))
        if waiting:
            raise ConfigurationError(f"the database is behind this checkout ({waiting[0]}): run `lsats db upgrade`")
        yield database
    finally:
        database.dispose()


def dagster_instance() -> dg.DagsterInstance:
    """Dagster's instance of DAGSTER_HOME; ConfigurationError when its storage does not answer."""
    name = os.environ["DAGSTER_PG_DATABASE"]
    try:
        return dg.DagsterInstance.get()
    except Exception as error:
        reason = type(error).__name__
    raise ConfigurationError(
        f"Dagster's own storage does not answer ({reason}): make the database {name!r} on the hub's server "
        f'(create database "{name}"), or name another one in DAGSTER_PG_DATABASE'
    )
