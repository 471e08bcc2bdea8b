"""A directory on the wire that answers as a test says, in the bytes of RFC 4511."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from lsats_dagster.clients.errors import SourceError
from lsats_dagster.clients.http import Timeouts
from lsats_dagster.clients.ldap import LdapClient
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster.clients.window import Clock
from lsats_dagster_tests.clients.aids import PATIENT, VirtualClock

BIND, SEARCH = 0x60, 0x63
PASSWORD = "geheim"
UID = Attributes(("uid",))


def ber(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    return bytes([tag, 0x84]) + size.to_bytes(4, "big") + body


def number(value: int, tag: int = 0x02) -> bytes:
    return ber(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def entry(dn: str, attributes: Mapping[str, Sequence[bytes]]) -> bytes:
    listed = [
        ber(0x30, ber(0x04, name.encode()), ber(0x31, *(ber(0x04, value) for value in values)))
        for name, values in attributes.items()
    ]
    return ber(0x64, ber(0x04, dn.encode()), ber(0x30, *listed))


def reference(uri: str) -> bytes:
    return ber(0x73, ber(0x04, uri.encode()))


def result(tag: int, code: int, said: str = "") -> bytes:
    return ber(tag, number(code, 0x0A), ber(0x04, said.encode()), ber(0x04, said.encode()))


def done(code: int = 0, *, cookie: bytes | None = None, said: str = "") -> bytes:
    """The end of a search; with the control of paged results where there is a cookie, or an empty one."""
    answer = result(0x65, code, said)
    if cookie is None:
        return answer
    value = ber(0x30, number(0), ber(0x04, cookie))
    return answer + ber(0xA0, ber(0x30, ber(0x04, b"1.2.840.113556.1.4.319"), ber(0x04, value)))


def person(name: str) -> bytes:
    return entry(f"uid={name},dc=example,dc=edu", {"uid": [name.encode()]})


Wire = Callable[[socket.socket], None]  # writes to the connection itself, which is then closed
# Of a search: its answers in order, each an operation. The request as sent is given.
Script = Callable[[bytes], Iterable[bytes] | Wire]


def first(*answers: Iterable[bytes] | Wire) -> Script:
    """Answer with these in turn, then with the last one for ever."""
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


@dataclass
class Server:
    port: int
    ca_file: Path
    binds: int = 0
    searches: list[bytes] = field(default_factory=list)

    def client(self, *, timeouts: Timeouts = PATIENT, clock: Clock | None = None, **terms: Any) -> LdapClient:
        known = {
            "host": "localhost",
            "user": "uid=hub,dc=example,dc=edu",
            "password": PASSWORD,
            "ca_file": self.ca_file,
        }
        return LdapClient(
            title="The directory", port=self.port, timeouts=timeouts, clock=clock or VirtualClock(), **known | terms
        )


@contextmanager
def serving(
    folder: Path,
    script: Script,
    *,
    bind: int = 0,
    names: Sequence[str] = ("localhost",),
    address: tuple[str, int] = ("127.0.0.1", 0),
) -> Iterator[Server]:
    """Answer on a free loopback port over TLS. bind: the result code of every login; names: those of the certificate."""
    authority, trust = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(trust)
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    listener = socket.create_server(address)
    server = Server(listener.getsockname()[1], ca_file)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def serve(plain: socket.socket) -> None:
        with suppress(OSError), plain, trust.wrap_socket(plain, server_side=True) as connection:
            while request := message(connection):
                identity, operation = request
                if operation[0] == BIND:
                    server.binds += 1
                    answers: Iterable[bytes] | Wire = [result(0x61, bind, "80090308: data 52e")]
                elif operation[0] == SEARCH:
                    server.searches.append(operation)
                    answers = script(operation)
                else:
                    return
                if callable(answers):
                    answers(connection)
                    return
                for answer in answers:  # made as they are sent, if a test likes
                    connection.sendall(ber(0x30, identity, answer))

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def message(connection: socket.socket) -> tuple[bytes, bytes] | None:
    """The id of the next request, as it stands there, and the rest of the request; None at the end."""
    body = element(connection)
    if body is None:
        return None
    size = 2 + body[1]
    return body[:size], body[size:]


def element(connection: socket.socket) -> bytes | None:
    head = exactly(connection, 2)
    if head is None:
        return None
    size = head[1]
    if size & 0x80:
        size = int.from_bytes(exactly(connection, size & 0x7F) or b"", "big")
    return exactly(connection, size)


def exactly(connection: socket.socket, size: int) -> bytes | None:
    received = b""
    while len(received) < size:
        piece = connection.recv(size - len(received))
        if not piece:
            return None
        received += piece
    return received


def uids(client: LdapClient, attributes: Attributes = UID) -> list[str]:
    """The people of a paged read."""
    return [str(record["uid"]) for page in client.pages("dc=example,dc=edu", "(uid=*)", attributes) for record in page]


def failure(read: Callable[[], Any]) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read()
    return caught.value


def reset(connection: socket.socket) -> None:
    connection.close()
