"""Ceilings of bytes: what an answer may cost in memory and on disk, and what is said beyond."""

import gzip
import socket
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from lsats_dagster.clients import http
from lsats_dagster.clients.connections import BoundedAdapter
from lsats_dagster.clients.errors import (
    OversizedAnswerError,
    PermanentSourceError,
    SourceError,
    UnreadableAnswerError,
)
from lsats_dagster.clients.http import Ceilings, Content
from lsats_dagster_tests.clients.aids import GOOD, HEAD, Caller, Reply, first, serving

SMALL = Ceilings(list_bytes=1 << 20, record_bytes=1 << 19, login_bytes=1 << 10)


TOO_LARGE: list[tuple[Content, type[SourceError], str, int]] = [
    ("list", PermanentSourceError, "the answer is larger than 1 MB, the limit that HTTP_LIST_MEGABYTES sets", 1),
    ("record", OversizedAnswerError, "the answer is larger than 0.5 MB, the limit that HTTP_RECORD_MEGABYTES sets", 1),
    ("login", UnreadableAnswerError, "HTTP 200 without a token (more than 1024 bytes)", http.UNREADABLE_TRIES),
]


def bloats(connection: socket.socket) -> None:
    """Send blanks until the client leaves."""
    connection.sendall(HEAD + b"\r\n")
    while True:
        connection.sendall(b" " * 65536)


@pytest.mark.parametrize(("content", "kind", "problem", "tries"), TOO_LARGE)
@pytest.mark.parametrize("endless", [False, True])
def test_an_answer_above_its_ceiling_ends_the_call(
    content: Content, kind: type[SourceError], problem: str, tries: int, endless: bool
) -> None:
    bomb = Reply(200, gzip.compress(b"[" + b" " * (64 << 20) + b"]"), {"Content-Encoding": "gzip"})
    caller = Caller(first(bloats if endless else bomb), ceilings=SMALL)
    tracemalloc.start()
    try:
        with pytest.raises(SourceError) as caught:
            caller.get(content=content)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert type(caught.value) is kind
    assert str(caught.value) == f"GET /thing: {problem} (tries: {tries})"
    assert len(caller.requests) == tries
    assert caller.client.evidence()["bytes"] < tries * (3 << 19)


@pytest.mark.parametrize("content", ["list", "record", "login"])
def test_an_answer_at_its_ceiling_is_read(content: Content) -> None:
    most = SMALL.of(content)
    caller = Caller(first(Reply(200, b'{"a": 1}' + b" " * (most - 8))), ceilings=SMALL)
    assert caller.get(content=content) == (200, {"a": 1})


def test_the_body_of_an_error_is_not_read_to_its_end() -> None:
    page = Reply(503, b"<html>" + b" " * (8 << 20))
    caller = Caller(first(page, GOOD))
    assert caller.get() == (200, {"a": 1})
    assert caller.client.evidence()["bytes"] < 1 << 18


def test_a_large_list_that_cannot_be_stored_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    caller = Caller(first(Reply(200, b"[" + b" " * (8 << 20) + b"]")))
    with pytest.raises(PermanentSourceError, match="cannot be written to the folder for temporary files") as caught:
        caller.get(content="list")
    assert str(tmp_path) not in str(caught.value)
    assert len(caller.requests) == 1


@pytest.mark.parametrize("through_proxy", [False, True])
def test_connections_notice_a_vanished_host(through_proxy: bool) -> None:
    with serving(lambda request: Reply()) as server:
        adapter = BoundedAdapter()
        manager = adapter.proxy_manager_for(server.url) if through_proxy else adapter.poolmanager
        pool = manager.connection_from_url("http://127.0.0.1:9" if through_proxy else server.url)
        pool.urlopen("GET", server.url + "/")
        connection = pool.pool.get()
        assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        adapter.close()
