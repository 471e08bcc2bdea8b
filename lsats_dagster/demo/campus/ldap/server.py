"""The server: a thread of its own that serves a directory on loopback."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from lsats_dagster.demo.campus.ldap.connection import Connection, Service
from lsats_dagster.demo.campus.ldap.directory import Directory
from lsats_dagster.demo.campus.ldap.faults import FaultBoard
from lsats_dagster.demo.campus.ldap.identities import Identity, Limits, by_name
from lsats_dagster.demo.campus.ldap.log import RequestLog
from lsats_dagster.demo.campus.ldap.searches import SEARCH_CONTROLS

LOOPBACK = "127.0.0.1"
MOST_CONNECTIONS = 500


def loopback_socket() -> socket.socket:
    """A bound socket on a free port of loopback."""
    # The protocol is named because asyncio sends without delay only then (40 ms an answer otherwise).
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind((LOOPBACK, 0))
    return bound


class LdapServer:
    """Serves a directory while it is entered as a context.

    identities: who may log in. limits: those of identities without limits of their own. anonymous: who everybody is before a
    login; None means that only the root DSE is told then. tls: the certificate for StartTLS and for LDAPS on a port of its
    own. controls: which of those that searches may ask for are known. patience: seconds in which a client must send what it
    began to send, and take what it is sent.
    """

    def __init__(
        self,
        directory: Directory,
        identities: Sequence[Identity] = (),
        limits: Limits | None = None,
        *,
        anonymous: Identity | None = None,
        tls: ssl.SSLContext | None = None,
        controls: Sequence[str] = SEARCH_CONTROLS,
        patience: float = 30.0,
    ) -> None:
        known = by_name(identities)
        self._service = Service(directory, known, anonymous, limits or Limits(), tls, tuple(controls), patience)
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="ldap", daemon=True)
        self._sockets: list[socket.socket] = []

    @property
    def faults(self) -> FaultBoard:
        """The faults, to be switched."""
        return self._service.faults

    @property
    def limits(self) -> Limits:
        """The limits of identities without limits of their own; they may change at any time."""
        return self._service.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._service.limits = limits

    @property
    def log(self) -> RequestLog:
        """What the server was asked."""
        return self._service.log

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def port(self) -> int:
        """The port of LDAP, with StartTLS where there is a certificate."""
        return int(self._sockets[0].getsockname()[1])

    @property
    def tls_port(self) -> int:
        """The port of LDAPS."""
        return int(self._sockets[1].getsockname()[1])

    @property
    def url(self) -> str:
        """The address of LDAP. It names the host as certificates do."""
        return f"ldap://localhost:{self.port}"

    @property
    def tls_url(self) -> str:
        """The address of LDAPS."""
        return f"ldaps://localhost:{self.tls_port}"

    def __enter__(self) -> Self:
        self._sockets = [loopback_socket() for _ in range(2 if self._service.tls else 1)]
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        service = self._service
        servers = [await asyncio.start_server(self._connected, sock=self._sockets[0])]
        for bound in self._sockets[1:]:
            servers.append(
                await asyncio.start_server(
                    self._connected, sock=bound, ssl=service.tls, ssl_handshake_timeout=service.patience
                )
            )
        self._ready.set()
        await self._stop.wait()
        for server in servers:
            server.close()
        for task, connection in self._connections.items():
            connection.abort()
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self._service, reader, writer)
        if len(self._connections) < MOST_CONNECTIONS:
            serving = connection.serve()
        else:
            serving = connection.refuse(f"{MOST_CONNECTIONS} connections are open")
        task = self._loop.create_task(serving)
        self._connections[task] = connection
        task.add_done_callback(self._disconnected)

    def _disconnected(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            about = {"message": "a connection failed", "exception": error, "task": task}
            self._loop.call_exception_handler(about)
