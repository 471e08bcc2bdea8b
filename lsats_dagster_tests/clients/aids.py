"""A small HTTP server that answers as a test says, and a clock that only moves when everybody sleeps."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lsats_dagster.clients.answer import Answer
from lsats_dagster.clients.http import DEFAULT_CEILINGS, Call, Ceilings, Content, HttpClient, Timeouts
from lsats_dagster.clients.tokens import Token, TokenKeeper
from lsats_dagster.clients.window import Allowance, CallWindow, LocalCallWindow

# Long enough for the slowest machine to answer.
PATIENT = Timeouts(connect=10.0, read=60.0, answer=120.0)
# For a source that falls silent, or that never comes to an end. A busy machine may seem to do so as well: tests with
# these expect at least one further try, not exactly one.
SILENCE = replace(PATIENT, read=0.4)
SHORT = replace(SILENCE, answer=1.0)


class VirtualClock:
    """Time for tests. With participants it passes only once all sleep: no call spans a jump."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._condition = threading.Condition()
        self._participants = 0
        self._sleepers: list[float] = []

    def now(self) -> float:
        with self._condition:
            return self._now

    def sleep_until(self, when: float) -> None:
        with self._condition:
            self._sleepers.append(when)
            self._move()
            while self._now < when:
                self._condition.wait(30)
            self._sleepers.remove(when)

    @contextmanager
    def participants(self, count: int) -> Iterator[Callable[[], None]]:
        """Time stands still until `count` threads sleep; each calls what is yielded when it is done."""
        self._participants = count

        def leave() -> None:
            with self._condition:
                self._participants -= 1
                self._move()

        yield leave

    @contextmanager
    def taking_part(self) -> Iterator[None]:
        """Time stands still until this thread sleeps, too, or has left the block."""
        with self._condition:
            self._participants += 1
        try:
            yield
        finally:
            with self._condition:
                self._participants -= 1
                self._move()

    def _move(self) -> None:
        waiting = [when for when in self._sleepers if when > self._now]
        if len(waiting) >= max(self._participants, 1):
            self._now = min(waiting)
        self._condition.notify_all()


@dataclass(frozen=True)
class Request:
    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


Wire = Callable[[socket.socket], None]  # writes to the connection itself, which is then closed
Script = Callable[[Request], Reply | Wire]


def first(*replies: Reply | Wire) -> Script:
    """Answer with these in turn, then with the last one for ever."""
    left = list(replies)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


@dataclass
class Server:
    url: str
    requests: list[Request] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


@contextmanager
def serving(
    script: Script, *, now: Callable[[], float] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """Answer on a free loopback port as `script` says; `now` is the time of the Date header."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            if isinstance(self.request, ssl.SSLSocket):
                with suppress(OSError):  # a client that does not trust us ends the handshake
                    self.request.do_handshake()
            super().setup()

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, parts.path, query, dict(self.headers.items()), body)
            with lock:
                server.requests.append(request)
            reply = script(request)
            if not isinstance(reply, Reply):
                self.close_connection = True
                reply(self.connection)
                return
            self.send_response_only(reply.status)
            headers = {"Date": formatdate(now() if now else None, usegmt=True), **reply.headers}
            headers.setdefault("Content-Length", str(len(reply.body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        do_POST = do_GET

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http_server.daemon_threads = True
    http_server.block_on_close = False
    if tls is not None:
        http_server.socket = tls.wrap_socket(http_server.socket, server_side=True, do_handshake_on_connect=False)
    server = Server(f"http{'s' if tls else ''}://127.0.0.1:{http_server.server_address[1]}")
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http_server.shutdown()
        http_server.server_close()
        thread.join(10)


def hang(connection: socket.socket) -> None:
    """Say nothing until the client leaves."""
    connection.settimeout(30)
    connection.recv(1)


def reset(connection: socket.socket) -> None:
    """Break the connection with a TCP RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def sends(data: bytes) -> Wire:
    """Send exactly these bytes and close."""
    return lambda connection: connection.sendall(data)


def drips(head: bytes, drop: bytes) -> Wire:
    """Send `head`, then `drop` every 50 ms until the client leaves."""

    def write(connection: socket.socket) -> None:
        left = threading.Event()
        connection.sendall(head)
        for _ in range(600):
            connection.sendall(drop)
            left.wait(0.05)

    return write


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


GOOD = Reply(200, b'{"a": 1}')


class Caller:
    """An HttpClient against a script, on a clock that does not wait."""

    def __init__(
        self,
        script: Script,
        *,
        timeouts: Timeouts = PATIENT,
        ceilings: Ceilings = DEFAULT_CEILINGS,
        keeper: TokenKeeper | None = None,
        window: CallWindow | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.client = HttpClient(
            window=window or LocalCallWindow(self.clock), timeouts=timeouts, ceilings=ceilings, clock=self.clock
        )
        self.script, self.keeper = script, keeper
        self.requests: list[Request] = []

    def get(
        self, *, path: str = "/thing", content: Content = "record", signals: frozenset[int] = frozenset()
    ) -> tuple[int, object]:
        with serving(self.script, now=self.clock.now) as server:
            url, query = server.url + path, {"secret": "query"}
            call = Call("GET", url, Allowance("m"), content, params=query, signals=signals)
            try:
                return self.client.exchange(call, Answer.document, self.keeper)
            finally:
                self.requests = server.requests


class Logins:
    """Hands out t1, t2, ...; counts."""

    def __init__(self, *, slow: bool = False) -> None:
        self.count, self.slow = 0, slow

    def __call__(self) -> Token:
        self.count += 1
        if self.slow:
            time.sleep(0.05)
        return Token(f"t{self.count}")
