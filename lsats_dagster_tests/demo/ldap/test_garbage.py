"""Nothing that comes makes the server hang or fail, and others are served meanwhile."""

import itertools
import socket
from collections.abc import Iterator

import ldap3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsats_dagster.demo.campus.ldap import connection as connections
from lsats_dagster.demo.campus.ldap import server as servers
from lsats_dagster.demo.campus.ldap.server import LdapServer
from lsats_dagster_tests import depth
from lsats_dagster_tests.demo.ldap.aids import (
    HUB,
    NOTICE,
    PASSWORD,
    PATIENCE,
    PEOPLE,
    attributes,
    bind,
    client,
    directory,
    message,
    result,
    search,
    serving,
    unbind,
    until,
    whole_subtree,
    wire,
)

BUSY = 51


@pytest.fixture(scope="module")
def running() -> Iterator[LdapServer]:
    with serving(directory(5), patience=PATIENCE) as server:
        yield server


@pytest.fixture(scope="module")
def witness(running: LdapServer) -> Iterator[ldap3.Connection]:
    with client(running) as connection:
        yield connection


@pytest.fixture
def server(running: LdapServer, witness: ldap3.Connection) -> Iterator[LdapServer]:
    running.faults.clear()
    yield running
    running.faults.clear()
    assert len(search(witness, "(uidNumber=*)")) == 5


def nested(depth: int) -> bytes:
    """A filter of so many levels."""
    query = b"\x87\x0bobjectClass"
    for _ in range(depth - 1):
        query = b"\xa2\x83" + len(query).to_bytes(3, "big") + query
    return query


def large(number: int, query: bytes) -> bytes:
    """A search whose filter needs more than two octets of length."""
    body = b"\x04\0\x0a\1\0\x0a\1\0\2\1\0\2\1\0\1\1\0" + query + b"\x30\0"
    content = bytes((2, 1, number, 0x63, 0x83)) + len(body).to_bytes(3, "big") + body
    return b"\x30\x83" + len(content).to_bytes(3, "big") + content


# Requests of every kind, each alone, as the ground for what is broken.
PAGED_CONTROL = b"\xa0\x24\x30\x22\x04\x161.2.840.113556.1.4.319\x04\x08\x30\x06\x02\x01\x02\x04\x01x"
REQUESTS = [
    bind(1, HUB.encode(), PASSWORD.encode()),
    whole_subtree(2),
    whole_subtree(3, query=b"\xa0\x19\xa3\x0a\x04\x03uid\x04\x03ann\xa4\x0b\x04\x02cn\x30\x05\x80\x01a\x82\x00"),
    whole_subtree(4, query=b"\xa1\x18\xa5\x0e\x04\x09uidNumber\x04\x011\xa2\x06\xa6\x04\x04\0\x04\0"),
    whole_subtree(5, query=b"\xa9\x0b\x81\x01x\x82\x03uid\x83\x01y"),
    message(6, 0x63, whole_subtree(6)[12:], PAGED_CONTROL),
    message(7, 0x50, b"\x02"),
    message(8, 0x77, b"\x80\x051.2.3"),
    message(9, 0x4A, b"dc=edu"),
    unbind(10),
]


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_a_request_cut_anywhere_ends_the_connection(server: LdapServer, number: int) -> None:
    whole = REQUESTS[number]
    for cut in range(1, len(whole), 1 if depth.PROOF else 7):
        with wire(server) as raw:
            assert raw.ends(whole[:cut]) == b""


EXAMPLES = settings(max_examples=100 * depth.FACTOR, derandomize=True, deadline=None, database=None)
JUNK = st.binary(max_size=200)
BROKEN = st.builds(
    lambda whole, at, byte: whole[: at % len(whole)] + bytes((byte,)) + whole[at % len(whole) + 1 :],
    st.sampled_from(REQUESTS),
    st.integers(0, 1 << 16),
    st.integers(0, 255),
)
TREES = st.recursive(
    st.builds(lambda tag, content: bytes((tag, len(content))) + content, st.integers(0, 255), st.binary(max_size=20)),
    lambda inner: st.builds(
        lambda tag, parts: bytes((tag, 0x82)) + len(b"".join(parts)).to_bytes(2, "big") + b"".join(parts),
        st.integers(0, 255),
        st.lists(inner, max_size=5),
    ),
    max_leaves=12,
)
# Operations with any content, and searches with any filter.
SHAPED = st.one_of(
    st.builds(lambda number, tag, parts: message(number, tag, b"".join(parts)), st.integers(1, 127),
              st.sampled_from([0x60, 0x63, 0x50, 0x77, 0x42, 0x66]), st.lists(TREES, max_size=4)),
    st.builds(lambda number, query: whole_subtree(number, query=query), st.integers(1, 127), TREES),
    st.builds(lambda number, controls: message(number, 0x63, whole_subtree()[12:], controls), st.integers(1, 127), TREES),
)  # fmt: skip


