"""Reads by parts, of a server with a limit for whole searches: all of everything, each once, or an error."""

import random
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from lsats_dagster.clients import ldap
from lsats_dagster.clients.errors import PartialFetchError, PermanentSourceError, SourceError, TransientSourceError
from lsats_dagster.clients.http import TRIES
from lsats_dagster.clients.ldap import OUTSIDE, LdapClient
from lsats_dagster.clients.ldap_intervals import HIGHEST
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster_tests.clients.ldap_wire import Wire, done, entry, serving

ASKED = Attributes(("uid", "uidNumber"), ("cn",))
LIMIT = 20
Parts = dict[str, list[str]]


def bounds_of(request: bytes) -> list[int]:
    """The numbers that a filter of ours compares with, in their order."""
    compared = re.finditer(rb"[\xa5\xa6].\x04\x09uidNumber\x04(.)", request, re.DOTALL)
    return [int(request[match.end() :][: match[1][0]]) for match in compared]


class Crowd:
    """People with these numbers, who come in any order and at most LIMIT at once, whether or not they are asked for in pages.

    lost: of which search the connection is lost.
    """

    def __init__(self, numbers: Sequence[int | None]) -> None:
        self.people = [(f"p{place}", number) for place, number in enumerate(numbers)]
        self.chance = random.Random(3)
        self.lost: set[int] = set()
        self.searches = 0
        self.asked: list[str] = []

    def __call__(self, request: bytes) -> Sequence[bytes] | Wire:
        self.searches += 1
        if self.searches in self.lost:
            return socket.socket.close
        found = [person for person in self.people if self.matches(request, person[1])]
        self.chance.shuffle(found)
        most = min(
            LIMIT,
            int.from_bytes(re.findall(rb"\x02\x01(.)\x02\x01\x00\x01\x01", request, re.DOTALL)[0], "big") or LIMIT,
        )
        whole = b"\x02cn" in request
        self.asked.append("all" if whole else "few")
        entries = [self.entry(uid, number, whole) for uid, number in found[:most]]
        return [*entries, self.end(len(found) > most)]

    def matches(self, request: bytes, number: int | None) -> bool:
        """Whether a filter of ours finds somebody with this number."""
        bounds = bounds_of(request)
        if not bounds:
            is_not = b"\xa2\x0b\x87\x09uidNumber" in request
            return (number is None) == is_not
        if number is None:
            return False
        if bounds == [-1, HIGHEST + 1]:
            return self.is_in_order(number, bounds[0]) or self.is_in_order(bounds[1], number)
        return self.is_in_order(bounds[0], number) and self.is_in_order(number, bounds[1])

    def is_in_order(self, one: int, other: int) -> bool:
        return one <= other

    def entry(self, uid: str, number: int | None, whole: bool) -> bytes:
        values = {"UIDNumber": [str(number).encode()]} if number is not None else {}
        return entry(f"uid={uid}", values | ({"uid": [uid.encode()], "cn": [b"Somebody"]} if whole else {}))

    def end(self, is_cut: bool) -> bytes:
        return done(4 if is_cut else 0)


def read(client: LdapClient, **known: Sequence[str]) -> Parts:
    """The people by the names of their parts."""
    found = client.parts("dc=example", "(uid=*)", ASKED, "uidNumber", **known)
    return {name: [str(record["uid"]) for record in records] for name, records in found}


def failure(client: LdapClient) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(client)
    return caught.value


def numbers(count: int) -> list[int | None]:
    chance = random.Random(1)
    return [0, HIGHEST, *chance.sample(range(1000, 9000), count - 2)]


def everybody(parts: Parts) -> list[str]:
    return sorted(uid for part in parts.values() for uid in part)


@pytest.mark.parametrize("number", [10**30, -(10**30)])
def test_a_number_beyond_all_hinders_no_other(tmp_path: Path, number: int) -> None:
    crowd = Crowd([number, *range(1, 11)])
    # In the order of the people: what proves the order of numbers is the first of them.
    crowd.chance.shuffle = lambda people: None  # type: ignore[method-assign]
    with serving(tmp_path, crowd) as server:
        client = server.client()
        try:
            parts = read(client)
        except PartialFetchError:
            parts = {}
        client.close()
    assert parts.get(OUTSIDE) == ["p0"]
    assert len(everybody(parts)) == 11


def test_everybody_comes_once_and_the_plan_saves_the_search_for_intervals(tmp_path: Path) -> None:
    crowd = Crowd(numbers(300))
    with serving(tmp_path, crowd) as server:
        client = server.client()
        parts = read(client)
        searches = crowd.searches
        assert crowd.asked.count("all") == len(parts)
        assert everybody(parts) == sorted(uid for uid, _ in crowd.people)
        assert all(len(part) <= LIMIT for part in parts.values())
        assert parts[OUTSIDE] == []
        crowd.asked.clear()
        again = read(client, plan=list(parts))
    assert {name: sorted(part) for name, part in again.items()} == {name: sorted(part) for name, part in parts.items()}
    # Beside the parts: two searches that prove the order, one for who has no number. Without a plan each part is looked for,
    # too, and all but one of them by half of a larger one.
    assert crowd.asked.count("all") == len(parts)
    assert crowd.searches - searches == len(parts) + 3
    assert searches == 3 * len(parts)
    assert (client.evidence()["parts"], client.evidence()["without_uidNumber"]) == (2 * len(parts), 0)


def test_a_part_that_grew_is_split_and_the_others_stay(tmp_path: Path) -> None:
    crowd = Crowd([*range(15), *range(100, 125)])
    with serving(tmp_path, crowd) as server:
        parts = read(server.client(), plan=["0-99", f"100-{HIGHEST}", OUTSIDE, "nonsense"])
    assert everybody(parts) == sorted(uid for uid, _ in crowd.people)
    assert len(parts) == 4
    assert len(parts["0-99"]) == 15


