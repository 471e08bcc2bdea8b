"""The UMich API gateway of the campus: its token endpoint, departments and appointments (sources.md 4.2, 11, 12)."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lsats_dagster.demo.campus.entities import Entry, Payload, as_json
from lsats_dagster.demo.campus.gate import Call, Method, gateway_error, guarded
from lsats_dagster.demo.campus.simulation import CATEGORY, Simulation


@dataclass(frozen=True)
class Data:
    """One endpoint of rows: its name, the names around its list, its filters by the field that each looks at."""

    stream: str
    name: str
    outer: str
    filters: Mapping[str, str]

    def envelope(self, rows: bytes) -> bytes:
        """An answer with these rows."""
        return f'{{"{self.outer}":{{"{self.name}":'.encode() + rows + b"}}"


ENDPOINTS = (
    Data(
        "umich_api/department",
        "DeptData",
        "DepartmentList",
        {name: name for name in ("DeptId", "DeptDescription", "DeptGroup", "DeptGroupDescription")},
    ),
    Data(
        "umich_api/user",
        "DeptEmpData",
        "DeptEmpInfo",
        {
            "EmplId": "EmplId",
            "Uniqname": "UniqName",
            "DepartmentId": "DepartmentId",
            "Dept_Description": "Dept_Description",
        },
    ),
)


def routes(simulation: Simulation) -> list[BaseRoute]:
    """All routes; the data paths with and without `/um`, since UM_BASE_URL may hold it."""
    api = GatewayApi(simulation)
    token = guarded(simulation, Method("gateway/token", api.token, b"{}", open_to_all=True))
    found: list[BaseRoute] = [Route("/um/oauth2/token", token, methods=["POST"])]
    for data in ENDPOINTS:
        method = Method(f"gateway/{data.name}", partial(api.page, data), data.envelope(b"[]"), pages=True)
        endpoint = guarded(simulation, method)
        path = f"/{CATEGORY}/Department/v2/{data.name}"
        found += [Route(prefix + path, endpoint, methods=["GET"]) for prefix in ("", "/um")]
    return found


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

    def page(self, data: Data, call: Call) -> Response:
        """One page of the rows of one endpoint."""
        query = call.request.query_params
        behaviour = self._simulation.behaviour
        try:
            start = int(query.get("$start_index") or 0)
            count = min(int(query.get("$count") or behaviour.page_size), behaviour.page_size)
        except ValueError:
            return gateway_error(400, "invalid paging")
        if start < 0 or count < 0:
            return gateway_error(400, "invalid paging")
        wanted = {name: query[name].lower() for name in data.filters if query.get(name)}
        stream = self._simulation.world.stream(data.stream)

        def shown(entry: Entry) -> Payload:
            key, fields = entry
            return stream.shown(stream.table[key]) | fields

        entries: list[Entry | bytes] = [
            entry
            for entry in stream.table.ordered()
            if not wanted or all(str(shown(entry)[data.filters[n]]).lower() == value for n, value in wanted.items())
        ]
        entries += behaviour.poison_of(data.stream)
        if entries and call.rotated:
            moved = call.rotated % len(entries)
            entries = entries[moved:] + entries[:moved]
        # A row that is not on the page is never made.
        page = [e if isinstance(e, bytes) else as_json(shown(e)) for e in entries[start : start + count]]
        single = behaviour.single_as_object and len(page) == 1
        body = page[0] if single else b"[" + b",".join(page) + b"]"
        return Response(data.envelope(body), media_type="application/json")


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
