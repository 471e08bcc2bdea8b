"""One exchange: bounds, retries, throttling, tokens and what errors may say."""

import gzip
import json
import logging
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from lsats_dagster.clients import http
from lsats_dagster.clients.answer import Answer
from lsats_dagster.clients.errors import (
    PermanentSourceError,
    SourceError,
    TransientSourceError,
    UnreadableAnswerError,
)
from lsats_dagster.clients.http import Call, Timeouts, checked_url
from lsats_dagster.clients.tokens import Token, TokenKeeper
from lsats_dagster.clients.window import LONGEST_WAIT, Allowance
from lsats_dagster_tests.clients.aids import (
    GOOD,
    HEAD,
    PATIENT,
    SHORT,
    SILENCE,
    Caller,
    Logins,
    Reply,
    VirtualClock,
    Wire,
    drips,
    first,
    hang,
    reset,
    sends,
    serving,
)


@pytest.mark.parametrize(
    "fault",
    [
        Reply(500),
        Reply(502),
        Reply(503),
        Reply(504),
        Reply(408),
        reset,
        sends(b""),
        sends(HEAD + b'Content-Length: 500\r\n\r\n{"a": 1}'),
        sends(HEAD + b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"a": 1}\r\n'),
        sends(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"),
        sends(b"hello\r\n\r\n"),
    ],
)
def test_a_fault_of_the_connection_or_server_is_tried_again(fault: Reply | Wire) -> None:
    caller = Caller(first(fault, GOOD))
    assert caller.get() == (200, {"a": 1})
    assert caller.client.evidence()["retries"] == 1


@pytest.mark.parametrize(
    "fault",
    [
        hang,
        drips(HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
        drips(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        drips(HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFF\r\n", b" "),
        drips(HEAD, b"X-More: and more\r\n"),
        drips(HEAD + b"X-Long: ", b"x"),
    ],
)
def test_an_answer_that_does_not_end_is_tried_again(fault: Wire) -> None:
    caller = Caller(first(fault, GOOD), timeouts=SHORT)
    assert caller.get() == (200, {"a": 1})
    assert caller.client.evidence()["retries"] >= 1


@pytest.mark.parametrize(
    ("fault", "timeouts", "name"),
    [
        (Reply(503), PATIENT, "HTTP 503"),
        (reset, PATIENT, "ConnectionResetError"),
        (hang, SILENCE, "ReadTimeout"),
        (drips(HEAD, b"X-More: and more\r\n"), SILENCE, "ReadTimeout"),
        (
            drips(HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
            replace(PATIENT, answer=0.2),
            "no whole answer within the time allowed",
        ),
        (sends(HEAD + b"Content-Length: 500\r\n\r\n{}"), PATIENT, "IncompleteRead"),
    ],
)
def test_tries_are_bounded_and_the_error_names_call_and_class_only(
    fault: Reply | Wire, timeouts: Timeouts, name: str
) -> None:
    caller = Caller(first(fault), timeouts=timeouts)
    with pytest.raises(TransientSourceError) as caught:
        caller.get()
    assert str(caught.value) == f"GET /thing: {name} (tries: {http.TRIES})"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert len(caller.requests) == http.TRIES
    assert caller.clock.now() - VirtualClock().now() <= http.TRIES * http.LONGEST_PAUSE


def test_a_refused_connection_is_transient() -> None:
    caller = Caller(first(GOOD))
    with serving(caller.script) as server:
        url = server.url
    with pytest.raises(TransientSourceError, match="ConnectionRefusedError"):
        caller.client.exchange(Call("GET", url, Allowance("m"), "record"), Answer.document)


def test_slow_tries_use_up_the_time_for_further_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RETRY_SECONDS", 0.1)
    caller = Caller(first(hang), timeouts=SHORT)
    with pytest.raises(TransientSourceError, match=r"tries: 1\)"):
        caller.get()


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, b"<html><body>down</body></html>", {"Content-Type": "text/html"}),
        Reply(200, b'{"a": [1, 2'),
        Reply(200, b""),
        Reply(200, b"[" * 200_000),
        Reply(204, b""),
    ],
)
def test_an_answer_nobody_can_read_is_tried_again_a_few_times(answer: Reply) -> None:
    assert Caller(first(answer, answer, GOOD)).get() == (200, {"a": 1})
    caller = Caller(first(answer))
    with pytest.raises(UnreadableAnswerError) as caught:
        caller.get()
    assert len(caller.requests) == http.UNREADABLE_TRIES
    assert "down" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 301, 302, 307, 304])
