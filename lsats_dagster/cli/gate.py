"""Dagster's webserver behind a gate. `python -m lsats_dagster.cli.gate` takes every option of `dagster-webserver`.

Dagster's own server does what any page in the operator's browser asks of it: it changes things on GET, and looks at neither
Host nor Origin. The gate lets in only

- what is asked of a loopback name or of the host of DAGSTER_UI_URL, so that no foreign name can be pointed at the server;
- what lies below the path prefix. `lsats dev` makes a random one, so that other accounts of the host stay out. It is in the
  path, because a cookie would be sent to every port of the host;
- what comes from the UI's own pages, as far as the browser says where it comes from, which it does for all that changes
  something and for websockets;
- changes as POST with JSON, which no page of another origin can send without the server's leave.
"""

import re
import secrets
import sys
from typing import Any
from urllib.parse import urlsplit

from dagster_webserver import cli as webserver
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lsats_dagster.cli import WRONG_USE
from lsats_dagster.settings import ConfigurationError, load_settings

# What Dagster's program calls for the application that it then serves.
MAKE_APPLICATION = "create_app_from_workspace_process_context"
LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


class Gate:
    """An ASGI application that passes on to `app` what may be asked of it, and forbids other pages to frame its answers.

    prefix: path below which everything lies, "" for none. public: the UI's address as people reach it through a proxy.
    """

    def __init__(self, app: ASGIApp, prefix: str, public: str | None) -> None:
        self._app = app
        self._prefix = prefix
        address = urlsplit((public or "").lower())
        self._public_host, self._public_origin = address.netloc, f"{address.scheme}://{address.netloc}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # Beside the webserver's own policy; browsers obey both.
                headers.append("Content-Security-Policy", "frame-ancestors 'none'")
                headers["X-Frame-Options"] = "DENY"
            await send(message)

        reason = None if scope["type"] == "lifespan" else self._refusal(scope)
        answer = PlainTextResponse(f"{reason}\n", status_code=403) if reason else self._app
        await answer(scope, receive, unframed)

    def _refusal(self, scope: Scope) -> str | None:
        """Why this request or websocket is not let in; None when it is."""
        headers = Headers(scope=scope)
        own_origin = self._origin_at(headers.getlist("host"))
        if own_origin is None:
            return (
                "The hub's UI is not known by this name: open the printed address, or set DAGSTER_UI_URL to this one."
            )
        path = scope["path"]
        given, rest = path[: len(self._prefix)], path[len(self._prefix) :]
        if not secrets.compare_digest(given.encode(), self._prefix.encode()) or rest[:1] not in ("", "/"):
            return "Open the whole address that was printed at the start: part of it is secret."
        origins = headers.getlist("origin")
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if origins != [own_origin] and (origins or not reads):
            return "Only the UI's own pages may ask for this, and say so in Origin."
        if reads and rest.startswith("/graphql"):
            return "GraphQL is taken as POST only."
        if scope["type"] == "http" and not reads and not _is_json_post(scope["method"], headers):
            return "Changes are taken as POST with JSON only."
        return None

    def _origin_at(self, hosts: list[str]) -> str | None:
        """The origin of the UI's pages where it is called by this Host; None where it may not be."""
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if LOOPBACK.fullmatch(host):
            return f"http://{host}"
        return self._public_origin if host and host == self._public_host else None


def _is_json_post(method: str, headers: Headers) -> bool:
    kinds = [kind.partition(";")[0].strip().lower() for kind in headers.getlist("content-type")]
    return method == "POST" and kinds == ["application/json"]


def main() -> None:
    """Dagster's webserver as its own program starts it, its application wrapped."""
    create = getattr(webserver, MAKE_APPLICATION)
    try:
        public = load_settings().dagster_ui_url
    except ConfigurationError as error:
        print(f"❌ {error}", file=sys.stderr)
        sys.exit(WRONG_USE)

    def gated(context: Any, path_prefix: str, *arguments: Any, **keywords: Any) -> Gate:
        return Gate(create(context, path_prefix, *arguments, **keywords), path_prefix, public)

    setattr(webserver, MAKE_APPLICATION, gated)
    webserver.cli(auto_envvar_prefix="DAGSTER_WEBSERVER")


if __name__ == "__main__":
    main()
