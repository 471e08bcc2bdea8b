"""To which server the client of directories connects: certificates, controllers, and settings that cannot work."""

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from lsats_dagster.clients.errors import PartialFetchError, PermanentSourceError, SourceError
from lsats_dagster.clients.ldap import Controller, LdapClient
from lsats_dagster_tests.clients.aids import VirtualClock
from lsats_dagster_tests.clients.ldap_wire import (
    PASSWORD,
    UID,
    done,
    entry,
    failure,
    first,
    person,
    reset,
    serving,
    uids,
)

ROOT = {"dnsHostName": [b"LOCALHOST"], "currentTime": [b"20260112081530.0Z"]}
OTHER = {"dnsHostName": [b"dc2.example.edu"], "currentTime": [b"20260112081530.0Z"], "uid": [b"somebody"]}
TIME = datetime(2026, 1, 12, 8, 15, 30, tzinfo=UTC)


def test_the_controller_that_is_remembered_is_asked_first_by_its_own_name(tmp_path: Path) -> None:
    with serving(tmp_path, first([entry("", ROOT), done()])) as server:
        # Nothing but the name of the controller leads there: the host of the settings is not on this machine.
        client = server.client(host="alias.invalid")
        try:
            found: Controller | SourceError = client.controller("localhost")
        except SourceError as error:
            found = error
        assert found == Controller("localhost", TIME)
        assert client.evidence()["controller"] == "localhost"
        assert client.probe().clock_difference == pytest.approx(TIME.timestamp() - VirtualClock().now())


def test_a_controller_whose_certificate_is_for_another_name_is_not_trusted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path, first([entry("", OTHER), done()])) as server:
        assert server.client().controller("127.0.0.1") == Controller("dc2.example.edu", TIME)
    assert server.binds == 1
    assert "for another name" in caplog.text or "for another address" in caplog.text


def test_no_other_controller_answers_for_the_one_that_a_read_began_with(tmp_path: Path) -> None:
    script = first([entry("", ROOT), done()], reset, [entry("", OTHER), done()])
    with serving(tmp_path, script) as server:
        client = server.client()
        client.controller()
        error = failure(lambda: uids(client))
        assert (type(error), str(error)) == (
            PartialFetchError,
            "The directory: another controller answers than the one that was read from",
        )


def test_a_read_may_begin_with_another_controller(tmp_path: Path) -> None:
    script = first([entry("", ROOT), done()], reset, [entry("", OTHER), done()])
    with serving(tmp_path, script) as server:
        client = server.client()
        names = [client.controller().name]
        failure(lambda: uids(client))
        try:
            names.append(client.controller("localhost").name)
        except SourceError as error:
            names.append(str(error))
    assert names == ["localhost", "dc2.example.edu"]


def test_a_server_that_is_no_controller_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, first([entry("", {"currentTime": [b"20260112081530Z"]}), done()])) as server:
        error = failure(server.client().controller)
        assert server.client().probe().clock_difference is None
    assert str(error) == "The directory: the server does not tell its name and time, as controllers do"


def test_a_certificate_of_an_unknown_authority_is_named_as_such(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    with serving(tmp_path, first([done()])) as server:
        errors = [failure(lambda ca=ca: uids(server.client(ca_file=ca))) for ca in (other, None)]
    said = (
        "The directory: the certificate of the server does not verify: no authority that is trusted here has signed it; "
        "look at the CA file that is set"
    )
    assert [(type(error), str(error)) for error in errors] == [(PermanentSourceError, said)] * 2
    assert server.binds == 0


def test_a_certificate_of_another_name_does_not_verify(tmp_path: Path) -> None:
    with serving(tmp_path, first([done()]), names=("source.example.org",)) as server:
        error = failure(lambda: uids(server.client()))
    assert str(error) == (
        "The directory: the certificate of the server does not verify: it is for another name than the one connected to"
    )
    assert server.binds == 0


def test_one_address_with_another_certificate_does_not_spoil_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    hosts = ["127.0.0.2", "127.0.0.1"]
    with serving(tmp_path, first([person("a"), done(cookie=b"COOKIE")], reset, [person("b"), done()])) as server:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, server.port)) for host in hosts]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
        with serving(tmp_path / "other", first([done()]), address=(hosts[0], server.port)) as other:
            try:
                read: object = uids(server.client())
            except SourceError as error:
                read = str(error)
    assert (read, other.binds, server.binds) == (["a", "b"], 0, 2)


def test_a_certificate_may_be_for_an_address(tmp_path: Path) -> None:
    with serving(tmp_path, first([person("a"), done()]), names=("127.0.0.1",)) as server:
        assert uids(server.client(host="127.0.0.1")) == ["a"]


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"password": ""}, "The directory: the login needs a user and a password"),
        ({"user": ""}, "The directory: the login needs a user and a password"),
        ({"host": "ldaps://localhost"}, "The directory: the server must be a host, a name or an address"),
        (
            {"ca_file": Path("no such file.pem")},
            "The directory: the CA file cannot be read (No such file or directory)",
        ),
        ({"ca_file": Path(__file__)}, "The directory: the CA file holds no certificates in PEM form"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_sentence(terms: dict[str, Any], said: str) -> None:
    given = {"title": "The directory", "host": "localhost", "user": "uid=hub", "password": PASSWORD, **terms}
    error = failure(lambda: LdapClient(**given))
    assert (type(error), str(error)) == (PermanentSourceError, said)


def test_what_is_read_by_parts_needs_the_number_among_its_attributes() -> None:
    client = LdapClient(title="The directory", host="localhost", user="uid=hub", password=PASSWORD)
    with pytest.raises(ValueError, match="uidNumber must be one"):
        next(client.parts("dc=example", "(uid=*)", UID, "uidNumber"))


def test_the_password_stands_in_no_representation() -> None:
    client = LdapClient(title="The directory", host="localhost", user="uid=hub", password=PASSWORD)
    assert PASSWORD not in repr(vars(client))


def test_the_usual_authorities_are_trusted_and_always_asked() -> None:
    client = LdapClient(title="The directory", host="localhost", user="uid=hub", password=PASSWORD)
    trust = vars(client)["_trust"]
    assert (trust.verify_mode, trust.check_hostname) == (ssl.CERT_REQUIRED, True)
