"""What every test may ask for: a real Postgres, a hub database of its own, a running campus, clients that reach it."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import text

from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.database import Database
from lsats_dagster.demo.campus import Campus, running_campus
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.details import enrich
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.migrations import upgrade
from lsats_dagster.runs import Origin, Run
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.source import Source, Terms
from lsats_dagster.sources import SOURCES, STREAMS
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster_tests.clients.aids import PATIENT
from lsats_dagster_tests.databases import HubDatabases, own_server
from lsats_dagster_tests.databases import new_database as new_database

# How fast examples come is no concern of a test: a busy machine would turn it red.
settings.register_profile("suite", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("suite")

DEFINITIONS: tuple[Definition, ...] = load_definitions(SQL_ROOT)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A private Postgres server for the session, with one upgraded hub database as template."""
    with own_server(tmp_path_factory.mktemp("postgres")) as running:
        template = Database(running.url("lsats"), role=None)
        upgrade(template, SQL_ROOT, STREAMS, DEFINITIONS)
        template.dispose()
        yield running


@pytest.fixture(scope="session")
def hub_databases(server: EmbeddedPostgres) -> HubDatabases:
    return HubDatabases(server)


@pytest.fixture
def emptied_database(hub_databases: HubDatabases) -> Callable[[], str]:
    """Gives the URL of an upgraded, empty hub database, another one at each call. The next test gets the same ones."""
    numbers = itertools.count()
    return lambda: hub_databases.emptied(next(numbers))


@pytest.fixture
def hub(emptied_database: Callable[[], str]) -> Iterator[Database]:
    """An upgraded, empty hub database on the connection that an asset gets."""
    database = Database(emptied_database())
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def campus_process() -> Iterator[Campus]:
    with running_campus() as campus:
        yield campus


@pytest.fixture
def campus(campus_process: Campus) -> Campus:
    """The campus, as on its first day."""
    campus_process.reset()
    return campus_process


def source_named(name: str) -> Source:
    """The declared source of this name."""
    return next(source for source in SOURCES if source.name == name)


def source_of(stream: StreamDeclaration) -> Source:
    """The declared source whose stream this is, or is a variant of."""
    return next(source for source in SOURCES if stream.name in {declared.name for declared in source.streams})


def make_client(campus: Campus, source: Source, settings: Mapping[str, Any] | None = None, **terms: Any) -> Any:
    """A real client of the campus for one source, as the hub opens it; `settings` in place of what the campus tells."""
    known = {name.lower(): value for name, value in campus.environment.items()} if settings is None else settings
    given = {name: known[name] for name in source.settings.model_fields if name in known}
    return source.open_client(
        source.settings(**given), Terms(**({"window": LocalCallWindow(), "timeouts": PATIENT} | terms))
    )


@dataclass
class Hub:
    """One hub database fed from one campus: runs streams as assets do, on the wire."""

    database: Database
    campus: Campus
    batch_size: int = 50
    detail_workers: int = 3
    lock_wait_seconds: float = 10.0
    max_age: timedelta = timedelta(days=30)
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, stream: StreamDeclaration) -> Any:
        """The client of the source whose stream this is."""
        source = source_of(stream)
        if source.name not in self.clients:
            self.clients[source.name] = make_client(self.campus, source)
        return self.clients[source.name]

    def use(self, stream: StreamDeclaration, client: Any) -> None:
        """Read the source of this stream through another client."""
        self.clients[source_of(stream).name] = client

    def run(self, stream: StreamDeclaration, **request: Any) -> Run:
        """One run of `stream`; keywords are those of ReadRequest. A detail stream does not run its list stream."""
        client = self.client(stream)
        if isinstance(stream, DetailStream):
            return enrich(
                self.database,
                stream,
                client,
                request=ReadRequest(**request),
                origin=Origin(),
                minutes=60,
                every_minutes=60,
                workers=self.detail_workers,
                max_age=self.max_age,
                lock_wait_seconds=self.lock_wait_seconds,
            )
        return ingest(
            self.database,
            stream,
            client,
            request=ReadRequest(**request),
            origin=Origin(),
            batch_size=self.batch_size,
            lock_wait_seconds=self.lock_wait_seconds,
        )

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """Rows of a query, on a connection of its own."""
        with self.database.transaction() as connection:
            return list(connection.execute(text(sql), values).all())


@pytest.fixture
def wired_hub(hub: Database, campus: Campus) -> Hub:
    return Hub(hub, campus)


HubFactory = Callable[[], Hub]


@pytest.fixture
def another_hub(emptied_database: Callable[[], str], campus: Campus) -> Iterator[HubFactory]:
    """Makes further empty hubs on the same campus, to compare two histories."""
    made: list[Database] = []

    def make() -> Hub:
        made.append(Database(emptied_database()))
        return Hub(made[-1], campus)

    yield make
    for database in made:
        database.dispose()


@pytest.fixture(scope="session")
def repository() -> Path:
    return SQL_ROOT.parent
