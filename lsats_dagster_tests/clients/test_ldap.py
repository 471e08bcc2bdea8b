"""The client of directories on the wire: what is whole, what is tried again, and what messages say."""

import logging
import signal
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from lsats_dagster.clients import ldap
from lsats_dagster.clients.errors import (
    LoginRefusedError,
    PartialFetchError,
    PermanentSourceError,
    SourceError,
    TransientSourceError,
    UnreadableAnswerError,
    UnreadableRecordError,
)
from lsats_dagster.clients.http import TRIES, Timeouts
from lsats_dagster.clients.ldap import Controller, LdapClient
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster_tests.clients.aids import PATIENT, VirtualClock, drips, hang
from lsats_dagster_tests.clients.ldap_wire import PASSWORD, done, entry, first, person, reference, serving

UID = Attributes(("uid",))
# The least that ldap3 can wait for is a second.
SILENCE = Timeouts(connect=10.0, read=1.0, answer=60.0)
SHORT = Timeouts(connect=10.0, read=30.0, answer=1.0)


def uids(client: LdapClient, attributes: Attributes = UID) -> list[str]:
    """The people of a paged read."""
    return [str(record["uid"]) for page in client.pages("dc=example,dc=edu", "(uid=*)", attributes) for record in page]


def failure(read: Callable[[], Any]) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read()
    return caught.value


def reset(connection: socket.socket) -> None:
    connection.close()


def test_all_pages_are_read_and_references_to_other_servers_left_out(tmp_path: Path) -> None:
    script = first(
        [person("a"), reference("ldap://other.example.edu/dc=x"), person("b"), done(cookie=b"COOKIE1")],
        [person("c"), done(cookie=b"")],
    )
    with serving(tmp_path, script) as server:
        client = server.client(page_size=2)
        assert uids(client) == ["a", "b", "c"]
    assert [b"COOKIE1" in request for request in server.searches] == [False, True]
    counts = {"searches": 2, "pages": 2, "entries": 3, "parts": 0, "retries": 0, "reconnects": 0, "secrets_dropped": 0}
    place = {"address": f"ldaps://localhost:{server.port}", "login": "simple bind", "waited_seconds": 0}
    assert client.evidence() == counts | place


def test_only_what_is_asked_for_is_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path, first([done()])) as server:
        assert uids(server.client(), Attributes(("uid", "mail"), ("cn",))) == []
    assert server.searches[0].count(b"\x04\x03uid\x04\x04mail\x04\x02cn") == 1


def test_a_search_that_ends_at_a_size_limit_is_not_taken_for_whole(tmp_path: Path) -> None:
    with serving(tmp_path, first([person("a"), done(4)])) as server:
        error = failure(lambda: uids(server.client()))
    assert (type(error), str(error)) == (
        PermanentSourceError,
        "The directory: the server ended the search at its size limit: it must be read by parts",
    )
    assert len(server.searches) == 1


@pytest.mark.parametrize(("code", "name"), [(3, "timeLimitExceeded"), (51, "busy"), (52, "unavailable"), (80, "other")])
def test_what_a_later_try_can_change_is_tried_again_and_is_never_whole(tmp_path: Path, code: int, name: str) -> None:
    answer = [person("a"), done(code, said="uid=secret")]
    with serving(tmp_path, first(answer, answer, [person("a"), person("b"), done()])) as server:
        client = server.client()
        assert uids(client) == ["a", "b"]
        assert (client.evidence()["retries"], client.evidence()["reconnects"], server.binds) == (2, 2, 3)
    with serving(tmp_path, first(answer)) as server:
        error = failure(lambda: uids(server.client()))
    assert (type(error), str(error)) == (TransientSourceError, f"The directory: code {code} ({name}) (tries: {TRIES})")
    assert len(server.searches) == TRIES


