"""Dagster's shells around the database and the clients. They read the settings when a run uses them, never before:
code loads with an empty environment, and a source whose settings are missing fails alone.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from pydantic import PrivateAttr
from sqlalchemy import text

from lsats_dagster.clients.http import Timeouts
from lsats_dagster.clients.tdx import AdminLogin, StaticToken, TdxClient, TdxCredentials, UserLogin
from lsats_dagster.clients.umich_api import UmichApiClient
from lsats_dagster.clients.window import SYSTEM_CLOCK, CallWindow, LocalCallWindow
from lsats_dagster.database import READER, Database
from lsats_dagster.ingestion.call_window import PostgresCallWindow
from lsats_dagster.settings import Settings, load_settings

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
    settings.require("database")
    assert settings.database_url is not None
    return Database(settings.database_url.get_secret_value(), application=application)


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

        settings = load_settings()
        settings.require("database")
        assert settings.database_url is not None
        database = Database(
            settings.database_url.get_secret_value(), role=READER, application="analyst", read_only=True
        )
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

    def open(self, source_system: str, database: Database, *, dry_run: bool) -> Any:
        """The client of one source; ConfigurationError names all settings it lacks.

        A dry run paces itself without the shared window, because it writes nothing.
        """
        if source_system not in self._clients:
            window = LocalCallWindow() if dry_run else PostgresCallWindow(database, SYSTEM_CLOCK)
            self._clients[source_system] = open_client(source_system, load_settings(), window)
        return self._clients[source_system]


def open_client(source_system: str, settings: Settings, window: CallWindow) -> Any:
    """A client of one source by the settings; ConfigurationError names all that are missing."""
    settings.require(source_system)
    return CLIENTS[source_system](settings, window)


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(settings.http_connect_seconds, settings.http_read_seconds, settings.http_answer_seconds)


def tdx_credentials(settings: Settings) -> TdxCredentials:
    """The first complete login method (operations.md section 2)."""
    if settings.tdx_beid and settings.tdx_web_services_key:
        return AdminLogin(settings.tdx_beid.get_secret_value(), settings.tdx_web_services_key.get_secret_value())
    if settings.tdx_username and settings.tdx_password:
        return UserLogin(settings.tdx_username, settings.tdx_password.get_secret_value())
    assert settings.tdx_api_token is not None
    return StaticToken(settings.tdx_api_token.get_secret_value())


def _open_tdx(settings: Settings, window: CallWindow) -> TdxClient:
    assert settings.tdx_base_url is not None
    return TdxClient(
        base_url=settings.tdx_base_url,
        credentials=tdx_credentials(settings),
        window=window,
        timeouts=_timeouts(settings),
    )


def _open_umich_api(settings: Settings, window: CallWindow) -> UmichApiClient:
    assert settings.um_base_url is not None
    assert settings.um_category_id is not None
    assert settings.um_client_key is not None
    assert settings.um_client_secret is not None
    return UmichApiClient(
        base_url=settings.um_base_url,
        token_url=settings.um_token_url
        or f"{settings.um_base_url.removesuffix('/').removesuffix('/um')}/um/oauth2/token",
        category_id=settings.um_category_id,
        client_key=settings.um_client_key.get_secret_value(),
        client_secret=settings.um_client_secret.get_secret_value(),
        calls_per_minute=settings.um_calls_per_minute,
        window=window,
        timeouts=_timeouts(settings),
    )


CLIENTS: Mapping[str, Callable[[Settings, CallWindow], Any]] = {
    "tdx": _open_tdx,
    "umich_api": _open_umich_api,
}