def test_a_read_goes_on_behind_its_finished_parts(tmp_path: Path) -> None:
    crowd = Crowd(numbers(300))
    with serving(tmp_path, crowd) as server:
        parts = read(server.client())
        left = list(parts)[4]
        finished = [name for name in parts if name != left]
        before = crowd.searches
        again = read(server.client(), finished=finished, plan=list(parts))
        assert {name: sorted(part) for name, part in again.items()} == {left: sorted(parts[left])}
        assert crowd.searches - before == 1 + 3
        # Without a plan too, where the first read of all died.
        rest = read(server.client(), finished=list(parts)[:5])
    assert everybody(rest) == everybody({name: part for name, part in parts.items() if name not in list(parts)[:5]})


def test_what_has_no_number_is_counted_and_what_has_a_strange_one_is_read(tmp_path: Path) -> None:
    crowd = Crowd([1, None, -2, 2**32 - 2, None, HIGHEST])
    with serving(tmp_path, crowd) as server:
        client = server.client()
        parts = read(client)
    assert {name: sorted(part) for name, part in parts.items()} == {f"0-{HIGHEST}": ["p0", "p5"], OUTSIDE: ["p2", "p3"]}
    assert client.evidence()["without_uidNumber"] == 2


def test_a_directory_of_nobody_is_read_whole(tmp_path: Path) -> None:
    with serving(tmp_path, Crowd([])) as server:
        assert read(server.client()) == {f"0-{HIGHEST}": [], OUTSIDE: []}


def test_more_with_one_number_than_the_server_gives_are_an_error(tmp_path: Path) -> None:
    with serving(tmp_path, Crowd([5, *[77] * (LIMIT + 1), 99])) as server:
        error = failure(server.client())
    assert (type(error), str(error)) == (
        PermanentSourceError,
        "The directory: more entries have one uidNumber than the server gives in one search",
    )


def test_more_with_strange_numbers_than_the_server_gives_are_an_error(tmp_path: Path) -> None:
    with serving(tmp_path, Crowd([-2] * (LIMIT + 1))) as server:
        error = failure(server.client())
    assert type(error) is PermanentSourceError
    assert "outside of 0 to" in str(error)


NO_ORDER = (
    "The directory: the server does not find entries by intervals of uidNumber: has it an order of numbers for it?"
)


def test_a_server_without_an_order_for_the_number_is_not_taken_for_empty(tmp_path: Path) -> None:
    class Unordered(Crowd):
        def is_in_order(self, one: int, other: int) -> bool:
            return False

    with serving(tmp_path, Unordered(numbers(30))) as server:
        error = failure(server.client())
    assert (type(error), str(error)) == (PartialFetchError, NO_ORDER)


def test_a_server_that_orders_numbers_as_texts_is_seen(tmp_path: Path) -> None:
    class OfTexts(Crowd):
        def is_in_order(self, one: int, other: int) -> bool:
            return str(one) <= str(other)

    with serving(tmp_path, OfTexts([9, 15, 22, 30])) as server:
        error = failure(server.client())
    assert (type(error), str(error)) == (PartialFetchError, NO_ORDER)


def test_an_interval_that_gives_what_is_not_in_it_is_seen(tmp_path: Path) -> None:
    class Generous(Crowd):
        def is_in_order(self, one: int, other: int) -> bool:
            return True

    with serving(tmp_path, Generous([-2])) as server:
        error = failure(server.client())
    assert (type(error), str(error)) == (PartialFetchError, NO_ORDER)


def test_a_server_without_limit_gives_a_page_at_once(tmp_path: Path) -> None:
    class Unlimited(Crowd):
        def end(self, is_cut: bool) -> bytes:
            return done(cookie=b"COOKIE" if is_cut else b"")

    crowd = Unlimited(numbers(60))
    with serving(tmp_path, crowd) as server:
        parts = read(server.client())
    assert everybody(parts) == sorted(uid for uid, _ in crowd.people)
    assert all(len(part) <= LIMIT for part in parts.values())


def test_a_part_that_loses_its_connection_begins_again(tmp_path: Path) -> None:
    crowd = Crowd(numbers(100))
    crowd.lost = {1, 6, 7, 15}
    with serving(tmp_path, crowd) as server:
        client = server.client()
        parts = read(client)
    assert everybody(parts) == sorted(uid for uid, _ in crowd.people)
    assert client.evidence()["reconnects"] == 4


def test_a_server_that_stays_away_ends_the_read(tmp_path: Path) -> None:
    crowd = Crowd(numbers(100))
    crowd.lost = set(range(8, 1000))
    with serving(tmp_path, crowd) as server:
        error = failure(server.client())
    assert type(error) is TransientSourceError
    assert crowd.searches == 7 + TRIES


def test_a_server_that_says_limit_for_ever_is_not_asked_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless(Crowd):
        """Of every interval it gives the first number, and says that there are more."""

        def __call__(self, request: bytes) -> Sequence[bytes] | Wire:
            lo, hi = bounds_of(request) or (0, HIGHEST)
            return [self.entry("p", lo, b"\x02cn" in request), done(4 if lo < hi else 0)]

    monkeypatch.setattr(ldap, "MOST_SEARCHES", 50)
    with serving(tmp_path, Endless([])) as server:
        error = failure(server.client())
    assert (type(error), str(error)) == (PermanentSourceError, "The directory: no end after 50 searches")
    assert len(server.searches) < 60