@pytest.mark.parametrize("code", [1, 10, 11, 12, 32, 50, 53])
def test_what_no_try_can_change_is_not_tried_again(tmp_path: Path, code: int) -> None:
    with serving(tmp_path, first([person("a"), done(code, said="uid=secret")])) as server:
        error = failure(lambda: uids(server.client()))
    assert type(error) is PermanentSourceError
    assert str(error).startswith(f"The directory: code {code} (")
    assert len(server.searches) == 1


def test_messages_quote_nothing_and_have_no_cause(tmp_path: Path) -> None:
    with serving(tmp_path, first([done(53, said="uid=secret,dc=example")])) as server:
        error = failure(lambda: uids(server.client()))
    assert str(error) == "The directory: code 53 (unwillingToPerform)"
    assert (error.__cause__, error.__context__) == (None, None)


def test_what_ldap3_says_of_a_lost_connection_is_no_cause(tmp_path: Path) -> None:
    with serving(tmp_path, first(reset)) as server:
        error: BaseException | None = failure(lambda: uids(server.client()))
    while error is not None:
        assert isinstance(error, SourceError)
        error = error.__cause__ or error.__context__


def test_a_refused_login_is_not_repeated(tmp_path: Path) -> None:
    with serving(tmp_path, first([done()]), bind=49) as server:
        client = server.client()
        errors = [failure(lambda: uids(client)), failure(client.probe)]
    said = "The directory refused the login (code 49 (invalidCredentials)): look at its user and password"
    assert [(type(error), str(error)) for error in errors] == [(LoginRefusedError, said)] * 2
    assert server.binds == 1


def test_a_busy_server_at_the_login_is_tried_again(tmp_path: Path) -> None:
    with serving(tmp_path, first([done()]), bind=51) as server:
        error = failure(lambda: uids(server.client()))
    assert (type(error), server.binds) == (TransientSourceError, TRIES)


def test_a_read_that_loses_its_connection_begins_again_and_gives_each_entry_once(tmp_path: Path) -> None:
    script = first(
        [person("a"), person("b"), done(cookie=b"COOKIE1")],
        reset,
        [person("c"), person("b"), done(cookie=b"COOKIE2")],
        [person("a"), person("d"), done(cookie=b"")],
    )
    with serving(tmp_path, script) as server:
        client = server.client()
        assert uids(client) == ["a", "b", "c", "d"]
    asked = [(b"COOKIE1" in request, b"COOKIE2" in request) for request in server.searches]
    assert asked == [(False, False), (True, False), (False, False), (False, True)]
    assert (client.evidence()["reconnects"], server.binds) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "timeouts", "said"),
    [
        (hang, SILENCE, "the server does not answer"),
        (drips(b"\x30\x84\x00\x00\xff\xff", b"\x04"), SHORT, "no whole answer within the time allowed"),
        (reset, PATIENT, "no connection, or it was lost (LDAPSessionTerminatedByServerError)"),
    ],
    ids=["silent", "drips", "gone"],
)
def test_a_server_that_stops_to_answer_holds_nobody_for_ever(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    answer: Callable[[socket.socket], None],
    timeouts: Timeouts,
    said: str,
) -> None:
    with serving(tmp_path, first(answer, [person("a"), done()])) as server:
        assert uids(server.client(timeouts=timeouts)) == ["a"]
    assert [line.getMessage().partition(";")[0] for line in caplog.records] == [f"🔄 The directory: {said}"]


@pytest.mark.parametrize(
    "answer", [b"\x30\x05\x02\x01\x01\xff\xff", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9], ids=["no LDAP", "HTTP"]
)
def test_what_is_no_ldap_is_an_answer_that_cannot_be_read(tmp_path: Path, answer: bytes) -> None:
    with serving(tmp_path, first(lambda connection: connection.sendall(answer))) as server:
        error = failure(lambda: uids(server.client()))
    assert isinstance(error, TransientSourceError)
    assert "400" not in str(error)


