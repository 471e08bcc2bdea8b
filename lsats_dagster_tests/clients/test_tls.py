"""What stands between a client and its source: certificates and proxies."""

import ssl
from pathlib import Path

import pytest
import trustme

from lsats_dagster.clients.answer import Answer
from lsats_dagster.clients.errors import PermanentSourceError
from lsats_dagster.clients.http import DEFAULT_CEILINGS, Call, HttpClient, Timeouts
from lsats_dagster.clients.window import Allowance, LocalCallWindow
from lsats_dagster_tests.clients.aids import PATIENT, SHORT, Reply, VirtualClock, drips, first, serving


def tls_server(*names: str) -> tuple[trustme.CA, ssl.SSLContext]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return authority, context


def get(url: str, timeouts: Timeouts = PATIENT) -> object:
    clock = VirtualClock()
    client = HttpClient(window=LocalCallWindow(clock), timeouts=timeouts, ceilings=DEFAULT_CEILINGS, clock=clock)
    try:
        return client.exchange(Call("GET", f"{url}/x", Allowance("m"), "record"), Answer.document)
    finally:
        client.close()


def test_a_certificate_that_does_not_verify_is_not_tried_again() -> None:
    _, context = tls_server("127.0.0.1")
    with serving(lambda request: Reply(), tls=context) as server:
        with pytest.raises(PermanentSourceError, match=r"certificate .*does not verify \(tries: 1\)"):
            get(server.url)
        assert server.requests == []


def test_a_certificate_of_another_name_does_not_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = tls_server("source.example.org")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with serving(lambda request: Reply(), tls=context) as server:
        with pytest.raises(PermanentSourceError, match="does not verify"):
            get(server.url)
        assert server.requests == []


def test_an_authority_of_the_environment_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = tls_server("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    script = first(drips(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"), drips(b"HTTP/1.1 200 OK\r\n\r\n", b" "), Reply())
    with serving(script, tls=context) as server:
        assert get(server.url, SHORT) == (200, {})


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(first(drips(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"), Reply())) as proxy:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert get("http://source.example.org", SHORT) == (200, {})
        assert set(proxy.paths()) == {"/x"}
