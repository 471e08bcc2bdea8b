"""Dagster's shells around the database and the clients. They read the settings when a run uses them, never before:
code loads with an empty environment, and a source whose settings are missing fails alone.
"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from lsats_dagster.clients.http import Timeouts
from lsats_dagster.clients.tdx import AdminLogin, StaticToken, TdxClient, TdxCredentials, UserLogin
from lsats_dagster.clients.umich_api import UmichApiClient
from lsats_dagster.clients.window import SYSTEM_CLOCK, CallWindow, LocalCallWindow
from lsats_dagster.database import Database
from lsats_dagster.ingestion.call_window import PostgresCallWindow
from lsats_dagster.settings import Settings, load_settings


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
