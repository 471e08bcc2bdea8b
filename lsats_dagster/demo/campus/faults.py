"""Faults that can be switched on per route (sources.md 23.1, H11): when they strike and how they look."""

import asyncio
import contextlib
import socket
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lsats_dagster.demo.campus.due import Counted, strike

TRANSPORT = "campus.transport"
BLANKS = b" " * (1 << 16)

# kind -> option -> default
KINDS: Mapping[str, Mapping[str, float | None]] = {
    "status": {"status": 503, "retry_after": None},
    "latency": {"seconds": 1.0},
    "hang": {},
    "reset": {},
    "truncate": {},
    "cut_json": {},
    "html": {},
    "html_404": {},
    "endless": {},
    "gzip_bomb": {"megabytes": 64},
    "empty": {},
    "shift": {"rows": 1},
    "storm": {"seconds": 2.0},
    "throttle_now": {"reset_ago": None},
}


@dataclass
class Fault(Counted):
    """A fault of a route, with its options."""

    options: dict[str, float | None] = field(default_factory=dict)

    def number(self, option: str) -> float:
        """The option's value, 0 where it is not set."""
        return self.options[option] or 0


class FaultBoard:
    """The faults that are switched on, by route."""

    def __init__(self) -> None:
        self._faults: dict[str, list[Fault]] = {}

    def add(self, route: str, kind: str, times: int | None, after: int, options: dict[str, float | None]) -> None:
        """Switch a fault on; ValueError for a kind or an option that does not exist."""
        if kind not in KINDS:
            raise ValueError(f"fault {kind!r} is not one of {', '.join(KINDS)}")
        if unknown := options.keys() - KINDS[kind].keys():
            raise ValueError(f"fault {kind!r} has no option {', '.join(sorted(unknown))}")
        self._faults.setdefault(route, []).append(Fault(kind, times, after, {**KINDS[kind], **options}))

    def clear(self) -> None:
        """Switch every fault off."""
        self._faults.clear()

    def strike(self, route: str) -> Fault | None:
        """Count one call of the route and say which fault it meets."""
        return strike(self._faults.get(route, []))


class Hang:
    """No answer at all, until the client leaves."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await client_left(receive)


class Reset:
    """The connection ends with a TCP reset: to linger for zero seconds makes `close` send RST, not FIN."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport: asyncio.Transport = scope[TRANSPORT]
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await client_left(receive)


class Truncated:
    """The headers promise the whole body, the connection closes in the middle of it."""

    def __init__(self, whole: Response) -> None:
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytes(self._whole.body)
        headers = [pair for pair in self._whole.raw_headers if pair[0] != b"content-length"]
        headers.append((b"content-length", str(max(1, len(body))).encode()))
        await send({"type": "http.response.start", "status": self._whole.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        transport: asyncio.Transport = scope[TRANSPORT]
        transport.close()
        await client_left(receive)


class Endless:
    """The whole answer but its end: blanks come in its place for ever, as fast as the client reads them."""

    def __init__(self, whole: Response) -> None:
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [pair for pair in self._whole.raw_headers if pair[0] != b"content-length"]
        await send({"type": "http.response.start", "status": self._whole.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self._whole.body)[:-1], "more_body": True})
        left = asyncio.create_task(client_left(receive))
        while not left.done():
            await send({"type": "http.response.body", "body": BLANKS, "more_body": True})
            # `send` waits only while the connection is full, and not at all once it is closed.
            await asyncio.sleep(0)


class ProxyAnswer(Response):
    """The answer of a proxy before the source: it says nothing of the source's limits."""


async def client_left(receive: Receive, seconds: float | None = None) -> bool:
    """Wait until the client closes the connection, at most `seconds`; whether it did."""

    async def disconnected() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(disconnected(), seconds)
        return True
    return False


def cut_in_the_middle(whole: Response) -> Response:
    """The same answer with half of its body and a true length: only a parser can tell."""
    body = bytes(whole.body)
    return Response(body[: len(body) // 2], whole.status_code, media_type=whole.headers.get("content-type"))


async def gzip_bomb(whole: Response, megabytes: int) -> Response:
    """The same answer with megabytes of blanks behind it, sent in a thousandth of that."""

    def packed() -> bytes:
        gzip = zlib.compressobj(wbits=31)
        return b"".join(
            [gzip.compress(whole.body), *(gzip.compress(BLANKS) for _ in range(megabytes << 4)), gzip.flush()]
        )

    # In a thread: other calls are served meanwhile.
    body = await asyncio.to_thread(packed)
    headers = {"Content-Encoding": "gzip"}
    return Response(body, whole.status_code, headers, media_type=whole.headers.get("content-type"))
