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
from lsats_dagster.resources import CLIENTS, open_database
from lsats_dagster.settings import REPOSITORY, REQUIRED, SQL_ROOT, ConfigurationError, Settings, load_settings
from lsats_dagster.transforms.definition import load_definitions

DAGSTER_DATABASE = "dagster"
CAMPUS_SIZE = "demo"


@contextmanager
def hub_environment(*, sources: bool = False) -> Iterator[Settings]:
    """Settings with a reachable database. Without DATABASE_URL the embedded server runs as long as the block.

    Sets DATABASE_URL, DAGSTER_PG_* and DAGSTER_HOME where they are not set, so that Dagster and its children find them.
    With `sources`, over the data of a demo and without a source of its own, the demo's campus runs as well.
    """
    with database_environment() as settings:
        state = campus_state(settings)
        own_sources = any(getattr(settings, name) for part in CLIENTS for way in REQUIRED[part] for name in way)
        if sources and state.exists() and not own_sources:
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
    try:
        settings.lsats_home.mkdir(parents=True, exist_ok=True)
        (settings.lsats_home / ".writable").touch()
        (settings.lsats_home / ".writable").unlink()
    except OSError as error:
        raise ConfigurationError(
            f"LSATS_HOME ({settings.lsats_home}) cannot be written ({error.strerror}): set it to a folder that can"
        ) from None
    if settings.database_url is not None:
        with variables(dagster_variables(settings, settings.database_url.get_secret_value())):
            yield load_settings()
        return
    with embedded_postgres(settings.lsats_home, binaries=settings.lsats_pg_bin) as server:
        url = server.url("lsats")
        with variables({"DATABASE_URL": url} | dagster_variables(settings, url)):
            yield load_settings()


def dagster_variables(settings: Settings, database_url: str) -> dict[str, str]:
    """What dagster.yaml reads: by default a second database on the hub's own server."""
    url = make_url(database_url)
    home = Path(os.environ.get("DAGSTER_HOME") or settings.lsats_home / "dagster").absolute()
    home.mkdir(parents=True, exist_ok=True)
    if home != REPOSITORY:
        shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    defaults = {
        "DAGSTER_PG_HOST": url.host or "127.0.0.1",
        "DAGSTER_PG_PORT": str(url.port or 5432),
        "DAGSTER_PG_USERNAME": url.username or "",
        "DAGSTER_PG_PASSWORD": url.password or "",
        "DAGSTER_PG_DATABASE": DAGSTER_DATABASE,
    }
    return {name: os.environ.get(name) or value for name, value in defaults.items()} | {"DAGSTER_HOME": str(home)}


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
            waiting = pending(connection, SQL_ROOT, load_definitions(SQL_ROOT))
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