@pytest.mark.deep
@EXAMPLES
@given(pieces=st.lists(st.one_of(JUNK, BROKEN, SHAPED, st.sampled_from(REQUESTS)), min_size=1, max_size=6))
def test_no_bytes_make_the_server_fail(running: LdapServer, witness: ldap3.Connection, pieces: list[bytes]) -> None:
    with wire(running) as raw:
        raw.ends(*pieces)
    assert len(search(witness, "(uidNumber=*)")) == 5


@pytest.mark.parametrize("order", list(itertools.permutations(range(4), 3)))
def test_requests_are_answered_in_any_order(server: LdapServer, order: tuple[int, ...]) -> None:
    requests = [REQUESTS[0], whole_subtree(2), message(3, 0x4A, b"dc=edu"), message(4, 0x77, b"\x80\x051.2.3")]
    with wire(server) as raw:
        # One after another: a login ends the searches before it.
        for number in order:
            raw.send(requests[number])
            while (answer := raw.message())[5] == 0x64:
                pass
            assert result(answer)[:2] == [(1, 0x61), (2, 0x65), (3, 0x6B), (4, 0x78)][number]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x84\x00\x10\x00\x00",
        b"\x30\x80\x02\x01\x01",
        b"\x30\x03\x02\x01\x01",
        b"\x30\x05\x02\x01\x00\x42\x00",
        b"\x30\x05\x02\x01\x01\x7f\x00",
        b"\x30\x05\x02\x01\x01\x61\x00",
        b"\x30\x04\x04\x02ab",
        message(1, 0x60, b"\x02\x01"),
        message(1, 0x63, b"\x04\x00"),
        message(1, 0x50, b""),
        message(1, 0x77, b""),
        message(1, 0x63, whole_subtree()[12:], b"\xa0\x02\x30\x00"),
    ],
)
def test_what_is_no_ldap_is_told_so_before_the_end(server: LdapServer, data: bytes) -> None:
    with wire(server) as raw:
        raw.send(data)
        answer = raw.end()
        assert result(answer) == NOTICE
        assert b"1.3.6.1.4.1.1466.20036" in answer


@pytest.mark.parametrize(("levels", "code"), [(100, 0), (101, 53), (30_000, 53)])
def test_a_filter_has_its_depth(server: LdapServer, levels: int, code: int) -> None:
    with wire(server) as raw:
        raw.send(large(1, nested(levels)))
        while (answer := raw.message())[5] == 0x64:
            pass
        assert result(answer) == (1, 0x65, code)


@pytest.mark.parametrize(
    "body",
    [
        b"\x04\0\x0a\1\3\x0a\1\0\2\1\0\2\1\0\1\1\0\x87\x03uid\x30\0",
        b"\x04\0\x0a\1\0\x0a\1\0\2\1\xff\2\1\0\1\1\0\x87\x03uid\x30\0",
        b"\x04\0\x0a\1\0\x0a\1\0\2\1\0\2\5\0\xff\xff\xff\xff\1\1\0\x87\x03uid\x30\0",
        b"\x04\0\x0a\1\0\x0a\1\0\2\1\0\2\1\0\1\1\0\x88\x03uid\x30\0",
        b"\x04\0\x0a\1\0\x0a\1\0\2\1\0\2\1\0\1\1\0\xa2\x00\x30\0",
        b"\x04\0\x0a\1\0\x0a\1\0\2\1\0\2\1\0\1\1\0\xa4\x07\x04\x03uid\x30\x00\x30\0",
        b"\x04\0\x0a\1\0\x0a\1\0\2\1\0\2\1\0\1\1\0\xa4\x0d\x04\x03uid\x30\x06\x82\x01a\x81\x01b\x30\0",
        b"\x04\0\x0a\1\0\x0a\1\0\2\1\0\2\1\0\1\1\0\xa4\x0d\x04\x03uid\x30\x06\x81\x01a\x80\x01b\x30\0",
    ],
)
def test_a_search_that_makes_no_sense_is_refused_alone(server: LdapServer, body: bytes) -> None:
    with wire(server) as raw:
        raw.send(message(1, 0x63, body))
        assert result(raw.message()) == (1, 0x65, 2)
        raw.send(bind(2))
        assert result(raw.message()) == (2, 0x61, 0)


