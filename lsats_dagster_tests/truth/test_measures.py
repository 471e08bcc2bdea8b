"""The measures see each thing that may be wrong, and the rules and the peer's rules join what they should."""

from typing import Any

import pytest

from lsats_dagster_tests.truth import peer, rules
from lsats_dagster_tests.truth.measures import FAULTS, Watch
from lsats_dagster_tests.truth.records import Known, Record, Row
from lsats_dagster_tests.truth.report import COLUMNS, lines

HERE: Record = ("tdx_users", "1")
THERE: Record = ("ad_users", "1")
OTHER: Record = ("ad_users", "2")


def known_of(*present: Record) -> Known:
    """The same two people: one of two records, one of one."""
    return Known(identities={HERE: "somebody", THERE: "somebody", OTHER: "another"}, present=set(present))


LINKS = {HERE: "a", THERE: "a", OTHER: "b"}
TRUE = {"a": Row(True, frozenset((HERE, THERE))), "b": Row(True, frozenset((OTHER,)))}


@pytest.mark.parametrize(
    ("fault", "present", "rows"),
    [
        ("wrong", (HERE, THERE, OTHER), {"a": Row(True, frozenset((HERE, THERE, OTHER)))}),
        ("missing", (HERE, THERE, OTHER), {**TRUE, "a": Row(True, frozenset((HERE,))), "c": Row(True, frozenset((THERE,)))}),
        ("lingering", (HERE, THERE), TRUE),
        ("unseen", (HERE, THERE), TRUE),
        ("hidden", (HERE, THERE, OTHER), {**TRUE, "b": Row(False, frozenset((OTHER,)))}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_counted(fault: str, present: tuple[Record, ...], rows: dict[str, Row]) -> None:
    watch = Watch("people", ("tdx_users", "ad_users"))
    watch.look(0, known_of(HERE, THERE, OTHER), LINKS, TRUE)
    assert not watch.faults
    watch.look(1, known_of(*present), LINKS, rows)
    assert watch.counts[fault] > 0
    assert any(f"day 1, people: {watch.counts[fault]} {fault}" in said for said in watch.faults)


def test_who_returns_must_be_seen() -> None:
    gone = {**TRUE, "b": Row(False, frozenset((OTHER,)))}
    watch = Watch("people", ("tdx_users", "ad_users"))
    watch.look(0, known_of(HERE, THERE, OTHER), LINKS, TRUE)
    watch.look(1, known_of(HERE, THERE), LINKS, gone)
    assert (watch.counts["left"], watch.faults) == (1, [])
    watch.look(2, known_of(HERE, THERE, OTHER), LINKS, gone)
    assert (watch.counts["returned"], watch.counts["unseen"]) == (1, 1)


def test_one_in_truth_without_a_common_identifier_is_no_pair() -> None:
    watch = Watch("people", ("tdx_users", "ad_users"))
    watch.look(0, known_of(HERE, THERE), {HERE: "a"}, {"a": Row(True, frozenset((HERE,)))})
    assert (watch.counts["expected"], watch.faults) == (0, [])


def test_the_figures_stand_under_their_headings() -> None:
    watch = Watch("people", ("tdx_users", "ad_users"))
    watch.look(0, known_of(HERE, THERE, OTHER), LINKS, TRUE)
    counts = {"people/hub": dict(watch.counts), "people/peer": {}}
    *_, size, head, ours, others = lines([{"seed": 1, "size": "tiny", "days": 4, "counts": counts}])
    assert size == "tiny: 1 seeds, 4 days each"
    told = dict(zip(head.split(), ours.split()[1:], strict=True))
    assert (told["rows"], told["pairs"], told["found"], told["wrong"]) == ("2", "1", "1", "0")
    assert others.split() == ["people/peer", *["0"] * len(COLUMNS)]
    assert set(FAULTS) <= set(COLUMNS.values())


# The rules


def people(**tables: dict[str, dict[str, Any]]) -> Known:
    found = Known({"tdx_users": {}, "umapi_employees": {}, "mcommunity_users": {}, "ad_users": {}} | tables)
    found.present = {(table, key) for table, records in found.payloads.items() for key in records}
    return found


def appointment(employee: str, name: str | None) -> dict[str, Any]:
    return {"EmplId": employee, "UniqName": name}


def user(employee: str, name: str, login: str | None = None) -> dict[str, Any]:
    return {"ExternalID": employee, "AlternateID": name, "UserName": f"{login or name}@campus.example"}


def test_an_employee_without_uniqname_has_that_of_another_appointment_else_of_the_one_user() -> None:
    known = people(
        umapi_employees={
            "7:0": appointment("7", None), "7:1": appointment("7", "MVARGA"), "8:0": appointment("8", " "),
            "9:0": appointment("9", None), "5:0": appointment("5", "jrivers"), "5:1": appointment("5", "tokafor"),
            "5:2": appointment("5", None), "6:0": appointment("6", "opetrov"),
        },
        tdx_users={
            "a": user("7", "mvarga@campus.example"), "b": user("8", "jstone"), "c": user("9", "one"), "d": user("9", "two"),
            "e": user("6", " "), "f": user("6", "@"),
        },
    )  # fmt: skip
    links = rules.people(known)
    assert links["umapi_employees", "7:0"] == links["umapi_employees", "7:1"] == links["tdx_users", "a"] == "mvarga"
    assert links["umapi_employees", "8:0"] == "jstone"
    unknown = {("umapi_employees", "9:0"), ("umapi_employees", "5:2"), ("tdx_users", "e"), ("tdx_users", "f")}
    assert links.keys().isdisjoint(unknown)
    known.present -= {("umapi_employees", "7:1"), ("tdx_users", "c")}
    links = rules.people(known)
    # What ended says nothing while another appointment is there.
    assert ("umapi_employees", "7:0") not in links
    assert links["umapi_employees", "9:0"] == "two"


def test_a_uniqname_is_of_those_whose_login_does_not_say_otherwise() -> None:
    users = {"a": user("7", "mvarga"), "b": user("8", "MVarga", "jstone"), "c": user("9", "tokafor", "other")}
    known = people(tdx_users=users, umapi_employees={"8:0": appointment("8", "jstone")})
    links = rules.people(known)
    assert links["tdx_users", "b"] == links["umapi_employees", "8:0"] == "jstone"
    assert (links["tdx_users", "a"], links["tdx_users", "c"]) == ("mvarga", "tokafor")


def test_accounts_are_named_by_uid_and_conflicts_by_nothing() -> None:
    accounts = {
        "a": {"uid": ["MVarga"], "sAMAccountName": "x", "cn": "y"}, "b": {"sAMAccountName": "svc-1", "cn": "svc-1"},
        "c": {"uid": ["mvarga"], "sAMAccountName": "$DUPLICATE-1", "cn": "mvarga\nCNF:1"},
    }  # fmt: skip
    assert rules.people(people(ad_users=accounts)) == {("ad_users", "a"): "mvarga", ("ad_users", "b"): "svc-1"}


def test_groups_are_joined_by_number_below_the_mirrors_else_by_a_name_that_names_one_of_each() -> None:
    mirrors = "OU=mcommadsync,OU=Users and Groups,DC=example"
    in_ad = {
        "a": {"dn": f"CN=Kiln,{mirrors}", "cn": "Kiln", "gidNumber": 1}, "b": {"dn": "CN=Loom,DC=example", "cn": " LOOM"},
        "c": {"dn": "CN=Oven,OU=1,DC=example", "cn": "oven"}, "d": {"dn": "CN=Oven,OU=2,DC=example", "cn": "Oven"},
        "e": {"dn": "CN=Wheel,OU=Not MCommADSync,DC=example", "cn": "Wheel", "gidNumber": 5},
    }  # fmt: skip
    in_mcommunity = {
        "1": {"cn": ["Other name"], "gidNumber": 1}, "2": {"cn": ["Weaving", "loom"], "gidNumber": 2},
        "4": {"cn": ["Oven"], "gidNumber": 4}, "5": {"cn": ["Spokes"], "gidNumber": 5},
    }  # fmt: skip
    known = Known({"ad_groups": in_ad, "mcommunity_groups": in_mcommunity})
    known.present = {(table, key) for table, records in known.payloads.items() for key in records}
    links = rules.groups(known)
    joined = {(one[1], other[1]) for one in links for other in links if one < other and links[one] == links[other]}
    assert joined == {("a", "1"), ("b", "2")}


# The peer's rules


def test_the_peer_makes_rows_of_what_changed_alone_and_keeps_every_row() -> None:
    tables = ("umapi_departments", "tdx_departments")
    known = Known({"umapi_departments": {"1": {"DeptId": "1"}}, "tdx_departments": {"8": {"Code": " 1 ", "ID": 8}}})
    known.changed = {("umapi_departments", "1"), ("tdx_departments", "8")}
    other = peer.Peer(tables, peer.department_key, peer.department_key)
    other.live(known)
    assert other.rows == {"1": Row(True, frozenset(known.changed))}
    known.changed = {("tdx_departments", "8")}
    other.live(known)
    assert other.rows == {"1": Row(True, frozenset({("tdx_departments", "8")}))}
    known.payloads["tdx_departments"]["8"] = {"Code": "", "ID": 8}
    other.live(known)
    assert other.rows.keys() == {"1", "TDX_8"}


def test_the_peer_joins_people_by_what_each_record_says_itself() -> None:
    known = people(
        umapi_employees={"7:0": appointment("7", "mvarga"), "7:1": appointment("7", None)},
        tdx_users={"a": user("7", "mvarga"), "b": user("8", "MVarga")},
    )
    known.changed = {("umapi_employees", "7:1"), ("tdx_users", "a")}
    other = peer.Peer(tuple(known.payloads), peer.person_key, peer.person_key, changed_only=False)
    other.live(known)
    # Of two users with one uniqname the later stands.
    assert other.rows == {"mvarga": Row(True, frozenset({("umapi_employees", "7:0"), ("tdx_users", "b")}))}
