"""A small directory, two clients for it (ldap3 and one that sends bytes as they are told), and their servers."""

import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ldap3

from lsats_dagster.demo.campus.ldap.directory import Directory
from lsats_dagster.demo.campus.ldap.identities import Identity
from lsats_dagster.demo.campus.ldap.server import LdapServer
from lsats_dagster.demo.campus.ldap.syntaxes import Syntax

# Seconds for an answer that must come, on a machine that has other work too.
PATIENCE = 60
ROOT = "dc=example,dc=edu"
PEOPLE = f"ou=People,{ROOT}"
GROUPS = f"ou=Groups,{ROOT}"
TRASH = f"CN=Deleted Objects,{ROOT}"
HUB, PASSWORD = f"uid=svc-hub,{PEOPLE}", "a generated one"
SCHEMA = {
    "dc": Syntax.TEXT, "ou": Syntax.TEXT, "uid": Syntax.TEXT, "cn": Syntax.TEXT, "mail": Syntax.TEXT,
    "uidNumber": Syntax.INTEGER, "gidNumber": Syntax.INTEGER, "whenChanged": Syntax.TIME, "manager": Syntax.DN,
    "member": Syntax.DN, "joinable": Syntax.BOOLEAN, "objectGUID": Syntax.OCTETS, "entryUUID": Syntax.TEXT,
}  # fmt: skip
INDEXED = ("uid", "uidNumber", "gidNumber")


def directory(people: int = 0, *, contexts: Iterable[str] = (ROOT,), **options: Any) -> Directory:
    """The top of a tree, and so many people whose uidNumber falls from `people` to 1."""
    made = Directory(list(contexts), SCHEMA, operational=["entryUUID"], **{"indexed": INDEXED, **options})
    made.add(ROOT, attributes(objectClass=["top", "domain"], dc="example"))
    made.add(PEOPLE, attributes(objectClass=["top", "organizationalUnit"], ou="People"))
    made.add(GROUPS, attributes(objectClass=["top", "organizationalUnit"], ou="Groups"))
    for number in range(people, 0, -1):
        made.add(f"uid=u{number},{PEOPLE}", attributes(objectClass="person", uid=f"u{number}", uidNumber=str(number)))
    return made


def attributes(**values: str | bytes | list[str]) -> dict[str, list[bytes]]:
    """Attributes as a directory takes them, from text, bytes and lists of text; they have an objectClass."""
    values = {"objectClass": "top", **values}
    lists = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
    return {name: [v.encode() if isinstance(v, str) else v for v in value] for name, value in lists.items()}


HUB_IDENTITY = Identity((HUB, "svc-hub@example.edu", "EXAMPLE\\svc-hub"), PASSWORD)


@contextmanager
def serving(content: Directory, *identities: Identity, **options: Any) -> Iterator[LdapServer]:
    """A server in which the hub may log in, and everybody may search who does not; nothing in it may fail."""
    failures = Failures(logging.ERROR)
    logging.getLogger("asyncio").addHandler(failures)
    try:
        with LdapServer(content, identities or [HUB_IDENTITY], **{"anonymous": Identity(), **options}) as server:
            yield server
    finally:
        logging.getLogger("asyncio").removeHandler(failures)
    assert failures.seen == []


class Failures(logging.Handler):
    """What a server's own loop has to say, which hides what goes wrong in it from its clients."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(logging.Formatter().format(record))


@contextmanager
def client(
    server: LdapServer, name: str | None = HUB, password: str | None = PASSWORD, **options: Any
) -> Iterator[ldap3.Connection]:
    """ldap3, logged in; any code but success, 3 and 4 raises."""
    host = ldap3.Server("127.0.0.1", server.port, get_info=ldap3.NONE, connect_timeout=PATIENCE)
    settings = {
        "raise_exceptions": True,
        "receive_timeout": PATIENCE,
        "auto_range": False,
        "auto_bind": True,
        "return_empty_attributes": False,
        **options,
    }
    connection = ldap3.Connection(host, name, password, **settings)
    try:
        yield connection
    finally:
        connection.unbind()


def search(
    connection: ldap3.Connection, query: str = "(objectClass=*)", base: str = ROOT, **options: Any
) -> dict[str, dict[str, list[bytes]]]:
    """What one search brings: values by attribute by DN, in the order in which they came."""
    connection.search(base, query, **{"attributes": ["*"], **options})
    return {
        # ldap3 shows no list for an attribute without values.
        item["dn"]: {name: values or [] for name, values in item["raw_attributes"].items()}
        for item in connection.response or []
        if item["type"] == "searchResEntry"
    }


def pages(
    connection: ldap3.Connection, size: int, query: str = "(uidNumber=*)", base: str = PEOPLE, **options: Any
) -> Iterator[list[str]]:
    """The uids of each page of a search, until the cookie is empty."""
    cookie = None
    while cookie != b"":
        found = search(
            connection, query, base, **{"attributes": ["uid"], "paged_size": size, "paged_cookie": cookie, **options}
        )
        yield [values["uid"][0].decode() for values in found.values()]
        cookie = next_cookie(connection)


def next_cookie(connection: ldap3.Connection) -> bytes:
    cookie: bytes = connection.result["controls"]["1.2.840.113556.1.4.319"]["value"]["cookie"]
    return cookie


class Wire:
    """A client that sends what it is told and gives back what comes."""

    def __init__(self, server: LdapServer) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), PATIENCE)

    def send(self, *messages: bytes) -> None:
        self.socket.sendall(b"".join(messages))

    def ends(self, *messages: bytes) -> bytes:
        """Send, send no more, and take all that comes."""
        # The server may be done with the connection before.
        with suppress(OSError):
            self.send(*messages)
            self.socket.shutdown(socket.SHUT_WR)
        return self.end()

    def end(self) -> bytes:
        """All that comes until the server closes the connection; a reset ends it as well."""
        data = bytearray()
        with suppress(ConnectionResetError):
            while more := self._some(1 << 16):
                data += more
        return bytes(data)

    def message(self) -> bytes:
        """The next message, empty at the end."""
        data = self._exactly(2)
        if len(data) < 2:
            return b""
        if data[1] & 0x80:
            data += self._exactly(data[1] & 0x7F)
            return data + self._exactly(int.from_bytes(data[2:], "big"))
        return data + self._exactly(data[1])

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (more := self._some(count - len(data))):
            data += more
        return data

    def _some(self, most: int) -> bytes:
        try:
            return self.socket.recv(most)
        except TimeoutError:
            raise AssertionError("nothing came in time") from None


def until(condition: Callable[[], object]) -> None:
    """Wait for something that the server does on its own."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def wire(server: LdapServer) -> Iterator[Wire]:
    made = Wire(server)
    with made.socket:
        yield made


def silent(raw: Wire) -> bool:
    """Whether nothing comes."""
    raw.socket.settimeout(0.1)
    try:
        raw.socket.recv(1)
    except TimeoutError:
        return True
    finally:
        raw.socket.settimeout(PATIENCE)
    return False


# Messages, written out by hand: each has the number given, below 128.


def unbind(number: int = 1) -> bytes:
    return bytes((0x30, 5, 2, 1, number, 0x42, 0))


def bind(number: int = 1, name: bytes = b"", password: bytes = b"", version: int = 3) -> bytes:
    body = bytes((2, 1, version, 4, len(name))) + name + bytes((0x80, len(password))) + password
    return message(number, 0x60, body)


def whole_subtree(number: int = 1, base: bytes = ROOT.encode(), query: bytes = b"\x87\x0bobjectClass") -> bytes:
    body = bytes((4, len(base))) + base + b"\x0a\1\2\x0a\1\0\2\1\0\2\1\0\1\1\0" + query + b"\x30\0"
    return message(number, 0x63, body)


def message(number: int, tag: int, body: bytes, controls: bytes = b"") -> bytes:
    """A message whose lengths all have two octets."""
    content = bytes((2, 1, number, tag, 0x82)) + len(body).to_bytes(2, "big") + body + controls
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def result(answer: bytes) -> tuple[int, int, int]:
    """Number, tag and result code of a short answer."""
    assert len(answer) > 9
    return answer[4], answer[5], answer[9]


NOTICE = (0, 0x78, 2)
