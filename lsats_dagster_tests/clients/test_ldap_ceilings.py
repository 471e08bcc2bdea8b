"""Ceilings of bytes for what a directory answers: refused as soon as they show, and said with the setting that allows more."""

import tracemalloc
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from lsats_dagster.clients.errors import PermanentSourceError, SourceError
from lsats_dagster.clients.http import Ceilings
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.source import Source, Terms
from lsats_dagster.sources import active_directory, mcommunity
from lsats_dagster_tests.clients.aids import PATIENT, sends
from lsats_dagster_tests.clients.ldap_wire import (
    PASSWORD,
    Server,
    done,
    entry,
    failure,
    first,
    person,
    serving,
    uids,
)

SMALL = Ceilings(list_bytes=1 << 20, record_bytes=1 << 16)
RECORD = "an entry is larger than 0.0625 MB, the limit that HTTP_RECORD_MEGABYTES sets"
LIST = "the answer is larger than 1 MB, the limit that HTTP_LIST_MEGABYTES sets"
# The least that is too much, the most that four octets can say, and what no memory holds.
ANNOUNCED = ["3083010001", "3084ffffffff", "3088ffffffffffffffff", "30fe" + "ff" * 126]


def large(size: int, name: str = "a") -> bytes:
    """An entry of a little more than so many bytes."""
    return entry(f"uid={name}", {"uid": [name.encode()], "cn": [b"x" * size]})


def refusal(server: Server) -> SourceError:
    """Why a read ends, which takes little memory."""
    tracemalloc.start()
    try:
        error = failure(lambda: uids(server.client(ceilings=SMALL)))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    return error


@pytest.mark.parametrize("head", ANNOUNCED)
def test_a_message_that_announces_too_much_is_refused_before_it_comes(tmp_path: Path, head: str) -> None:
    with serving(tmp_path, first(sends(bytes.fromhex(head)))) as server:
        error = refusal(server)
    assert (type(error), str(error), len(server.searches)) == (PermanentSourceError, f"The directory: {RECORD}", 1)


def test_one_entry_that_is_too_large_ends_the_read(tmp_path: Path) -> None:
    with serving(tmp_path, first([person("b"), large(SMALL.record_bytes), done()])) as server:
        error = refusal(server)
    assert (type(error), str(error), len(server.searches)) == (PermanentSourceError, f"The directory: {RECORD}", 1)


def test_entries_that_are_too_many_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path, first([*repeat(large(1 << 15), 1000), done()])) as server:
        error = refusal(server)
    assert (type(error), str(error), len(server.searches)) == (PermanentSourceError, f"The directory: {LIST}", 1)


def test_each_page_may_be_as_large_as_a_list(tmp_path: Path) -> None:
    pages = [[large(1 << 15, f"{page}-{place}") for place in range(20)] for page in range(3)]
    script = first(*([*page, done(cookie=cookie)] for page, cookie in zip(pages, (b"1", b"2", b""), strict=True)))
    with serving(tmp_path, script) as server:
        try:
            read: object = len(uids(server.client(ceilings=SMALL)))
        except SourceError as error:
            read = str(error)
    assert read == 60


def test_a_page_and_the_ranges_of_its_lists_are_one_answer(tmp_path: Path) -> None:
    """Each list is smaller than a record may be, and there are many."""
    names = [f"cn={place:04}".encode() for place in range(2000)]
    groups = [entry(f"cn=g{place}", {"uid": [b"g"], "member;range=0-0": names[:1]}) for place in range(60)]
    ranges = [entry("cn=g", {"member;range=0-*": names}), done()]

    def script(request: bytes) -> list[bytes]:
        return ranges if b"member;range" in request else [*groups, done()]

    with serving(tmp_path, script) as server:
        error = failure(lambda: uids(server.client(ceilings=SMALL), Attributes(("uid",), ("member",))))
    assert (type(error), str(error)) == (PermanentSourceError, f"The directory: {LIST}")


def test_a_list_in_ranges_is_no_larger_than_a_record_may_be(tmp_path: Path) -> None:
    group = entry("cn=g", {"uid": [b"g"], "member;range=0-0": [b"x"]})

    def script(request: bytes) -> list[bytes]:
        _, _, asked = request.partition(b"member;range=")
        place = asked.partition(b"-")[0].decode()
        return [entry("cn=g", {f"member;range={place}-{place}": [b"x" * 30_000]}) if asked else group, done()]

    with serving(tmp_path, script) as server:
        error = failure(lambda: uids(server.client(ceilings=SMALL), Attributes(("uid",), ("member",))))
    assert (type(error), len(server.searches)) == (PermanentSourceError, 1 + 3)
    assert str(error) == RECORD.replace("an entry", "the list of member")


@pytest.mark.parametrize(
    ("source", "prefix"),
    [(mcommunity.SOURCE, "mcommunity_ldap"), (active_directory.SOURCE, "ad")],
    ids=["MCommunity", "Active Directory"],
)
def test_directories_are_read_within_the_ceilings_of_the_hub(tmp_path: Path, source: Source, prefix: str) -> None:
    with serving(tmp_path, first([large(SMALL.record_bytes), done()])) as server:
        about: dict[str, Any] = {
            "server": "localhost", "port": server.port, "user": "uid=hub", "password": PASSWORD, "ca_file": server.ca_file,
        }  # fmt: skip
        settings = source.settings(**{f"{prefix}_{name}": value for name, value in about.items()})
        client = source.open_client(settings, Terms(LocalCallWindow(), PATIENT, SMALL))
        error = failure(lambda: uids(client))
    assert str(error) == f"{source.title}: {RECORD}"
