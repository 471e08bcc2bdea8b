"""Where a command finds its database: DATABASE_URL, or the embedded server of LSATS_HOME, and Dagster's instance beside it."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, make_url

from lsats_dagster.cli.hub import hub, whole
from lsats_dagster.database import READER, Database
from lsats_dagster.demo.campus import kept_size, running_campus
from lsats_dagster.demo.postgres import cluster_folder, embedded_postgres
from lsats_dagster.migrations import pending
from lsats_dagster.settings import REPOSITORY, SQL_ROOT, ConfigurationError, Settings, load_settings
from lsats_dagster.source import Source, set_up


@contextmanager
def hub_environment(*, sources: bool = False, make: bool = False) -> Iterator[Settings]:
    """Settings with a reachable database. Without DATABASE_URL the embedded server runs as long as the block; its database
    is made with `make` only, otherwise ConfigurationError says where one was looked for.

    Sets DATABASE_URL, DAGSTER_PG_URL and DAGSTER_HOME where they are not set, so that Dagster and its children find them.
    With `sources`, over the data of a demo and without a source of its own, the demo's campus runs as well.
    """
    with database_environment(make) as settings:
        if sources and campus_stands_in(settings):
            with (
                running_campus(size=campus_size(settings), state=campus_state(settings)) as campus,
                variables(campus.environment),
            ):
                yield load_settings()
        else:
            yield settings


def campus_state(settings: Settings) -> Path:
    """Where the demo keeps its campus."""
    return settings.lsats_home / "campus.json"


def campus_size(settings: Settings) -> str:
    """The size of the demo's campus: as it was made, or small."""
    return kept_size(campus_state(settings)) or "small"


def campus_stands_in(settings: Settings) -> bool:
    """Whether the demo's campus answers for the sources: over the data of a demo, and where none of them is set up."""
    return campus_state(settings).exists() and not set_up(hub().sources)


def sources_read(settings: Settings) -> Sequence[Source]:
    """The sources that runs read here: those that are set up, or all, which the demo's campus answers for."""
    # A run over the data of a demo reads its campus; so does `lsats dev`, with its schedules.
    return hub().sources if campus_stands_in(settings) else set_up(hub().sources)


@contextmanager
def database_environment(make: bool) -> Iterator[Settings]:
    """The part of `hub_environment` that is about Postgres."""
    settings = load_settings()
    if not (make or settings.database_url or cluster_folder(settings.lsats_home)):
        raise ConfigurationError(
            f"there is no hub here: DATABASE_URL is not set, and {settings.lsats_home.absolute()} holds no database. Go to the "
            "folder of your hub, set DATABASE_URL or LSATS_HOME, or make a hub by `lsats demo` or `lsats db upgrade`"
        )
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
    """What Dagster and its dagster.yaml read: by default a second database on the hub's own server."""
    home = (settings.dagster_home or settings.lsats_home / "dagster").absolute()
    with folder_of("DAGSTER_HOME", home):
        if home != REPOSITORY:
            shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    beside = make_url(database_url).set(drivername="postgresql+psycopg2", database="dagster")
    storage = beside.difference_update_query(["dbname"]).render_as_string(hide_password=False)
    if settings.dagster_pg_url is not None:
        storage = settings.dagster_pg_url.get_secret_value()
    return {"DAGSTER_HOME": str(home), "DAGSTER_PG_URL": storage}


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
    database = Database(settings.require_database())
    try:
        with database.connect() as connection:
            waiting = pending(connection, SQL_ROOT, whole().streams, whole().tables)
        if waiting:
            raise ConfigurationError(f"the database is behind this checkout ({waiting[0]}): run `lsats db upgrade`")
        yield database
    finally:
        database.dispose()


@contextmanager
def as_reader(settings: Settings) -> Iterator[Connection]:
    """A read-only connection of the role of analysts, which sees the views and nothing else, to the same database."""
    with hub_database(settings):
        database = Database(settings.require_database(), role=READER, read_only=True)
        try:
            with database.transaction() as connection:
                yield connection
        finally:
            database.dispose()
