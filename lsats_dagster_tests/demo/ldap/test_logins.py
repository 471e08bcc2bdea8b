"""Logins and TLS (sources.md 23.2, L1)."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import ldap3
import pytest
import trustme
from ldap3.core.exceptions import (
    LDAPAuthMethodNotSupportedResult,
    LDAPInvalidCredentialsResult,
    LDAPOperationsErrorResult,
    LDAPProtocolErrorResult,
    LDAPSocketOpenError,
)

from lsats_dagster.demo.campus.ldap.identities import Identity
from lsats_dagster.demo.campus.ldap.server import LdapServer
from lsats_dagster_tests.demo.ldap.aids import (
    HUB,
    PASSWORD,
    PATIENCE,
    PEOPLE,
    ROOT,
    bind,
    client,
    directory,
    result,
    search,
    serving,
    whole_subtree,
    wire,
)

BIND_ANSWER = 0x61
START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"


@pytest.fixture(scope="module")
def server() -> Iterator[LdapServer]:
    with serving(directory(3), anonymous=Identity(hidden=frozenset({"uidNumber"}))) as running:
        yield running


@pytest.mark.parametrize(
    "name",
    [
        HUB,
        HUB.upper(),
        HUB.replace(",", " , "),
        "svc-hub@example.edu",
        "Svc-Hub@Example.edu",
        "EXAMPLE\\svc-hub",
        "example\\SVC-HUB",
    ],
)
def test_a_login_by_any_of_its_names(server: LdapServer, name: str) -> None:
    with client(server, name) as connection:
        assert search(connection, "(uidNumber=2)")


@pytest.mark.parametrize(
    ("name", "password"),
    [(HUB, "wrong"), (HUB, PASSWORD.upper()), (f"uid=nobody,{PEOPLE}", PASSWORD), ("svc-hub", PASSWORD)],
)
def test_a_wrong_login_is_refused(server: LdapServer, name: str, password: str) -> None:
    with pytest.raises(LDAPInvalidCredentialsResult), client(server, name, password):
        pass


def test_nobody_who_is_anonymous_sees_more_than_anonymous_may(server: LdapServer) -> None:
    with client(server, None, None) as connection:
        assert search(connection, "(uid=u2)")[f"uid=u2,{PEOPLE}"].keys() == {"objectClass", "uid"}
        assert search(connection, "(uidNumber=2)") == {}


def test_who_fails_to_log_in_again_is_nobody(server: LdapServer) -> None:
    with client(server) as connection:
        assert search(connection, "(uidNumber=2)")
        with pytest.raises(LDAPInvalidCredentialsResult):
            connection.rebind(HUB, "wrong")
        assert search(connection, "(uidNumber=2)") == {}


def test_a_login_without_its_password_is_none(server: LdapServer) -> None:
    """RFC 4513 5.1.2: it would look like a success, and be anonymous."""
    with wire(server) as raw:
        raw.send(bind(1, HUB.encode()), bind(2), bind(3, b"", b"x"))
        assert [result(raw.message()) for _ in range(3)] == [
            (1, BIND_ANSWER, 53),
            (2, BIND_ANSWER, 0),
            (3, BIND_ANSWER, 49),
        ]


def test_only_simple_logins_of_version_3_are_taken(server: LdapServer) -> None:
    with (
        pytest.raises(LDAPAuthMethodNotSupportedResult),
        client(server, authentication=ldap3.SASL, sasl_mechanism="EXTERNAL"),
    ):
        pass
    with wire(server) as raw:
        raw.send(bind(1, HUB.encode(), PASSWORD.encode(), version=2), bind(2, HUB.encode(), PASSWORD.encode()))
        assert [result(raw.message()) for _ in range(2)] == [(1, BIND_ANSWER, 2), (2, BIND_ANSWER, 0)]


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secured(authority: trustme.CA) -> Iterator[LdapServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with serving(directory(3), anonymous=None, tls=context) as running:
        yield running


def connection_to(server: LdapServer, trusted: trustme.CA, folder: Path, *, ldaps: bool) -> ldap3.Connection:
    trusted.cert_pem.write_to_path(str(folder / "ca.pem"))
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(folder / "ca.pem"))
    url = server.tls_url if ldaps else server.url
    host = ldap3.Server(url, use_ssl=ldaps, tls=tls, get_info=ldap3.NONE, connect_timeout=PATIENCE)
    return ldap3.Connection(host, HUB, PASSWORD, receive_timeout=PATIENCE, raise_exceptions=True)


@pytest.mark.parametrize("ldaps", [True, False])
def test_a_verified_connection(secured: LdapServer, authority: trustme.CA, tmp_path: Path, ldaps: bool) -> None:
    connection = connection_to(secured, authority, tmp_path, ldaps=ldaps)
    connection.open()
    if not ldaps:
        connection.start_tls(read_server_info=False)
    connection.bind()
    assert isinstance(connection.socket, ssl.SSLSocket)
    assert len(search(connection, "(uidNumber=*)")) == 3
    with pytest.raises((LDAPOperationsErrorResult, LDAPProtocolErrorResult)):
        connection.extended("1.3.6.1.4.1.1466.20037")
    connection.unbind()


def test_a_certificate_of_nobody_trusted_does_not_verify(secured: LdapServer, tmp_path: Path) -> None:
    with pytest.raises(LDAPSocketOpenError, match="certificate"):
        connection_to(secured, trustme.CA(), tmp_path, ldaps=True).bind()


def test_tls_is_offered_where_there_is_a_certificate(server: LdapServer, secured: LdapServer) -> None:
    for one, offered in ((server, []), (secured, [b"1.3.6.1.4.1.1466.20037"])):
        with client(one, None, None) as connection:
            said = search(connection, base="", search_scope="BASE")[""]
            assert said.get("supportedExtension", []) == offered
    with client(server, None, None) as connection, pytest.raises(LDAPProtocolErrorResult):
        connection.extended("1.3.6.1.4.1.1466.20037")


def test_a_large_answer_passes_tls_whole(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with serving(directory(3000), tls=context) as server:
        connection = connection_to(server, authority, tmp_path, ldaps=False)
        connection.start_tls(read_server_info=False)
        connection.bind()
        assert len(search(connection, "(uidNumber=*)")) == 3000
        connection.unbind()


def test_nothing_may_follow_the_request_for_tls_unencrypted(secured: LdapServer) -> None:
    with wire(secured) as raw:
        raw.send(START_TLS, whole_subtree(2, ROOT.encode()))
        assert result(raw.end())[:2] == (0, 0x78)


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x00\xff" + b"\0" * 255, b"\x30\x03\x02\x01\x01", b"\xff" * 1000])
def test_what_is_no_handshake_ends_its_connection_only(
    secured: LdapServer, authority: trustme.CA, tmp_path: Path, data: bytes
) -> None:
    good = connection_to(secured, authority, tmp_path, ldaps=True)
    good.bind()
    with wire(secured) as raw:
        raw.send(START_TLS)
        assert result(raw.message())[:2] == (1, 0x78)
        raw.ends(data)
    with socket.create_connection(("127.0.0.1", secured.tls_port), PATIENCE) as plain:
        plain.sendall(data)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(1000):
            pass
    assert len(search(good, "(uidNumber=*)")) == 3
    good.unbind()