def test_a_code_that_the_protocol_does_not_know_is_no_end_of_a_read(tmp_path: Path) -> None:
    with serving(tmp_path, first([person("a"), done(85)])) as server:
        error = failure(lambda: uids(server.client()))
    assert (type(error), len(server.searches)) == (UnreadableAnswerError, TRIES)


def test_no_answer_ends_a_read_with_an_error_of_the_library(tmp_path: Path) -> None:
    with serving(tmp_path, first([person("a"), done(85)], [person("b"), done()])) as server:
        try:
            found = uids(server.client())
        except Exception as error:
            found = [repr(error)]
    assert found == ["b"]


def test_what_stops_the_run_ends_the_pause(tmp_path: Path) -> None:
    class Stopped(VirtualClock):
        def sleep_until(self, when: float) -> None:
            raise KeyboardInterrupt

    with serving(tmp_path, first(reset)) as server, pytest.raises(KeyboardInterrupt):
        uids(server.client(clock=Stopped()))
    assert len(server.searches) == 1


def test_what_stops_the_run_ends_the_wait_for_an_answer(tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with serving(tmp_path, first(hang)) as server, pytest.raises(KeyboardInterrupt):
            uids(server.client())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert len(server.searches) <= 1


def test_an_end_that_never_comes_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldap, "MOST_PAGES", 5)
    with serving(tmp_path, first([person("a"), done(cookie=b"COOKIE")])) as server:
        error = failure(lambda: uids(server.client()))
    assert (type(error), str(error)) == (PartialFetchError, "The directory: no end after 5 pages")


def test_secrets_that_come_unasked_are_dropped_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sent = [entry(f"uid={name}", {"uid": [name.encode()], "ms-Mcs-AdmPwd": [b"geheim"]}) for name in "ab"]
    with serving(tmp_path, first([*sent, done()])) as server:
        client = server.client()
        records = [record for page in client.pages("dc=example", "(uid=*)", UID) for record in page]
    assert records == [{"dn": "uid=a", "uid": "a"}, {"dn": "uid=b", "uid": "b"}]
    told = [line.getMessage() for line in caplog.records if line.levelno == logging.ERROR]
    assert told == ["❌ The directory sends secrets that nobody asked for: ms-Mcs-AdmPwd is dropped"]
    assert client.evidence()["secrets_dropped"] == 2


def test_a_record_that_cannot_be_read_does_not_end_the_read(tmp_path: Path) -> None:
    sent = [entry("uid=a", {"uid": [b"a", b"b"]}), person("c"), done()]
    with serving(tmp_path, first(sent)) as server:
        [(bad, good)] = server.client().pages("dc=example", "(uid=*)", UID)
    assert isinstance(bad, UnreadableRecordError)
    assert good == {"dn": "uid=c,dc=example,dc=edu", "uid": "c"}


def test_values_that_come_as_ranges_are_whole(tmp_path: Path) -> None:
    names = [f"cn=m{place}".encode() for place in range(5)]
    group = entry("cn=g", {"uid": [b"g"], "member": [], "member;range=0-2": names[:3]})
    ranges = [
        [entry("cn=g", {"member;range=0-2": names[:3]}), done()],
        [entry("cn=g", {"member;range=3-*": names[3:]}), done()],
    ]
    with serving(tmp_path, first([group, person("x"), done()], *ranges, *ranges)) as server:
        [(record, _)] = server.client().pages("dc=example", "(uid=*)", Attributes(("uid",), ("member",)))
    assert record == {"dn": "cn=g", "uid": "g", "member": [name.decode() for name in names]}
    assert [b"member;range=3-*" in request for request in server.searches] == [False, False, True, False, True]


ROOT = {"dnsHostName": [b"LOCALHOST"], "currentTime": [b"20260112081530.0Z"]}
OTHER = {"dnsHostName": [b"dc2.example.edu"], "currentTime": [b"20260112081530.0Z"]}
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
