"""The listeners of the campus on loopback: one port for the sources, one for the side door, and those of the directories."""

import asyncio
import re
from collections.abc import Callable
from contextlib import ExitStack
from email.utils import formatdate

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from lsats_dagster.demo.campus.faces import gateway, tdx
from lsats_dagster.demo.campus.faults import TRANSPORT
from lsats_dagster.demo.campus.ldap.server import loopback_socket
from lsats_dagster.demo.campus.sidedoor import side_door
from lsats_dagster.demo.campus.simulation import Simulation


class CampusProtocol(H11Protocol):
    """HTTP that hands the connection itself to the application, which faults such as a TCP reset need."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        application = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = transport
            await application(scope, receive, send)

        self.app = with_transport


def application(simulation: Simulation, admin_port: int, admin_token: str) -> ASGIApp:
    """Everything: the side door on its port, the sources on the other."""

    async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
        simulation.count("unknown", "404")
        await PlainTextResponse("Not found.", 404)(scope, receive, send)

    sources = Router(tdx.routes(simulation) + gateway.routes(simulation), redirect_slashes=False, default=unknown)
    door = side_door(simulation, admin_token)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            # The server's own Date lags by up to a second; clients take resets relative to it.
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"date", formatdate(simulation.clock.now(), usegmt=True).encode()),
                ]
            await send(message)

        if scope["server"][1] == admin_port:
            await door(scope, receive, dated)
        else:
            await sources({**scope, "path": _plain_path(scope["path"])}, receive, dated)

    return serve


def _plain_path(path: str) -> str:
    """Without repeated slashes (H7), and in lower case where TDX is asked."""
    path = re.sub("/{2,}", "/", path)
    return path.lower() if path.lower().startswith(tdx.PREFIXES) else path


async def serve_campus(simulation: Simulation, admin_token: str, ready: Callable[[int, int], None]) -> None:
    """Listen until the process ends; `ready` is called once, with the ports of sources and side door."""
    sources, door = loopback_socket(), loopback_socket()
    port, admin_port = sources.getsockname()[1], door.getsockname()[1]
    config = uvicorn.Config(
        application(simulation, admin_port, admin_token),
        loop="asyncio",
        http=CampusProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with ExitStack() as directories:
        for directory in simulation.directories.values():
            directories.enter_context(directory.server)
        serving = asyncio.create_task(server.serve([sources, door]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)
        ready(port, admin_port)
        await serving
