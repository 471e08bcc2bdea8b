"""One bound connection to a directory: what ldap3 leaves open is closed here.

ldap3 ends a search that was cut short (codes 3 and 4) like one that is whole, waits for ever, accepts any certificate and puts
DNs and values into the texts of its errors. It reads messages of any size and number. Everything that crosses this border as an
error is one of ours, without its cause.
"""

import contextlib
import math
import socket
import ssl
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import ldap3
from ldap3.core.exceptions import (
    LDAPCommunicationError,
    LDAPInvalidFilterError,
    LDAPOperationResult,
    LDAPResponseTimeoutError,
)
from ldap3.core.results import RESULT_CODES

from lsats_dagster.clients.errors import (
    LoginRefusedError,
    PermanentSourceError,
    SourceError,
    TransientSourceError,
    UnreadableAnswerError,
)
from lsats_dagster.clients.http import Ceilings, Timeouts
from lsats_dagster.clients.ldap_messages import Entry, Messages

T = TypeVar("T")

Scope = Literal["base", "level", "subtree"]

WHOLE, SIZE_LIMIT, LOGIN_REFUSED = 0, 4, 49
# Time limit, busy, unavailable, other, and the time limit of clients: a later try can help.
_TRANSIENT = frozenset({3, 51, 52, 80, 85})
_SCOPES = {"base": ldap3.BASE, "level": ldap3.LEVEL, "subtree": ldap3.SUBTREE}
_PAGES = "1.2.840.113556.1.4.319"  # the control of RFC 2696
# What OpenSSL says of a certificate, by its codes.
_AUTHORITY = "no authority that is trusted here has signed it; look at the CA file that is set"
_REASONS = dict.fromkeys((2, 18, 19, 20, 21), _AUTHORITY) | {
    9: "it is not valid yet",
    10: "it has expired",
    62: "it is for another name than the one connected to",
    64: "it is for another address than the one connected to",
}


@dataclass(frozen=True)
class Login:
    """A simple bind: a DN, `DOMAIN\\name` or a principal name."""

    user: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True)
