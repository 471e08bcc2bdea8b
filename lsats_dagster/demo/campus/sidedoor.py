"""The side door (sources.md 23.1, H12): a port of its own, to look behind the campus and to change it."""

import hmac
import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from lsats_dagster.demo.campus.entities import UnknownEntityError, as_json
from lsats_dagster.demo.campus.simulation import Simulation


def side_door(simulation: Simulation, token: str) -> Router:
    """An application that runs the named operations of `simulation` for who holds the token."""

    async def operate(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return _reply(401, error="the side door needs its token")
        asked = json.loads(await request.body())
        operation = simulation.operations().get(asked["operation"])
        if operation is None:
            return _reply(404, error=f"there is no operation {asked['operation']!r}")
        try:
            with simulation.lock:
                return _reply(200, result=operation(**asked["arguments"]))
        except UnknownEntityError as error:
            return _reply(404, error=str(error))
        except ValueError as error:
            return _reply(400, error=str(error))

    return Router([Route("/operate", operate, methods=["POST"])])


def _reply(status: int, **content: object) -> Response:
    return Response(as_json(content), status, media_type="application/json")
