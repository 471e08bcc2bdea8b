"""Dagster's shells around the database and the clients. They read the settings when a run uses them, never before:
code loads with an empty environment, and a source whose settings are missing fails alone.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from pydantic import PrivateAttr
from sqlalchemy import text

from lsats_dagster.clients.http import Ceilings, Timeouts
from lsats_dagster.clients.window import SYSTEM_CLOCK, CallWindow, LocalCallWindow
from lsats_dagster.database import READER, Database
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
        import pandas as pd

        database = Database(load_settings().require_database(), role=READER, application="analyst", read_only=True)
        try:
            with database.transaction() as connection:
                result = connection.execute(text(sql), dict(params or {}))
                types = [cast(int, column[1]) for column in result.cursor.description]
                rows = pd.DataFrame(result.all(), columns=list(result.keys()), dtype=object)
        finally:
            database.dispose()
        # By the type of the column, not by the values met: a column that is all NULL keeps its type.
        wanted = {
            name: NULLABLE_TYPES[oid] for name, oid in zip(rows.columns, types, strict=True) if oid in NULLABLE_TYPES
        }
        return rows.astype(wanted)

    def open(self) -> Database:
        """The database, opened at its first use in this run."""
        if self._database is None:
            self._database = open_database(load_settings(), f"lsats_dagster:{self._run_id[:8]}")
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
            shared = PostgresCallWindow(database, SYSTEM_CLOCK, callers=settings.detail_workers)
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
