"""Dagster's shells around the database and the clients. They read the settings when a run uses them, never before:
code loads with an empty environment, and a source whose settings are missing fails alone.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
import psycopg
from psycopg.pq import ExecStatus
from pydantic import PrivateAttr
from sqlalchemy import Connection, text

from lsats_dagster.clients.http import Ceilings, Timeouts
from lsats_dagster.clients.window import SYSTEM_CLOCK, CallWindow, LocalCallWindow
from lsats_dagster.database import READER, Database, DatabaseError, as_database_error
from lsats_dagster.ingestion.call_window import PostgresCallWindow
from lsats_dagster.settings import ConfigurationError, Settings, load, load_settings, needed
from lsats_dagster.source import Source, Terms

if TYPE_CHECKING:
    import pandas as pd


# Postgres type -> pandas type that knows NULL: boolean, whole numbers, decimal numbers, text, times with zone.
NULLABLE_TYPES: Mapping[int, str] = {
    16: "boolean",
    **dict.fromkeys((20, 21, 23), "Int64"),
    **dict.fromkeys((700, 701, 1700), "Float64"),
    **dict.fromkeys((25, 1042, 1043), "string"),
    1184: "datetime64[us, UTC]",
}


def open_database(settings: Settings, application: str = "lsats") -> Database:
    """The hub's database on the writer's connection; ConfigurationError when DATABASE_URL is missing."""
    return Database(settings.require_database(), application=application)


# Runs a query as the reader for good: Postgres refuses to change the role, by whatever means, within a function of another
# security. Temporary, so that it belongs to the reader and nobody else ever calls it.
READERS_FUNCTION = """
set transaction read write;
create function pg_temp.answer(query text) returns setof record language plpgsql security definer
as 'begin return query execute query; end'
"""
NO_ROWS = "a query for analysts is one statement that gives rows, such as a SELECT; it can change nothing"
# Not permitted, read only, not within a function or a transaction, several statements.
REFUSED = ("42501", "25006", "25001", "0A000", "2D000", "42601")


@contextmanager
def analysts_border() -> Iterator[None]:
    """DatabaseError says beside what Postgres refuses what may be asked."""
    try:
        yield
    except DatabaseError as error:
        if error.sqlstate not in REFUSED:
            raise
        sentence = f"{error}. Analysts read the views of silver (silver.v_...); {NO_ROWS}"
        raise DatabaseError(sentence, error.sqlstate) from None


def answer(connection: Connection, sql: str, params: Mapping[str, Any]) -> "pd.DataFrame":
    """The rows of one statement, run as the connection's role and read only, whatever the statement tries."""
    import pandas as pd

    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    query = psycopg.ClientCursor(driver).mogrify(str(text(sql).compile(dialect=connection.dialect)), params)
    with connection.begin():
        connection.exec_driver_sql(READERS_FUNCTION)
    with connection.begin():
        names, columns = describe(connection, driver, query)
        wanted = ", ".join(f"c{number} {spelled}" for number, (_, spelled) in enumerate(columns))
        # Numbers, and the names that Postgres has for types.
        ask = text(f"select * from pg_temp.answer(:query) as ({wanted})")  # noqa: S608
        rows = connection.execute(ask, {"query": query}).all()
    frame = pd.DataFrame(rows, columns=range(len(names)), dtype=object)
    # By the type of the column, not by the values met: a column that is all NULL keeps its type.
    frame = frame.astype({n: NULLABLE_TYPES[oid] for n, (oid, _) in enumerate(columns) if oid in NULLABLE_TYPES})
    frame.columns = pd.Index(names)
    return frame


def describe(
    connection: Connection, driver: "psycopg.Connection[Any]", query: str
) -> tuple[list[str], list[tuple[int, str]]]:
    """Names and types of what a statement gives, as Postgres reads it without running it. It takes one statement only."""
    for result in (driver.pgconn.prepare(b"", query.encode()), driver.pgconn.describe_prepared(b"")):
        if result.status != ExecStatus.COMMAND_OK:
            raise as_database_error(psycopg.errors.error_from_result(result))
    if not result.nfields:
        raise DatabaseError(NO_ROWS)
    places = range(result.nfields)
    types = [(result.ftype(place), result.fmod(place)) for place in places]
    spell = text("select format_type(t, m) from unnest(cast(:types as oid[]), cast(:mods as integer[])) f (t, m)")
    spelled = connection.execute(spell, {"types": [t for t, _ in types], "mods": [m for _, m in types]}).scalars()
    names = [(result.fname(place) or b"").decode() for place in places]
    return names, [(oid, name) for (oid, _), name in zip(types, spelled, strict=True)]


class HubDatabase(dg.ConfigurableResource[Any]):
    """The hub's Postgres (DATABASE_URL), on the connection of the writer role."""

    _database: Database | None = PrivateAttr(default=None)
    _run_id: str = PrivateAttr(default="")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        self._run_id = context.run_id or ""

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        if self._database is not None:
            self._database.dispose()
            self._database = None

    def query_to_dataframe(self, sql: str, params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """The rows of one query, for analysts: reader role, read only, so it sees the views and can write nothing.

        `:name` in `sql` takes its value from `params`. Columns have nullable types: NULL stays NULL (pandas.NA) and turns
        no whole number into a decimal one. Raises ConfigurationError and DatabaseError.
        """
        database = Database(load_settings().require_database(), role=READER, application="analyst", read_only=True)
        try:
            with analysts_border(), database.connect() as connection:
                return answer(connection, sql, params or {})
        finally:
            # What a query may have left behind in its session, nobody uses.
            database.dispose()

    def open(self, settings: Settings | None = None) -> Database:
        """The database, opened at its first use in this run, by settings that the caller has read or those of this moment."""
        if self._database is None:
            self._database = open_database(settings or load_settings(), f"lsats_dagster:{self._run_id[:8]}")
        return self._database


class SourceClients(dg.ConfigurableResource[Any]):
    """Clients of the sources, one of each per run."""

    _clients: dict[str, Any] = PrivateAttr(default_factory=dict)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def open(self, source: Source, database: Database, *, dry_run: bool) -> Any:
        """The client of one source; ConfigurationError names all settings it lacks.

        A dry run paces itself without the shared window, because it writes nothing.
        """
        if source.name not in self._clients:
            settings = load_settings()
            shared = PostgresCallWindow(database, SYSTEM_CLOCK)
            self._clients[source.name] = open_client(source, settings, LocalCallWindow() if dry_run else shared)
        return self._clients[source.name]


def open_client(source: Source, hub: Settings, window: CallWindow) -> Any:
    """A client of one source by the settings of this moment; ConfigurationError names all that are missing."""
    settings = load(source.settings)
    if settings.missing:
        raise ConfigurationError(needed(settings.missing, source.name))
    timeouts = Timeouts(hub.http_connect_seconds, hub.http_read_seconds, hub.http_answer_seconds)
    ceilings = Ceilings(hub.http_list_megabytes << 20, hub.http_record_megabytes << 20)
    return source.open_client(settings, Terms(window, timeouts, ceilings))
