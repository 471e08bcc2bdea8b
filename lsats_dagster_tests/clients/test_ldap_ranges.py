"""Long lists of values: whole, and of one moment, however the server cuts them and whatever changes meanwhile."""

import re
from collections.abc import Callable

import pytest

from lsats_dagster.clients.errors import PartialFetchError, PermanentSourceError
from lsats_dagster.clients.http import DEFAULT_CEILINGS, Ceilings
from lsats_dagster.clients.ldap_connection import Found
from lsats_dagster.clients.ldap_ranges import READINGS, all_values, ranged

DN = b"cn=group"


class Member:
    """The members of a group on a server that gives so many of them at once. after: what happens after the n-th question."""

    def __init__(self, count: int, step: int = 1500) -> None:
        self.values = [f"cn=m{number}".encode() for number in range(count)]
        self.step = step
        self.questions: list[str] = []
        self.after: dict[int, Callable[[], None]] = {}

    def __call__(self, name: str) -> Found:
        self.questions.append(name)
        match = re.fullmatch(r"member;range=(\d+)-\*", name)
        assert match is not None
        first = int(match[1])
        found = Found(1, [], b"")
        if first < len(self.values) or first == 0:
            given = self.values[first : first + self.step]
            last = "*" if first + self.step >= len(self.values) else str(first + self.step - 1)
            found = Found(0, [(DN, {"member": [], f"Member;Range={first}-{last}": given})], b"")
        self.after.pop(len(self.questions), lambda: None)()
        return found


@pytest.mark.parametrize("count", [1, 1499, 1500, 1501, 4000])
def test_all_values_come_once_and_in_order(count: int) -> None:
    member = Member(count)
    assert all_values("member", member, DEFAULT_CEILINGS) == member.values


def test_a_list_is_no_larger_than_a_record_may_be() -> None:
    member = Member(4000)
    size = sum(map(len, member.values))
    assert all_values("member", member, Ceilings(record_bytes=size)) == member.values
    member.questions.clear()
    with pytest.raises(PermanentSourceError, match=r"the list of member is larger than .* HTTP_RECORD_MEGABYTES"):
        all_values("member", member, Ceilings(record_bytes=len(b"cn=m1000") * 1500))
    assert len(member.questions) == 2


def test_a_list_that_changes_between_two_ranges_is_read_again() -> None:
    member = Member(4000)
    member.after[1] = lambda: member.values.pop(0)  # now the last one of the first range would be missing
    found = all_values("member", member, DEFAULT_CEILINGS)
    assert (found, len(found)) == (member.values, 3999)
    assert len(member.questions) == 3 * 3


def test_a_list_that_ends_earlier_meanwhile_is_read_again() -> None:
    member = Member(1501)
    member.after[1] = lambda: member.values.pop(0)
    assert all_values("member", member, DEFAULT_CEILINGS) == member.values
    assert len(member.questions) == 2 + 1 + 1


def test_one_that_comes_and_one_that_goes_do_not_hide_each_other() -> None:
    member = Member(2000)

    def change() -> None:
        del member.values[10]
        member.values.insert(20, b"cn=new")

    member.after[1] = change
    found = all_values("member", member, DEFAULT_CEILINGS)
    assert (b"cn=new" in found, b"cn=m10" in found, len(found)) == (True, False, 2000)


def test_a_list_that_never_stays_is_not_taken_for_whole() -> None:
    member = Member(4000)
    member.after = {number: lambda: member.values.pop(0) for number in range(1, 100)}
    with pytest.raises(PartialFetchError, match="member changed each time"):
        all_values("member", member, DEFAULT_CEILINGS)
    assert len(member.questions) == READINGS * 3


@pytest.mark.parametrize("found", [Found(32, [], b""), Found(0, [], b"")])
def test_an_entry_that_is_gone_meanwhile_is_not_taken_for_an_empty_one(found: Found) -> None:
    with pytest.raises(PartialFetchError, match="an entry moved, or went, while its member was read"):
        all_values("member", lambda name: found, DEFAULT_CEILINGS)


def test_ranges_of_another_place_are_not_taken() -> None:
    with pytest.raises(PartialFetchError):
        all_values("member", lambda name: Found(0, [(DN, {"member;range=0-1": [b"a", b"b"]})], b""), DEFAULT_CEILINGS)


def test_which_attributes_came_as_ranges() -> None:
    assert ranged(["cn", "member", "member;range=0-1499", "memberOf;RANGE=0-*", "cn;lang-de"]) == {"member", "memberOf"}