class Found:
    """What one search answered: its result code, the entries, and the cookie of the next page (empty at the end)."""

    code: int
    entries: list[Entry]
    cookie: bytes

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing that the search asked for."""
        return self.code == WHOLE and not self.cookie


class LdapConnection:
    """A connection over TLS, verified and bound when it is made. One thread uses it.

    title: what messages call the directory. trust: the authorities that may sign its certificate, which must be for `host`.
    ceilings: a message may be as large as a record, all messages of one answer together as a list.
    Every method may raise TransientSourceError, UnreadableAnswerError and PermanentSourceError; after any of them, and after an
    interrupt, the connection is of no further use.
    """

    def __init__(
        self,
        title: str,
        host: str,
        port: int,
        login: Login,
        trust: ssl.SSLContext,
        timeouts: Timeouts,
        ceilings: Ceilings,
    ) -> None:
        self._title = title
        self._timeouts = timeouts
        self._tls = _Tls(trust)
        server = ldap3.Server(
            host, port, use_ssl=True, tls=self._tls, get_info=ldap3.NONE, connect_timeout=timeouts.connect
        )
        self._connection = ldap3.Connection(
            server,
            login.user,
            # As bytes: a text would be rewritten by rules that not every server keeps.
            login.password.encode(),
            authentication=ldap3.SIMPLE,
            client_strategy=ldap3.SYNC,
            raise_exceptions=True,
            auto_referrals=False,
            auto_range=False,
            check_names=False,
            read_only=True,
            return_empty_attributes=False,
            receive_timeout=math.ceil(timeouts.read),
        )
        self._messages = Messages(title, ceilings, lambda most: bytes(self._connection.socket.recv(most)))
        self._connection.strategy.receiving = self._messages.receive
        try:
            self._raise_for(self._answer(self._bind), (WHOLE,))
        except BaseException:
            self.close()
            raise

    def search(
        self,
        base: str,
        filter: str,
        names: Collection[str],
        scope: Scope,
        *,
        page_size: int | None = None,
        cookie: bytes = b"",
        most: int = 0,
        signals: Collection[int] = (),
        is_further: bool = False,
    ) -> Found:
        """One search, or a page of one. Code 4 (size limit) is an answer, as are `signals`; other codes than 0 are errors.

        page_size: of a paged search, each of which ends the one before on servers that keep one. most: a size limit of our own.
        is_further: of a search for more of what the one before gave: to the ceilings both are one answer.
        """
        self._messages.begin(is_further=is_further)

        def ask() -> Found:
            try:
                self._connection.search(
                    base,
                    filter,
                    _SCOPES[scope],
                    dereference_aliases=ldap3.DEREF_NEVER,
                    attributes=list(names),
                    size_limit=most,
                    paged_size=page_size,
                    paged_cookie=cookie or None,
                )
            except LDAPOperationResult as error:
                return Found(error.result, [], b"")
            result = self._connection.result
            control = result.get("controls", {}).get(_PAGES)
            return Found(result["result"], self._messages.entries, control["value"]["cookie"] if control else b"")

        found = self._answer(ask)
        self._raise_for(found.code, (WHOLE, SIZE_LIMIT, *signals))
        return found

    def close(self) -> None:
        """Say goodbye, where somebody listens."""
        # What ends here has failed before, or is not needed any more.
        with contextlib.suppress(Exception):
            self._connection.unbind()

    def _bind(self) -> int:
        self._connection.open(read_server_info=False)
        try:
            self._connection.bind(read_server_info=False)
        except LDAPOperationResult as error:
            return int(error.result)
        return int(self._connection.result["result"])

    def _answer(self, work: Callable[[], T]) -> T:
        """What `work` gives, which has so much time. The time limit of a socket begins anew with every byte."""
        cut = threading.Event()

        def expire() -> None:
            cut.set()
            sock = self._connection.socket
            if sock is not None:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)  # SSLSocket's own would drop the TLS state

        timer = threading.Timer(self._timeouts.answer, expire)
        timer.daemon = True
        timer.start()
        try:
            return work()
        except Exception as error:
            failure = self._translated(error)
        finally:
            timer.cancel()
        if cut.is_set():
            failure = TransientSourceError(f"{self._title}: no whole answer within the time allowed")
        raise failure

    def _translated(self, error: Exception) -> SourceError:
        """Our error for one of ldap3, whose texts hold DNs, values and addresses."""
        if isinstance(error, SourceError):
            return error
        if self._tls.refusal is not None:
            return PermanentSourceError(
                f"{self._title}: the certificate of the server does not verify: {self._tls.refusal}"
            )
        if isinstance(error, LDAPInvalidFilterError):
            return PermanentSourceError(f"{self._title}: the search cannot be built")
        if isinstance(error, TimeoutError):
            return TransientSourceError(f"{self._title}: the server does not answer")
        if isinstance(error, OSError | LDAPCommunicationError | LDAPResponseTimeoutError):
            return TransientSourceError(f"{self._title}: no connection, or it was lost ({type(error).__name__})")
        # ldap3 reads what is no LDAP until something in it fails, in any way; so does an unknown result code.
        return UnreadableAnswerError(f"{self._title}: the answer cannot be read ({type(error).__name__})")

    def _raise_for(self, code: int, answers: Collection[int]) -> None:
        """The error that a result code stands for, where it is not one of the answers."""
        if code in answers:
            return
        name = f"code {code} ({RESULT_CODES.get(code, 'unknown')})"
        if code == LOGIN_REFUSED:
            raise LoginRefusedError(f"{self._title} refused the login ({name}): look at its user and password")
        raise (TransientSourceError if code in _TRANSIENT else PermanentSourceError)(f"{self._title}: {name}")


class _Tls(ldap3.Tls):  # type: ignore[misc] # ldap3 has no types
    """Verification by the standard library, of names and addresses; ldap3's own knows names only and none for the server."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._trust = trust
        self.refusal: str | None = None

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Make the socket of `connection` one of TLS."""
        # Not at once, so that the time limit of the whole answer finds the socket.
        connection.socket = self._trust.wrap_socket(
            connection.socket, server_hostname=connection.server.host, do_handshake_on_connect=False
        )
        try:
            connection.socket.do_handshake()
        except ssl.SSLCertVerificationError as error:
            self.refusal = _REASONS.get(error.verify_code, "OpenSSL does not trust it")
            connection.socket.close()
            raise
        # Of several addresses of a host, this one has another certificate.
        self.refusal = None


def trust_in(title: str, ca_file: Path | None) -> ssl.SSLContext:
    """Verification by the authorities of this file, or of the system; PermanentSourceError where the file has none."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        problem = "holds no certificates in PEM form"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    raise PermanentSourceError(f"{title}: the CA file {problem}")
