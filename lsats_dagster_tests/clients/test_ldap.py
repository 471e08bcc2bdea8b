"""The client of directories on the wire: what is whole, what is tried again, and what messages say."""

import logging
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

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
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster_tests.clients.aids import PATIENT, VirtualClock, drips, hang
from lsats_dagster_tests.clients.ldap_wire import (
    UID,
    done,
    entry,
    failure,
    first,
    person,
    reference,
    reset,
    serving,
    uids,
)

# The least that ldap3 can wait for is a second.
SILENCE = Timeouts(connect=10.0, read=1.0, answer=60.0)
SHORT = Timeouts(connect=10.0, read=30.0, answer=1.0)


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


def test_a_server_that_forgets_how_far_a_read_was_is_read_again(tmp_path: Path) -> None:
    script = first([person("a"), done(cookie=b"COOKIE")], [done(53)], [person("a"), person("b"), done()])
    with serving(tmp_path, script) as server:
        try:
            found = uids(server.client())
        except SourceError as error:
            found = [str(error)]
    assert (found, server.binds) == (["a", "b"], 2)


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
