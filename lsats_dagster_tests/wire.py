"""What may stand between the hub and its Postgres: a proxy that hands bytes on and changes what a connection starts with."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import make_url

# What a client asks first that wants to speak under TLS or GSS; the proxy does not, so that it can read.
ENCRYPTION = (80877103, 80877104)
# From the words of a start-up packet to those that are sent on.
Startup = Callable[[dict[str, str]], dict[str, str]]
# From kind and body of a message of the server, before it is first ready for a query, to the body that is sent on.
Answer = Callable[[bytes, bytes], bytes]


def as_asked(startup: dict[str, str]) -> dict[str, str]:
    return startup


def without_options(startup: dict[str, str]) -> dict[str, str]:
    """As a pooler does that is told to ignore them."""
    return {name: value for name, value in startup.items() if name != "options"}


def as_answered(_kind: bytes, body: bytes) -> bytes:
    return body


def of_version(version: str) -> Answer:
    """The server says that it is of another version."""
    return lambda kind, body: (
        f"server_version\0{version}\0".encode() if kind == b"S" and body.startswith(b"server_version\0") else body
    )


def with_a_key_of_its_own(kind: bytes, body: bytes) -> bytes:
    """As a pooler does, whose clients share sessions: the process number that it gives a client is none of the server's."""
    return struct.pack("!I", 1) + body[4:] if kind == b"K" else body


@contextmanager
def proxy(url: str, *, startup: Startup = as_asked, answer: Answer = as_answered) -> Iterator[str]:
    """The URL of the same database by way of a proxy."""
    target = make_url(url)
    listener = socket.create_server(("127.0.0.1", 0))
    open_sockets: list[socket.socket] = [listener]

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((target.host, target.port))
                open_sockets.extend((client, server))
                for one, other, change in ((client, server, forward_startup), (server, client, forward_answers)):
                    threading.Thread(target=carry, args=(one, other, change), daemon=True).start()

    def forward_startup(source: socket.socket, sink: socket.socket) -> None:
        length, protocol = struct.unpack("!II", exactly(source, 8))
        while protocol in ENCRYPTION:
            source.sendall(b"N")
            length, protocol = struct.unpack("!II", exactly(source, 8))
        words = exactly(source, length - 8).decode().split("\0")[:-2]
        changed = startup(dict(zip(words[::2], words[1::2], strict=True)))
        body = "".join(f"{name}\0{value}\0" for name, value in changed.items()).encode() + b"\0"
        sink.sendall(struct.pack("!II", len(body) + 8, protocol) + body)

    def forward_answers(source: socket.socket, sink: socket.socket) -> None:
        kind = b""
        while kind != b"Z":
            kind, length = struct.unpack("!cI", exactly(source, 5))
            body = answer(kind, exactly(source, length - 4))
            sink.sendall(struct.pack("!cI", kind, len(body) + 4) + body)

    def carry(
        source: socket.socket, sink: socket.socket, begin: Callable[[socket.socket, socket.socket], None]
    ) -> None:
        with suppress(OSError):
            begin(source, sink)
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield target.set(host="127.0.0.1", port=listener.getsockname()[1]).render_as_string(hide_password=False)
    finally:
        for one in open_sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        thread.join()


def exactly(source: socket.socket, count: int) -> bytes:
    """So many bytes; OSError when the other side ends before."""
    found = b""
    while len(found) < count:
        if not (data := source.recv(count - len(found))):
            raise OSError("the connection ended")
        found += data
    return found