# Clients that are slow, many, or do much at once


def test_who_does_not_end_a_message_is_left() -> None:
    with serving(directory(5), patience=0.2) as server, client(server) as idle:
        with wire(server) as raw:
            raw.send(whole_subtree()[:-1])
            assert raw.end() == b""
        # Who began nothing may wait.
        assert len(search(idle, "(uidNumber=*)")) == 5


def test_who_takes_no_answers_is_left() -> None:
    content = directory()
    for number in range(200):
        content.add(f"cn={number},{PEOPLE}", attributes(cn="x" * 100_000))
    with serving(content, patience=0.2) as server, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        deaf.connect(("127.0.0.1", server.port))
        deaf.sendall(whole_subtree())
        until(lambda: server.log.counts["search"] == 1)
        with client(server) as connection:
            assert len(search(connection, "(ou=*)")) == 2
        until(lambda: server.connections == 0)


def test_more_connections_than_there_may_be_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "MOST_CONNECTIONS", 3)
    with serving(directory(5)) as server, wire(server) as one, wire(server) as two, client(server) as connection:
        with wire(server) as late:
            assert result(late.end()) == (0, 0x78, BUSY)
        assert len(search(connection, "(uidNumber=*)")) == 5
        for open_one in (one, two):
            open_one.send(bind())
            assert result(open_one.message()) == (1, 0x61, 0)
        one.ends()
        until(lambda: server.connections == 2)
        with client(server) as connection:
            assert search(connection)


def test_more_searches_at_once_than_there_may_be_are_refused(server: LdapServer) -> None:
    server.faults.add("search", "hang", times=connections.MOST_SEARCHES)
    with wire(server) as raw:
        raw.send(*(whole_subtree(number) for number in range(1, connections.MOST_SEARCHES + 2)))
        assert result(raw.message()) == (connections.MOST_SEARCHES + 1, 0x65, BUSY)
        raw.send(bind(50))
        assert result(raw.message()) == (50, 0x61, 0)
        raw.send(whole_subtree(51, query=b"\xa1\0"))
        assert result(raw.message()) == (51, 0x65, 0)


def test_two_searches_at_work_have_two_numbers(server: LdapServer) -> None:
    server.faults.add("search", "hang")
    with wire(server) as raw:
        raw.send(whole_subtree(1), whole_subtree(1))
        assert result(raw.end()) == NOTICE


def test_an_abandoned_search_brings_nothing_more(server: LdapServer) -> None:
    server.faults.add("search", "hang")
    with wire(server) as raw:
        before = len(server.log.searches)
        raw.send(whole_subtree(1))
        until(lambda: len(server.log.searches) > before)
        # The second of them names a request that there is not.
        raw.send(message(2, 0x50, b"\1"), message(3, 0x50, b"\x63"), whole_subtree(1, query=b"\xa1\0"))
        assert result(raw.message()) == (1, 0x65, 0)


def test_a_search_ends_with_its_connection(server: LdapServer) -> None:
    server.faults.add("search", "hang")
    before = server.connections
    with wire(server) as raw:
        raw.send(whole_subtree(1))
        assert raw.ends(unbind(2)) == b""
    until(lambda: server.connections == before)


def test_the_server_stops_whatever_its_clients_do() -> None:
    with serving(directory(5)) as server:
        server.faults.add("search", "hang")
        searching, silent, halfway = (socket.create_connection(("127.0.0.1", server.port), PATIENCE) for _ in range(3))
        searching.sendall(whole_subtree())
        halfway.sendall(whole_subtree()[:9])
        until(lambda: server.log.counts["search"] == 1 and server.connections == 3)
        port = server.port
    for left in (searching, silent, halfway):
        with left:
            assert ended(left)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), PATIENCE)


def ended(left: socket.socket) -> bool:
    try:
        return left.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_server_is_on_loopback_only(server: LdapServer) -> None:
    assert [bound.getsockname()[0] for bound in server._sockets] == ["127.0.0.1"]
