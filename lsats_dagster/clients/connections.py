"""Connections whose answers have a bounded head.

The timeout of a socket begins anew with every byte: a server that drips its status line and headers could hold a client for
days. The body has its own deadline in `http.py`.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

T = TypeVar("T")

# A vanished host is noticed after some two minutes, also while nothing is read and no timeout runs.
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
        if hasattr(socket, name)  # not every system has all of them
    ),
]
_SOCKET_OPTIONS = [*HTTPConnection.default_socket_options, *_KEEPALIVE]

# Every request of ours has a timeout; this holds for one that had none.
SECONDS_WITHOUT_TIMEOUT = 120.0


def _bounded_head(connection: HTTPConnection, read_head: Callable[[], T]) -> T:
    """Run `read_head`, which must be done within the read timeout.

    The timeout of a socket begins anew with every byte: a server that drips the head could hold us for days.
    """
    sock, expired = connection.sock, threading.Event()

    def expire() -> None:
        expired.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # SSLSocket's own would drop the TLS state

    seconds = connection.timeout if isinstance(connection.timeout, int | float) else SECONDS_WITHOUT_TIMEOUT
    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        head = read_head()
    except Exception:
        if not expired.is_set():
            raise
    finally:
        timer.cancel()
    if expired.is_set():
        raise TimeoutError
    return head


class _Connection(HTTPConnection):
    def getresponse(self) -> Any:
        return _bounded_head(self, super().getresponse)


class _TlsConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        return _bounded_head(self, super().getresponse)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class BoundedAdapter(HTTPAdapter):
    """Connections whose answers have a bounded head and that ask for keepalives, with and without a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, socket_options=_SOCKET_OPTIONS)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs, socket_options=_SOCKET_OPTIONS)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager
