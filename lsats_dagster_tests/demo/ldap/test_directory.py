"""The directory itself: what it takes, what a change is, and that its indexes find what a look at everything finds."""

import itertools
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsats_dagster.demo.campus.ldap.directory import Directory
from lsats_dagster.demo.campus.ldap.filters import (
    And,
    Attribute,
    Attributes,
    Filter,
    Not,
    Or,
    Present,
    Substrings,
    Within,
)
from lsats_dagster.demo.campus.ldap.identities import Identity, Limits
from lsats_dagster.demo.campus.ldap.syntaxes import COMPARABLE, Syntax, comparable_dn, parent_of
from lsats_dagster_tests import depth
from lsats_dagster_tests.demo.ldap.aids import (
    GROUPS,
    PEOPLE,
    ROOT,
    SCHEMA,
    attributes,
    client,
    directory,
    search,
    serving,
    until,
)

ANN = f"uid=asmith,{PEOPLE}"


def names(content: Directory) -> list[str]:
    return [entry.dn for entry in content.entries]


def test_entries_stay_in_the_order_in_which_they_came() -> None:
    content = directory(3)
    people = [f"uid=u{number},{PEOPLE}" for number in (3, 2, 1)]
    assert names(content) == [ROOT, PEOPLE, GROUPS, *people]
    content.replace(people[1], attributes(uid="u2", uidNumber="0"))
    assert names(content)[3:] == people
    content.remove(people[0].upper())
    content.add(people[0], attributes(uid="u3"))
    assert names(content)[3:] == [people[1], people[2], people[0]]


@pytest.mark.parametrize(
    ("dn", "said"),
    [
        (PEOPLE.lower(), "of this name exists"),
        ("uid=x,ou=Nowhere," + ROOT, "no entry stands above"),
        ("dc=org", "no entry stands above"),
        ("nobody", "types and values"),
    ],
)
def test_an_entry_needs_a_name_of_its_own_and_one_above(dn: str, said: str) -> None:
    content = directory()
    with pytest.raises(ValueError, match=said):
        content.add(dn, attributes())
    assert len(content.entries) == 3


def test_the_schema_holds_for_entries_and_for_what_is_declared() -> None:
    content = directory(1)
    for change in (content.add, content.replace):
        with pytest.raises(ValueError, match="does not declare shoeSize"):
            change(f"uid=u1,{PEOPLE}" if change == content.replace else ANN, attributes(shoeSize="44"))
    with pytest.raises(ValueError, match="does not declare shoesize"):
        Directory([ROOT], SCHEMA, indexed=["shoeSize"])
    with pytest.raises(ValueError, match="does not declare shoesize"):
        Directory([ROOT], SCHEMA, operational=["shoeSize"])


def test_only_what_exists_and_bears_nothing_is_removed() -> None:
    content = directory(1)
    with pytest.raises(ValueError, match="stand below"):
        content.remove(PEOPLE)
    for change in (lambda: content.remove(ANN), lambda: content.replace(ANN, attributes())):
        with pytest.raises(LookupError):
            change()
    content.remove(f"uid=u1,{PEOPLE}")
    content.remove(PEOPLE)
    assert names(content) == [ROOT, GROUPS]


def test_an_entry_takes_the_place_of_the_one_of_its_name() -> None:
    content = directory(2)
    made = {"shoesize": Attribute("shoeSize", (b"44",))}
    for dn in (f"uid=u2,{PEOPLE}", ANN):
        assert content.put(dn.upper(), made).attributes == made
    assert names(content)[3:] == [f"uid=u2,{PEOPLE}".upper(), f"uid=u1,{PEOPLE}", ANN.upper()]
    assert [entry.place for entry in content.entries] == list(range(6))
    with pytest.raises(ValueError, match="no entry stands above"):
        content.put(f"uid=x,ou=Nowhere,{ROOT}", made)
    below = f"cn=x,{ANN}"
    content.put(below, made)
    assert [content.bears(comparable_dn(dn)) for dn in (ANN, PEOPLE, GROUPS, below)] == [True, True, False, False]
    content.remove(below)
    assert not content.bears(comparable_dn(ANN))


def test_what_was_in_a_directory_can_be_put_back_again_and_again() -> None:
    content = directory(3)
    kept, before = content.contents, names(content)
    query = Within("uidnumber", Syntax.INTEGER, 2, 3, "")
    for _ in range(2):
        content.remove(f"uid=u2,{PEOPLE}")
        content.replace(f"uid=u3,{PEOPLE}", attributes(uid="u3", uidNumber="9"))
        content.add(ANN, attributes(uid="asmith", uidNumber="2"))
        assert [entry.dn for entry in content.candidates(query)] == [ANN]
        content.contents = kept
        assert names(content) == before
        assert [entry.dn for entry in content.candidates(query)] == [f"uid=u{n},{PEOPLE}" for n in (3, 2)]
    content.clear()
    assert (names(content), content.candidates(query), content.bears("dc=edu")) == ([], [], False)
    content.add(ROOT, attributes())


def test_a_directory_is_brought_up_to_date_before_each_search() -> None:
    content = directory(1)
    asked = itertools.count()
    content.refresh = lambda: content.replace(PEOPLE, attributes(ou=str(next(asked))))
    with serving(content) as server, client(server) as connection:
        for number in range(3):
            assert search(connection, base=PEOPLE, search_scope="BASE")[PEOPLE]["ou"] == [str(number).encode()]


def test_limits_may_change_while_the_server_runs() -> None:
    with serving(directory(9), limits=Limits(entries=5)) as server, client(server) as connection:
        assert len(search(connection, "(uid=*)")) == 5
        server.limits = Limits()
        assert len(search(connection, "(uid=*)")) == 9


def test_two_identities_do_not_share_a_name_and_all_have_passwords() -> None:
    with (
        pytest.raises(ValueError, match="one name"),
        serving(directory(), Identity(("CN=a",), "x"), Identity(("cn= A",), "y")),
    ):
        pass
    with pytest.raises(ValueError, match="has a password"), serving(directory(), Identity(("cn=a",))):
        pass


# Names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("UID=Ann,DC=edu", "uid=ann,dc=EDU"),
        ("uid=ann , dc= edu", "uid=ann,dc=edu"),
        ("cn=Doe\\, Carl,dc=edu", "cn=doe\\2c carl,dc=edu"),
        ("cn=a  b,dc=edu", "cn=a b,dc=edu"),
        ("cn=a\\ ,dc=edu", "cn=a,dc=edu"),
        ("cn=a\\=b,dc=edu", "cn=a=b,dc=edu"),
        ("cn=a+sn=b,dc=edu", "sn=b+cn=a,dc=edu"),
        ("cn=b\\c3\\b6,dc=edu", "cn=bö,dc=edu"),
        ("2.5.4.3=a", "2.5.4.3=A"),
        ("", "  "),
    ],
)
def test_names_that_are_equal(one: str, other: str) -> None:
    assert comparable_dn(one) == comparable_dn(other)


@given(st.from_regex(r"[a-zA-Z0-9._ -]{1,9}(,[a-zA-Z0-9._ -]{1,9}){0,2}", fullmatch=True))
def test_a_name_is_equal_to_one_in_which_every_sign_is_escaped(text: str) -> None:
    plain, escaped = (
        ",".join(f"Cn={''.join(form % sign for sign in value.encode())}" for value in text.split(","))
        for form in ("%c", "\\%02x")
    )
    assert comparable_dn(plain) == comparable_dn(escaped)


@pytest.mark.parametrize(
    ("one", "other"),
    [("cn=a\\,dc=b,dc=edu", "cn=a,dc=b,dc=edu"), ("cn=a\\+b", "cn=a+b=c"), ("cn=a", "cn=ab"), ("cn=\\5c2c", "cn=\\2c")],
)
def test_names_that_differ(one: str, other: str) -> None:
    assert comparable_dn(one) != comparable_dn(other)


def test_a_comma_within_a_name_ends_none() -> None:
    assert parent_of(comparable_dn("cn=Doe\\, Carl,dc=edu")) == "dc=edu"


@pytest.mark.parametrize(
    "name", ["ann", "=ann", "uid=ann,", ",uid=ann", "uid=ann,,dc=edu", "uid=ann\\", "u_d=ann", "1=a,=b"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError):
        comparable_dn(name)


# Values and what filters say of them


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (b"20260112081530.0Z", "2026-01-12T08:15:30+00:00"),
        (b"20260112081530,25Z", "2026-01-12T08:15:30.250000+00:00"),
        (b"202601120815.5Z", "2026-01-12T08:15:30+00:00"),
        (b"2026011208.5Z", "2026-01-12T08:30:00+00:00"),
        (b"20260112081530-0430", "2026-01-12T12:45:30+00:00"),
        (b"20260112001530+01", "2026-01-11T23:15:30+00:00"),
        (b"20260112081530", None),
        (b"20260230081530Z", None),
        (b"20260112241530Z", None),
        (b"00010101000000+0100", None),
        (b"20260112081530+9900", None),
        (b"", None),
    ],
)
def test_times(value: bytes, moment: str | None) -> None:
    found = COMPARABLE[Syntax.TIME](value)
    assert (found and found.isoformat()) == moment


@pytest.mark.parametrize("value", [b"", b"-", b"+1", b"1.0", b"01", b"-0", b" 1", b"1" * 41, "١".encode()])
def test_numbers_that_are_none(value: bytes) -> None:
    assert COMPARABLE[Syntax.INTEGER](value) is None


@pytest.mark.parametrize("said", list(itertools.product([True, False, None], repeat=2)))
def test_three_values(said: tuple[bool | None, bool | None]) -> None:
    """RFC 4511 4.5.1.7: false decides over undefined in all, true in any."""
    parts = tuple(Said(one) for one in said)
    everything = False if False in said else None if None in said else True
    assert And("&", parts).matches({}) is everything
    assert Or("|", parts).matches({}) is (True if True in said else None if None in said else False)
    assert Not("!", parts).matches({}) is {True: False, False: True, None: None}[said[0]]


class Said(Filter):
    text = ""

    def __init__(self, said: bool | None) -> None:
        self._said = said

    def matches(self, attributes: Attributes) -> bool | None:
        return self._said


# Indexes


def within(attribute: str, low: object, high: object) -> Filter:
    return Within(attribute, SCHEMA.get(attribute, Syntax.INTEGER), low, high, "")


NUMBERS = st.integers(0, 12)
TEXTS = st.text("ab", min_size=1, max_size=3)
PARTS = st.one_of(
    st.builds(lambda n: within("uidnumber", n, None), NUMBERS),
    st.builds(lambda n: within("uidnumber", None, n), NUMBERS),
    st.builds(lambda n: within("uidnumber", n, n), NUMBERS),
    st.builds(lambda n: within("gidnumber", n, n), NUMBERS),
    st.builds(lambda n: within("gidnumber", None, n), NUMBERS),
    st.builds(lambda n: within("gidnumber", n, None), NUMBERS),
    st.builds(lambda t: within("uid", t, t), TEXTS),
    st.builds(lambda t: Substrings("uid", Syntax.TEXT, t, (), "", ""), TEXTS),
    st.builds(lambda t: within("cn", t, t), TEXTS),
    st.just(Present("uidnumber", "")),
)
FILTERS = st.recursive(
    PARTS,
    lambda inner: st.one_of(
        st.builds(lambda parts: And("&", tuple(parts)), st.lists(inner, max_size=4)),
        st.builds(lambda parts: Or("|", tuple(parts)), st.lists(inner, max_size=4)),
        st.builds(lambda part: Not("!", (part,)), inner),
    ),
    max_leaves=8,
)
# uidNumber has one value, or one that is none; gidNumber has up to three.
PEOPLE_DRAWN = st.lists(
    st.fixed_dictionaries(
        {"uid": TEXTS, "cn": TEXTS},
        optional={
            "uidNumber": st.one_of(NUMBERS.map(str), st.just("none")),
            "gidNumber": st.lists(NUMBERS.map(str), min_size=1, max_size=3, unique=True),
        },
    ),
    max_size=25,
)


@pytest.mark.deep
@settings(max_examples=60 * depth.FACTOR, derandomize=True, deadline=None, database=None)
@given(PEOPLE_DRAWN, PEOPLE_DRAWN, st.lists(FILTERS, min_size=1, max_size=6))
def test_an_index_finds_what_a_look_at_everything_finds(
    people: list[dict[str, str]], later: list[dict[str, str]], queries: list[Filter]
) -> None:
    content = directory()
    for number, person in enumerate(people):
        content.add(f"cn={number},{PEOPLE}", attributes(**person))
    check(content, queries)
    for number, (_, person) in enumerate(zip(people, later, strict=False)):
        if number % 3:
            content.replace(f"cn={number},{PEOPLE}", attributes(**person))
        else:
            content.remove(f"cn={number},{PEOPLE}")
    check(content, queries)


def check(content: Directory, queries: list[Filter]) -> None:
    for query in queries:
        found = [entry.dn for entry in content.candidates(query) if query.matches(entry.attributes)]
        assert found == [entry.dn for entry in content.entries if query.matches(entry.attributes)]


def test_a_search_for_an_interval_looks_at_its_entries_only() -> None:
    content = directory(1000)
    query = And("&", (Present("uid", ""), within("uidnumber", 10, None), within("uidnumber", None, 13)))
    assert [entry.place for entry in content.candidates(query)] == sorted(
        entry.place for entry in content.candidates(query)
    )
    assert {entry.attributes["uid"].values[0] for entry in content.candidates(query)} == {
        b"u10",
        b"u11",
        b"u12",
        b"u13",
    }
    assert len(content.candidates(Or("|", (within("uid", "u1", "u1"), within("uid", "u2", "u2"))))) == 2
    assert len(content.candidates(Substrings("uid", Syntax.TEXT, "u99", (), "", ""))) == 11


def test_two_values_of_one_attribute_may_meet_one_condition_each() -> None:
    content = directory()
    content.add(ANN, attributes(gidNumber=["1", "100"]))
    query = And("&", (within("gidnumber", 50, None), within("gidnumber", None, 60)))
    check(content, [query])
    assert [entry.dn for entry in content.candidates(query)] == [ANN]
    content.replace(ANN, attributes(gidNumber="1"))
    assert content.candidates(query) == []


# Changes while it is served


def test_a_search_sees_all_of_a_change_or_nothing() -> None:
    """Two people swap their numbers: whoever searches meanwhile waits for the end."""
    content = directory(2)
    found: list[Any] = []
    with serving(content) as server, client(server) as connection:
        searching = threading.Thread(target=lambda: found.append(search(connection, "(uidNumber=*)")))
        with content.locked():
            content.remove(f"uid=u1,{PEOPLE}")
            content.replace(f"uid=u2,{PEOPLE}", {"objectClass": [b"top"], "uidNumber": [b"1"]})
            searching.start()
            until(lambda: server.log.counts["search"] == 1)
            searching.join(0.2)
            assert not found
            content.add(f"uid=u1,{PEOPLE}", {"objectClass": [b"top"], "uidNumber": [b"2"]})
        searching.join()
    assert sorted(values["uidNumber"] for values in found[0].values()) == [[b"1"], [b"2"]]