def test_a_refusal_is_not_repeated(status: int) -> None:
    caller = Caller(first(Reply(status, b"{}", {"Location": "/elsewhere"})))
    with pytest.raises(PermanentSourceError, match=f"GET /thing: HTTP {status}"):
        caller.get()
    assert len(caller.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [Reply(404, b""), Reply(404, b"", {"Content-Type": "text/html"})]
    + [Reply(404, b"{}", {"Content-Type": kind}) for kind in ("application/json", "application/problem+JSON; x=y")],
)
def test_a_signal_is_an_answer(reply: Reply) -> None:
    assert Caller(first(reply)).get(signals=frozenset({404})) == (404, None)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/html; charset=utf-8"}, {"Content-Type": "text/plain"}])
def test_a_404_of_something_in_between_is_no_signal(headers: dict[str, str]) -> None:
    caller = Caller(first(Reply(404, b"<html>no such page</html>", headers)))
    with pytest.raises(PermanentSourceError) as caught:
        caller.get(signals=frozenset({404}))
    assert str(caught.value) == ("GET /thing: HTTP 404, not by the source: something in between answered (tries: 1)")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"ID": 5, "ID": 6}', "one name comes twice in an object"),
        (b'{"a": "x\ny"}', "invalid JSON at character 9"),
        (b'{"a": ' + b"[" * 2000 + b"]" * 2000 + b"}", "nested more than 500 deep"),
    ],
)
def test_a_single_record_that_is_bad_is_an_unreadable_answer(body: bytes, problem: str) -> None:
    caller = Caller(first(Reply(200, body, {"Content-Type": "application/json"})))
    with pytest.raises(UnreadableAnswerError) as caught:
        caller.get()
    assert f"HTTP 200 without JSON that can be read: {problem} ({len(body)} bytes, application/json)" in str(
        caught.value
    )
    assert caught.value.__context__ is None


def test_one_bad_value_does_not_spoil_the_page() -> None:
    page = b'[{"a": "\\ud800"}, {"a": "caf\xe9"}, {"a": ' + b"9" * 5000 + b'}, {"a": NaN}, null, {"a": 12}]'
    _, rows = Caller(first(Reply(200, page))).get()
    assert isinstance(rows, list)
    assert rows[:3] == [{"a": "\ud800"}, {"a": "caf\udce9"}, {"a": "9" * 5000}]
    assert rows[3:] == [{"a": "NaN"}, None, {"a": 12}]


def test_compressed_chunked_and_marked_answers_are_read_whole() -> None:
    document = [{"a": "x" * 1000, "n": number} for number in range(2000)]
    packed = gzip.compress(json.dumps(document).encode())
    assert Caller(first(Reply(200, packed, {"Content-Encoding": "gzip"}))).get() == (200, document)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (packed[:700], packed[700:])) + b"0\r\n\r\n"
    head = HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert Caller(first(sends(head + chunks))).get() == (200, document)
    assert Caller(first(Reply(200, b'\xef\xbb\xbf{"a": 1}'))).get() == (200, {"a": 1})


def throttled(**headers: str) -> Reply:
    return Reply(429, b"slow down", {name.replace("_", "-"): value for name, value in headers.items()})


def test_a_429_is_waited_out_to_its_reset_and_costs_no_try() -> None:
    date = VirtualClock().now()
    limits = {"X_RateLimit_Limit": "60", "X_RateLimit_Remaining": "0"}
    storm = throttled(X_RateLimit_Reset=formatdate(date + 40, usegmt=True), **limits)
    caller = Caller(first(storm, *[Reply(503)] * (http.TRIES - 1), GOOD))
    assert caller.get() == (200, {"a": 1})
    evidence = caller.client.evidence()
    assert (evidence["throttled"], evidence["retries"]) == (1, http.TRIES - 1)
    assert caller.clock.now() - date >= 41
    assert evidence["waited_seconds"] == pytest.approx(caller.clock.now() - date)


