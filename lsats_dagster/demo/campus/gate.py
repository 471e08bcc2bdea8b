"""What every call of a source passes before its answer: limit, token, faults, counters."""

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from lsats_dagster.demo.campus.entities import as_json
from lsats_dagster.demo.campus.faults import (
    Endless,
    Fault,
    Hang,
    ProxyAnswer,
    Reset,
    Truncated,
    client_left,
    cut_in_the_middle,
    gzip_bomb,
)
from lsats_dagster.demo.campus.limits import Allowance
from lsats_dagster.demo.campus.simulation import Simulation

PROXY_PAGE = "<!DOCTYPE html><html><head><title>404</title></head><body>No such page on this server.</body></html>"
SIGN_IN_PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"


class InvalidRequestError(ValueError):
    """A request that does not make sense."""


@dataclass(frozen=True)
class Call:
    """One call as a handler sees it. `rotated`: by how many rows the pages have moved."""

    request: Request
    body: bytes
    rotated: int = 0

    @property
    def token(self) -> str:
        """The bearer token of the call."""
        return self.request.headers.get("authorization", "").removeprefix("Bearer ").strip()

    @property
    def query(self) -> dict[str, str]:
        """What stands behind the path, by lower-case name."""
        return {name.lower(): value for name, value in self.request.query_params.items()}

    def fields(self) -> dict[str, Any]:
        """The body's properties by lower-case name, from JSON or a form; InvalidRequestError if it is neither."""
        try:
            if "form-urlencoded" in self.request.headers.get("content-type", ""):
                pairs: dict[str, Any] = dict(parse_qsl(self.body.decode(), keep_blank_values=True))
            else:
                pairs = json.loads(self.body or b"{}")
        except (ValueError, RecursionError):
            raise InvalidRequestError("the body is neither JSON nor a form") from None
        if not isinstance(pairs, dict):
            raise InvalidRequestError("the body is no object")
        return {str(name).lower(): value for name, value in pairs.items()}


Handler = Callable[[Call], Response]


@dataclass(frozen=True)
class Method:
    """One limited method of a source. `empty` is its answer when it has nothing to say."""

    route: str
    handler: Handler
    empty: bytes
    open_to_all: bool = False
    pages: bool = False

    @property
    def source(self) -> str:
        """`tdx` or `gateway`."""
        return self.route.partition("/")[0]


def guarded(simulation: Simulation, method: Method) -> Callable[[Request], Awaitable[ASGIApp]]:
    """The endpoint of `method`.

    A call over the limit or without a valid token is refused before any fault: a fault strikes exactly the
    calls that would have been served.
    """
    simulation.routes[method.route] = method.pages

    async def endpoint(request: Request) -> ASGIApp:
        call = Call(request, await request.body())
        allowance, refusal = _admit(simulation, method, call)
        answer: ASGIApp
        if refusal is not None:
            answer = refusal
        else:
            answer = await _answer(simulation, method, call, simulation.faults.strike(method.route))
        if isinstance(answer, Response):
            simulation.count(method.route, str(answer.status_code))
            _say_limit(answer, method, allowance)
        else:
            simulation.count(method.route, "fault")
        return answer

    return endpoint


def _admit(simulation: Simulation, method: Method, call: Call) -> tuple[Allowance | None, Response | None]:
    """The state of the limit, and the refusal if the call is not to be served."""
    if method.source == "tdx":
        address = call.request.client.host if call.request.client else ""
        allowance = simulation.windows["tdx"].take(method.route, address)
        if not allowance.granted:
            return allowance, PlainTextResponse("Rate limit exceeded.", 429)
        if not method.open_to_all and not simulation.tdx_tokens.accepts(call.token):
            return allowance, PlainTextResponse("Unauthorized.", 401)
        return allowance, None
    if method.open_to_all:
        return None, None
    if not simulation.gateway_tokens.accepts(call.token):
        return None, gateway_error(401, "invalid token")
    # All tokens belong to the one client there is, and the quota is the client's.
    allowance = simulation.windows["gateway"].take(simulation.client_key)
    return None, None if allowance.granted else _too_many(simulation, "gateway", allowance.resets_at)


async def _answer(simulation: Simulation, method: Method, call: Call, fault: Fault | None) -> ASGIApp:
    if fault is None:
        return method.handler(call)
    match fault.kind:
        case "hang":
            return Hang()
        case "reset":
            return Reset()
        case "truncate":
            return Truncated(method.handler(call))
        case "cut_json":
            return cut_in_the_middle(method.handler(call))
        case "html":
            return Response(SIGN_IN_PAGE, media_type="text/html")
        case "html_404":
            return ProxyAnswer(PROXY_PAGE, 404, media_type="text/html")
        case "endless":
            return Endless(method.handler(call))
        case "gzip_bomb":
            return await gzip_bomb(method.handler(call), int(fault.number("megabytes")))
        case "empty":
            return Response(method.empty, media_type="application/json")
        case "shift":
            return method.handler(Call(call.request, call.body, int(fault.number("rows"))))
        case "storm":
            return _too_many(simulation, method.source, simulation.clock.now() + fault.number("seconds"))
        case "throttle_now":
            if fault.options["reset_ago"] is None:
                return ProxyAnswer("Too many requests.", 429, {"Retry-After": "0"}, media_type="text/plain")
            return _too_many(simulation, method.source, simulation.clock.now() - fault.number("reset_ago"))
        case "status":
            status = int(fault.number("status"))
            answer = (
                not_found(method.source) if status == 404 else PlainTextResponse("The service is unavailable.", status)
            )
            if fault.options["retry_after"] is not None:
                answer.headers["Retry-After"] = str(int(fault.number("retry_after")))
            return answer
        case _:
            if await client_left(call.request.receive, fault.number("seconds")):
                return Hang()
            return method.handler(call)


def _too_many(simulation: Simulation, source: str, until: float) -> Response:
    """The 429 of a source that lets nobody in before `until`; the gateway's form is an assumption (Q8)."""
    if source == "gateway":
        answer = gateway_error(429, "quota exceeded")
        answer.headers["Retry-After"] = str(max(0, math.ceil(until - simulation.clock.now())))
        return answer
    answer = PlainTextResponse("Rate limit exceeded.", 429)
    answer.headers["X-RateLimit-Remaining"] = "0"
    answer.headers["X-RateLimit-Reset"] = formatdate(math.ceil(until), usegmt=True)
    return answer


def _say_limit(answer: Response, method: Method, allowance: Allowance | None) -> None:
    """Every answer of a limited TDX method tells the state of its window."""
    if allowance is None or isinstance(answer, ProxyAnswer):
        return
    answer.headers["X-RateLimit-Limit"] = str(allowance.limit)
    answer.headers.setdefault("X-RateLimit-Remaining", str(allowance.remaining))
    answer.headers.setdefault("X-RateLimit-Reset", formatdate(allowance.reset_second, usegmt=True))


def not_found(source: str) -> Response:
    """The 404 of the source itself. TeamDynamix documents JSON as its format; the wording is an assumption."""
    if source == "gateway":
        return gateway_error(404, "not found")
    return Response(
        as_json({"Message": "The record could not be found."}), 404, media_type="application/json; charset=utf-8"
    )


def gateway_error(status: int, text: str) -> Response:
    """A refusal as the gateway words it."""
    return Response(as_json({"error": text}), status, media_type="application/json")
