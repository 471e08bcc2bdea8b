"""Messages of a directory: whole however they arrive, the entries among them, and what is none."""

from pathlib import Path

import pytest

from lsats_dagster.clients.errors import SourceError, UnreadableAnswerError
from lsats_dagster.clients.http import DEFAULT_CEILINGS, TRIES, Ceilings
from lsats_dagster.clients.ldap_messages import Messages
from lsats_dagster_tests.clients.aids import sends
from lsats_dagster_tests.clients.ldap_wire import ber, done, entry, failure, first, number, person, serving, uids

# Lengths of one octet, and of two, three and five.
SENT = [
    b"\x30\x08\x02\x01\x01\x65\x03" + b"x" * 3,
    b"\x30\x81\x80\x02\x01\x01\x65\x7b" + b"x" * 123,
    b"\x30\x82\x01\x00\x02\x01\x01\x65\x81\xfa" + b"x" * 250,
    ber(0x30, number(1), ber(0x65, b"x" * 300)),
]
ATTRIBUTE = ber(0x30, ber(0x04, b"uid"), ber(0x31, ber(0x04, b"a")))

# Its values are said to end within what follows.
OVERLAPPING = ber(0x30, ber(0x04, b"uid"), b"\x31\x06\x04\x01a")


def messages_of(data: bytes, step: int, ceilings: Ceilings = DEFAULT_CEILINGS) -> Messages:
    """The messages in `data`, which arrives in pieces of so many bytes."""
    pieces = iter([data[place : place + step] for place in range(0, len(data), step)])
    return Messages("The directory", ceilings, lambda most: next(pieces, b""))


def others(messages: Messages) -> list[bytes] | str:
    """All messages that are no entries, or why they cannot be had."""
    try:
        return [message for arrived in iter(messages.receive, []) for message in arrived]
    except Exception as error:
        return str(error)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_messages_are_whole_however_they_arrive(step: int) -> None:
    assert others(messages_of(b"".join(SENT), step)) == SENT


def test_a_message_may_be_as_large_as_a_record_and_an_answer_as_a_list() -> None:
    end = SENT[3]
    body = len(end) - 6
    assert others(messages_of(end, 1000, Ceilings(list_bytes=len(end), record_bytes=body))) == [end]
    assert "HTTP_RECORD_MEGABYTES" in others(messages_of(end, 1000, Ceilings(record_bytes=body - 1)))
    assert "HTTP_LIST_MEGABYTES" in others(messages_of(end, 1000, Ceilings(list_bytes=len(end) - 1)))


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_entries_are_taken_from_among_them(step: int) -> None:
    values = {"uid": [b"a"], "cn": [b"x" * 100, b"", "Ä".encode()], "mail": []}
    end = ber(0x30, number(7), done())
    data = ber(0x30, number(7), entry("uid=a", values), ber(0xA0)) + ber(0x30, number(7), entry("", {})) + end
    messages = messages_of(data, step)
    assert others(messages) == [end]
    assert messages.entries == [(b"uid=a", values), (b"", {})]
    messages.begin(is_further=True)
    assert messages.entries == []


def test_an_attribute_that_comes_twice_keeps_all_values() -> None:
    twice = ber(0x64, ber(0x04, b"uid=a"), ber(0x30, ATTRIBUTE, ATTRIBUTE))
    messages = messages_of(ber(0x30, number(7), twice) + ber(0x30, number(7), done()), 1000)
    others(messages)
    assert messages.entries == [(b"uid=a", {"uid": [b"a", b"a"]})]


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 200,
        b"\x30\x00",
        ber(0x30, number(2)),
        ber(0x30, number(2), ber(0x64)),
        ber(0x30, number(2), ber(0x64, ber(0x04, b"uid=a"), ber(0x30, ber(0x30, ber(0x04, b"uid"))))),
        ber(0x30, number(2), ber(0x64, ber(0x04, b"uid=a"), ber(0x30, OVERLAPPING, ATTRIBUTE))),
        ber(0x30, number(2), ber(0x64, ber(0x04, b"uid=a"), ber(0x30, ATTRIBUTE + b"\x30"))),
        ber(0x30, number(2), ber(0x64, ber(0x04, b"uid=a"), b"\x30\x05")),
        ber(0x30, number(2), ber(0x64, ber(0x04, b"uid=a"), ber(0x30, ATTRIBUTE.replace(b"uid", b"\xff\xff\xff")))),
        ber(0x30, number(9), person("a")) + ber(0x30, number(2), done()),
    ],
    ids=[
        "bytes",
        "nothing",
        "no operation",
        "no entry",
        "no values",
        "value",
        "attribute",
        "attributes",
        "name",
        "number",
    ],
)
def test_what_is_no_message_or_cut_within_is_an_answer_that_cannot_be_read(tmp_path: Path, answer: bytes) -> None:
    with serving(tmp_path, first(sends(answer + ber(0x30, number(2), done())))) as server:
        error: BaseException | None = failure(lambda: uids(server.client()))
    assert type(error) is UnreadableAnswerError
    assert str(error).startswith("The directory: the answer cannot be read (")
    assert len(server.searches) == TRIES
    while error is not None:
        assert isinstance(error, SourceError)
        error = error.__cause__ or error.__context__
