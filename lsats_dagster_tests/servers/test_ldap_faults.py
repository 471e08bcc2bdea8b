"""OpenLDAP's slapd dies, comes back, or falls silent in the middle of a read: the read is whole, or says that it is not."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from lsats_dagster.clients.errors import TransientSourceError
from lsats_dagster.clients.http import TRIES
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster_tests.servers.conftest import ClientFactory
from lsats_dagster_tests.servers.slapd import EVERYTHING, PEOPLE, Slapd, crowd, running

ASKED = Attributes(("uid", "uidNumber"), ("cn",))
COUNT = 1_000


class Meanwhile:
    """A clock by which nobody waits: in each pause something happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self.happens = happens
        self.pauses = 0

    def now(self) -> float:
        return 0.0

    def sleep_until(self, when: float) -> None:
        self.pauses += 1
        self.happens()


@pytest.fixture
def server(authority: trustme.CA, tmp_path: Path) -> Iterator[Slapd]:
    """A server of the test's own."""
    with running(tmp_path, authority, crowd(COUNT)) as one:
        yield one


def interrupted(read: Iterator[Any], fault: Callable[[], None]) -> list[Any]:
    """What a read gives, in the middle of which something happens."""
    found = [next(read), next(read)]
    fault()
    return [*found, *read]


def numbers(records: list[Any]) -> list[int]:
    return [record["uidNumber"] for record in records]


def is_everybody(found: list[int]) -> bool:
    return len(found) == len(set(found)) == COUNT


def test_a_paged_read_survives_a_server_that_is_killed_and_restarted(server: Slapd, client: ClientFactory) -> None:
    clock = Meanwhile(server.start)
    reader = client(server, user=EVERYTHING, page_size=100, clock=clock)
    pages = interrupted(reader.pages(PEOPLE, "(uid=p*)", ASKED), server.kill)
    assert is_everybody([number for page in pages for number in numbers(page)])
    # It began again: no server knows how far another one was.
    assert (reader.evidence()["pages"], reader.evidence()["reconnects"], clock.pauses) == (12, 1, 1)


def test_a_read_by_parts_survives_a_server_that_is_killed_and_restarted(server: Slapd, client: ClientFactory) -> None:
    clock = Meanwhile(server.start)
    reader = client(server, clock=clock)
    parts = interrupted(reader.parts(PEOPLE, "(uid=p*)", ASKED, "uidNumber"), server.kill)
    assert is_everybody([number for _, records in parts for number in numbers(records)])
    # Only the search that was lost is made again.
    evidence = reader.evidence()
    assert (evidence["searches"], evidence["reconnects"], clock.pauses) == (3 * len(parts) + 1, 1, 1)


def test_a_read_survives_a_server_that_falls_silent_for_a_while(server: Slapd, client: ClientFactory) -> None:
    clock = Meanwhile(lambda: server.signal(signal.SIGCONT))
    reader = client(server, user=EVERYTHING, page_size=100, clock=clock)
    pages = interrupted(reader.pages(PEOPLE, "(uid=p*)", ASKED), lambda: server.signal(signal.SIGSTOP))
    assert is_everybody([number for page in pages for number in numbers(page)])
    assert (reader.evidence()["reconnects"], clock.pauses) == (1, 1)


def test_a_server_that_stays_silent_holds_nobody_for_ever(server: Slapd, client: ClientFactory) -> None:
    clock = Meanwhile(lambda: None)
    reader = client(server, clock=clock)
    with pytest.raises(TransientSourceError, match=rf"the server does not answer \(tries: {TRIES}\)"):
        interrupted(reader.parts(PEOPLE, "(uid=p*)", ASKED, "uidNumber"), lambda: server.signal(signal.SIGSTOP))
    assert clock.pauses == TRIES - 1


def test_a_server_that_does_not_come_back_is_an_error(server: Slapd, client: ClientFactory) -> None:
    clock = Meanwhile(lambda: None)
    reader = client(server, user=EVERYTHING, page_size=100, clock=clock)
    with pytest.raises(TransientSourceError, match=rf"no connection, or it was lost .* \(tries: {TRIES}\)"):
        interrupted(reader.pages(PEOPLE, "(uid=p*)", ASKED), server.kill)
    assert clock.pauses == TRIES - 1
