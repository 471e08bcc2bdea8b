"""The UMich API gateway of the campus: its token endpoint and the department data (sources.md 4.2, 11)."""

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lsats_dagster.demo.campus.entities import as_json
from lsats_dagster.demo.campus.gate import Call, Method, gateway_error, guarded
from lsats_dagster.demo.campus.simulation import CATEGORY, Simulation

STREAM = "umich_api/department"
FILTERS = ("DeptId", "DeptDescription", "DeptGroup", "DeptGroupDescription")


def routes(simulation: Simulation) -> list[BaseRoute]:
    """All routes; the data paths with and without `/um`, since UM_BASE_URL may hold it."""
    api = GatewayApi(simulation)
    token = guarded(simulation, Method("gateway/token", api.token, b"{}", open_to_all=True))
    departments = guarded(simulation, Method("gateway/DeptData", api.departments, _envelope(b"[]")))
    data = f"/{CATEGORY}/Department/v2/DeptData"
    return [
        Route("/um/oauth2/token", token, methods=["POST"]),
        Route(data, departments, methods=["GET"]),
        Route(f"/um{data}", departments, methods=["GET"]),
    ]


class GatewayApi:
    """The handlers: what each endpoint answers to a call that may be served."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def token(self, call: Call) -> Response:
        """Client credentials from the form or from Basic; grant type and scope from the form or the query."""
        try:
            form = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
        except ValueError:
            return gateway_error(400, "invalid_request")
        asked: Mapping[str, str] = {**call.request.query_params, **form}
        key, secret = _basic(call.request) or (asked.get("client_id", ""), asked.get("client_secret", ""))
        known = (self._simulation.client_key, self._simulation.client_secret)
        if not hmac.compare_digest(f"{key}:{secret}".encode(), ":".join(known).encode()):
            return gateway_error(401, "invalid_client")
        if asked.get("grant_type") != "client_credentials":
            return gateway_error(400, "unsupported_grant_type")
        if "department" not in asked.get("scope", "").split():
            return gateway_error(400, "invalid_scope")
        token, seconds = self._simulation.gateway_tokens.issue()
        reply = {
            "token_type": "Bearer",
            "access_token": token,
            "expires_in": seconds,
            "scope": asked["scope"],
        }
        return Response(as_json(reply), media_type="application/json")

    def departments(self, call: Call) -> Response:
        """One page of departments."""
        query = call.request.query_params
        behaviour = self._simulation.behaviour
        try:
            start = int(query.get("$start_index") or 0)
            count = min(int(query.get("$count") or behaviour.page_size), behaviour.page_size)
        except ValueError:
            return gateway_error(400, "invalid paging")
        if start < 0 or count < 0:
            return gateway_error(400, "invalid paging")
        wanted = {name: query[name].lower() for name in FILTERS if query.get(name)}
        rows = [
            as_json(row)
            for _, row in self._simulation.world.stream(STREAM).table.ordered()
            if all(str(row[name]).lower() == value for name, value in wanted.items())
        ]
        rows += [raw.encode("utf-8", "backslashreplace") for raw in behaviour.poison.get(STREAM, [])]
        if rows and call.rotated:
            moved = call.rotated % len(rows)
            rows = rows[moved:] + rows[:moved]
        page = rows[start : start + count]
        single = behaviour.single_as_object and len(page) == 1
        return Response(_envelope(page[0] if single else b"[" + b",".join(page) + b"]"), media_type="application/json")


def _envelope(rows: bytes) -> bytes:
    return b'{"DepartmentList":{"DeptData":' + rows + b"}}"


def _basic(request: Request) -> tuple[str, str] | None:
    """Key and secret of a Basic header, None without one that can be read."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return key, secret