def test_the_reset_relates_to_the_date_of_the_answer_and_not_to_our_clock() -> None:
    caller = Caller(first(GOOD))
    date = caller.clock.now()
    skewed = {
        "Date": formatdate(date - 9000, usegmt=True),
        "X-RateLimit-Reset": formatdate(date - 8980, usegmt=True),
    }
    caller.script = first(Reply(429, b"", skewed), GOOD)
    caller.get()
    assert caller.clock.now() - date == 21


@pytest.mark.parametrize(
    "headers", [{}, {"Retry_After": "3600"}, {"X_RateLimit_Reset": "Fri, 15 Jan 2099 08:00:00 GMT"}]
)
def test_waiting_out_429s_is_bounded(headers: dict[str, str]) -> None:
    caller = Caller(first(throttled(**headers)))
    with pytest.raises(TransientSourceError, match=f"HTTP 429 .*answers 429: {http.THROTTLES + 1}"):
        caller.get()
    assert len(caller.requests) == http.THROTTLES + 1
    assert 60 < caller.clock.now() - VirtualClock().now() <= http.THROTTLES * LONGEST_WAIT


def test_an_answer_with_a_far_reset_does_not_stop_us_for_ever() -> None:
    headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4070000000"}
    caller = Caller(first(Reply(200, b"{}", headers)))
    caller.get()
    caller.get()
    assert caller.client.evidence()["waited_seconds"] == LONGEST_WAIT


def test_a_503_may_name_the_pause() -> None:
    caller = Caller(first(Reply(503, b"", {"Retry-After": "50"}), GOOD))
    caller.get()
    assert caller.clock.now() - VirtualClock().now() == 51


def test_netrc_does_not_replace_our_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    caller = Caller(first(GOOD), keeper=TokenKeeper(Logins(), VirtualClock()))
    caller.get()
    assert caller.requests[0].headers["Authorization"] == "Bearer t1"
    caller = Caller(first(GOOD))
    caller.get()
    assert "Authorization" not in caller.requests[0].headers


def test_cookies_are_not_kept() -> None:
    caller = Caller(first(Reply(200, b"{}", {"Set-Cookie": "a=b; Path=/"})))
    caller.get()
    caller.get()
    assert "Cookie" not in caller.requests[-1].headers


@pytest.mark.parametrize("token", ["to\nken-value", "token-välue€"])
def test_neither_errors_nor_logs_hold_a_secret(token: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "lsats_dagster")
    keeper = TokenKeeper(lambda: Token(token), VirtualClock())
    with pytest.raises(SourceError) as caught:
        Caller(first(GOOD), keeper=keeper).get()
    caller = Caller(first(Reply(503), reset, throttled(), GOOD), keeper=TokenKeeper(Logins(), VirtualClock()))
    caller.get()
    said = f"{caught.value!r} {caught.value.__context__!r} {keeper!r} {caller.client!r} {caplog.text}"
    assert "HTTP 503" in said
    for secret in ("ken-value", "lue€", "query", "Bearer", "127.0.0.1"):
        assert secret not in said


@pytest.mark.parametrize(
    "url",
    ["http://example.org/api", "ftp://example.org", "example.org/api", "https://", "https://a:b@example.org",
     "https://example.org/?q=1", "https://example.org/#x", "https://example.org:99999/", "https://[::1",
     "http://10.0.0.1", ""],
)  # fmt: skip
def test_secrets_go_to_sound_addresses_only(url: str) -> None:
    with pytest.raises(PermanentSourceError, match="TDX_BASE_URL is not usable") as caught:
        checked_url(url, "TDX_BASE_URL")
    assert not url or url not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://example.org/api//", "http://127.0.0.1:8080", "http://localhost/x", "http://[::1]:80"]
)
def test_sound_addresses(url: str) -> None:
    assert checked_url(f" {url} ", "X") == url.rstrip("/")


def test_proxies_do_not_stand_between_processes_of_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert Caller(lambda request: Reply(200, b"[1]")).get() == (200, [1])


@pytest.mark.parametrize("number", ["1.5", "-0.0", "1e3", "12345678901234567.25", "1e400", "0.1000000000000000055"])
def test_a_number_loses_no_digits(number: str) -> None:
    """What a float cannot hold stays text: neither rounded nor infinite, which JSON would turn into null."""
    [read] = Caller(lambda request: Reply(200, f"[{number}]".encode())).get()[1]  # type: ignore[misc]
    assert read == (float(number) if len(number) < 5 else number)
