"""What every test may ask for: a real Postgres, a hub database of its own, a running campus, clients that reach it."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from lsats_dagster.clients.http import Timeouts
from lsats_dagster.clients.tdx import AdminLogin, TdxClient
from lsats_dagster.clients.umich_api import UmichApiClient
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.database import Database
from lsats_dagster.demo.campus import Campus, running_campus
from lsats_dagster.demo.postgres import EmbeddedPostgres, EmbeddedPostgresError, embedded_postgres, remove_cluster
from lsats_dagster.ingestion.details import enrich
from lsats_dagster.ingestion.extract import ReadRequest, ingest
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.migrations import upgrade
from lsats_dagster.runs import Origin, Run
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster_tests.databases import HubDatabases
from lsats_dagster_tests.databases import new_database as new_database

DEFINITIONS: tuple[Definition, ...] = load_definitions(SQL_ROOT)
# Short, so that a test of a hanging source ends; long enough for a slow machine to answer.
TIMEOUTS = Timeouts(connect=2.0, read=2.0, answer=6.0)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A private Postgres server for the session, with one upgraded hub database as template."""
    home = tmp_path_factory.mktemp("postgres")
    with embedded_postgres(home) as running:
        template = Database(running.url("lsats"), role=None)
        upgrade(template, SQL_ROOT, STREAMS, DEFINITIONS)
        template.dispose()
        yield running
    # As root, temporary folders are closed to the server's user, and the cluster lies outside. The server stops when the
    # last process that used it has ended, which a test may have left to the system.
    for _ in range(5):
        with contextlib.suppress(EmbeddedPostgresError):
            remove_cluster(home)
            break


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


def make_client(campus: Campus, source_system: str, **changes: Any) -> Any:
    """A real client of the campus for the streams of one source."""
    environment = campus.environment
    window = LocalCallWindow()
    if source_system == "tdx":
        login = AdminLogin(environment["TDX_BEID"], environment["TDX_WEB_SERVICES_KEY"])
        values = {"base_url": environment["TDX_BASE_URL"], "credentials": login, "window": window, "timeouts": TIMEOUTS}
        return TdxClient(**(values | changes))
    if source_system == "umich_api":
        values = {
            "base_url": environment["UM_BASE_URL"],
            "token_url": environment["UM_TOKEN_URL"],
            "category_id": environment["UM_CATEGORY_ID"],
            "client_key": environment["UM_CLIENT_KEY"],
            "client_secret": environment["UM_CLIENT_SECRET"],
            "calls_per_minute": int(environment["UM_CALLS_PER_MINUTE"]),
            "window": window,
            "timeouts": TIMEOUTS,
        }
        return UmichApiClient(**(values | changes))
    raise KeyError(source_system)


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

    def client(self, source_system: str) -> Any:
        if source_system not in self.clients:
            self.clients[source_system] = make_client(self.campus, source_system)
        return self.clients[source_system]

    def run(self, stream: StreamDeclaration, *, budget: int = 100_000, **request: Any) -> Run:
        """One run of `stream`; keywords are those of ReadRequest. A detail stream does not run its list stream."""
        client = self.client(stream.source_system)
        if isinstance(stream, DetailStream):
            return enrich(
                self.database,
                stream,
                client,
                request=ReadRequest(**request),
                origin=Origin(),
                budget=budget,
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
