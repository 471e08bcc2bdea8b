"""How the directories of the campus answer: logins, root, filters, limits and values (sources.md 23.2, L1 to L9 and L11)."""

from typing import Any

import pytest
from ldap3.core.exceptions import (
    LDAPInsufficientAccessRightsResult,
    LDAPInvalidCredentialsResult,
    LDAPNoSuchObjectResult,
    LDAPOperationsErrorResult,
    LDAPUnwillingToPerformResult,
)

from lsats_dagster.demo.campus import Campus, CampusError
from lsats_dagster.sources import active_directory
from lsats_dagster_tests.demo.ldap.aids import next_cookie, pages, search
from lsats_dagster_tests.demo.ldap_aids import (
    ACCOUNTS,
    COLLEGE,
    COMPUTERS,
    FOREST,
    GROUPS,
    MAIL_GROUPS,
    MCOMMUNITY_ROOT,
    PEOPLE,
    PEOPLE_BASE,
    UNITS,
    UNIVERSITY,
    code,
    connected,
    names_below,
    read,
    some,
    truth,
)
from lsats_dagster_tests.demo.ldap_aids import objects as objects
from lsats_dagster_tests.demo.ldap_aids import people as people

# L1: logins


def test_a_login_by_each_form_of_the_name(campus: Campus) -> None:
    user = campus.environment["AD_USER"]
    assert "\\" in user
    for prefix, name, base in (
        ("AD", "", UNIVERSITY),
        ("AD", user.upper(), UNIVERSITY),
        ("AD", "svc-hub@umich.edu", UNIVERSITY),
        ("MCOMMUNITY_LDAP", "", PEOPLE_BASE),
    ):
        with connected(campus, prefix, name) as connection:
            assert search(connection, base=base, search_scope="BASE")
        with pytest.raises(LDAPInvalidCredentialsResult), connected(campus, prefix, name, "wrong"):
            pass
    assert campus.environment["AD_PASSWORD"] != campus.environment["MCOMMUNITY_LDAP_PASSWORD"]
    assert campus.calls()["active_directory/bind"] == {"0": 3, "49": 3}
    assert campus.calls()["mcommunity/bind"] == {"0": 1, "49": 1}


def test_nobody_sees_what_is_not_public(campus: Campus, people: Any) -> None:
    key, hidden = some(campus, MAIL_GROUPS, "umichPrivate")
    campus.put(MAIL_GROUPS, key, {"umichPrivate": True})
    accounts = truth(campus, ACCOUNTS).values()
    private = {
        uid
        for account in accounts
        if account.get("umichadHidePersonalInfo", "FALSE").upper() != "FALSE"
        for uid in account.get("uid", [])
    }
    everybody = truth(campus, PEOPLE).values()
    person = next(person for person in everybody if person["uid"][0] not in private and "homeDirectory" in person)
    shy = next(person for person in everybody if person["uid"][0] in private)
    with connected(campus, "MCOMMUNITY_LDAP", None) as anonymous, connected(campus, "AD", None) as nobody:
        seen = search(anonymous, base=person["dn"])[person["dn"]]
        assert seen["uid"] == [person["uid"][0].encode()]
        assert not seen.keys() & {"uidNumber", "homeDirectory", "loginShell", "umichPostalAddress"}
        assert search(anonymous, f"(uidNumber={person['uidNumber']})", MCOMMUNITY_ROOT) == {}
        for dn in (hidden["dn"], shy["dn"]):
            with pytest.raises(LDAPNoSuchObjectResult):
                search(anonymous, base=dn)
        with pytest.raises(LDAPOperationsErrorResult):
            search(nobody, base=UNIVERSITY)
        assert search(nobody, base="", search_scope="BASE")
    for dn in (hidden["dn"], shy["dn"]):
        assert search(people, base=dn).keys() == {dn}
    assert search(people, base=person["dn"])[person["dn"]]["uidNumber"] == [str(person["uidNumber"]).encode()]


def test_a_login_is_refused_until_faults_are_cleared(campus: Campus, people: Any, objects: Any) -> None:
    for source, prefix, connection, root in (
        ("mcommunity", "MCOMMUNITY_LDAP", people, MCOMMUNITY_ROOT),
        ("active_directory", "AD", objects, UNIVERSITY),
    ):
        campus.refuse_login(source)
        with pytest.raises(LDAPInvalidCredentialsResult), connected(campus, prefix):
            pass
        with pytest.raises(LDAPInsufficientAccessRightsResult):
            search(connection, base=root)
        campus.clear_faults()
        with connected(campus, prefix):
            assert search(connection, base=root, search_scope="BASE")
    with pytest.raises(CampusError, match="refused"):
        campus.refuse_login("tdx")


# L2, L3: the root and the schema, and units below what people configure


def test_the_root_tells_of_the_server_and_its_schema(campus: Campus, people: Any, objects: Any) -> None:
    for source, connection, root in (
        ("mcommunity", people, MCOMMUNITY_ROOT),
        ("active_directory", objects, FOREST),
    ):
        told = search(connection, base="", search_scope="BASE")[""]
        assert told["namingContexts"] == [root.encode()]
        assert {b"1.2.840.113556.1.4.319", b"1.2.840.113556.1.4.417", b"1.2.840.113556.1.4.473"} <= {
            *told["supportedControl"]
        }
        schema = told["subschemaSubentry"][0].decode()
        types = search(connection, base=schema, search_scope="BASE")[schema]["attributeTypes"]
        assert sum(b"NAME 'gidNumber'" in text and b"121.1.27 " in text for text in types) == 1
        campus.publish_schema(source, False)
        assert "subschemaSubentry" not in search(connection, base="", search_scope="BASE")[""]
        with pytest.raises(LDAPNoSuchObjectResult):
            search(connection, base=schema, search_scope="BASE")
        campus.publish_schema(source, True)


@pytest.mark.parametrize(
    ("prefix", "base"),
    [
        ("MCOMMUNITY_LDAP", MCOMMUNITY_ROOT),
        ("AD", UNIVERSITY),
        ("AD", COLLEGE),
        ("AD", f"OU=Workstations,{COLLEGE}"),
        ("AD", f"OU=Users and Groups,{COLLEGE}"),
    ],
)
def test_units_stand_directly_below_each_base(campus: Campus, prefix: str, base: str) -> None:
    with connected(campus, prefix) as connection:
        found = search(connection, "(objectClass=organizationalUnit)", base, search_scope="LEVEL")
        assert all(values["ou"] for values in found.values())
        assert found


def test_what_stands_above_records_and_is_none_is_no_unit_of_the_streams(campus: Campus, objects: Any) -> None:
    key, unit = next((k, u) for k, u in sorted(truth(campus, UNITS).items()) if names_below(campus, u["dn"]))
    below = names_below(campus, unit["dn"])
    campus.delete(UNITS, key)
    left = search(objects, base=unit["dn"])
    assert left.keys() >= {unit["dn"], *names_below(campus, unit["dn"])}
    assert left[unit["dn"]]["objectClass"] == [b"top", b"container"]
    assert read(campus, UNITS) == truth(campus, UNITS)
    assert read(campus, COMPUTERS) == truth(campus, COMPUTERS)
    campus.restore(UNITS, key)
    assert read(campus, UNITS) == truth(campus, UNITS)
    assert names_below(campus, unit["dn"]) == below


# L4: filters


def test_numbers_times_and_texts_have_their_own_order(campus: Campus, people: Any, objects: Any) -> None:
    everybody = {record["dn"]: record for record in truth(campus, PEOPLE).values()}
    numbers = sorted(record["uidNumber"] for record in everybody.values())
    low, high = numbers[3], numbers[20]
    found = search(people, f"(&(uidNumber>={low})(uidNumber<={high})(!(uidNumber={low})))", PEOPLE_BASE)
    assert found.keys() == {dn for dn, record in everybody.items() if low < record["uidNumber"] <= high}
    _, somebody = some(campus, PEOPLE, "givenName")
    name, start = somebody["givenName"][0].upper(), somebody["uid"][0][:3].upper()
    assert search(people, f"(&(givenName={name})(uid={start}*))", PEOPLE_BASE).keys() == {
        dn
        for dn, record in everybody.items()
        if [name] == [given.upper() for given in record.get("givenName", [])]
        and record["uid"][0].upper().startswith(start)
    }
    computers = {record["dn"]: record for record in truth(campus, COMPUTERS).values()}
    moment = sorted(record["whenChanged"] for record in computers.values())[len(computers) // 2]
    since = "".join(sign for sign in moment if sign.isdigit()) + ".0Z"
    found = search(objects, f"(&(objectClass=COMPUTER)(whenChanged>={since}))", COLLEGE)
    assert found.keys() == {dn for dn, record in computers.items() if record["whenChanged"] >= moment}


# L5, L6, L7: limits


def test_active_directory_gives_a_page_at_once(campus: Campus, objects: Any) -> None:
    campus.directory_limits("active_directory", page=50)
    names = {record["dn"] for record in truth(campus, ACCOUNTS).values()}
    assert len(search(objects, active_directory.ACCOUNTS, UNIVERSITY, attributes=["cn"])) == 50
    assert code(objects) == 4
    found: list[str] = []
    cookie = None
    while cookie != b"":
        page = search(
            objects, active_directory.ACCOUNTS, UNIVERSITY, attributes=["cn"], paged_size=400, paged_cookie=cookie
        )
        cookie = next_cookie(objects)
        assert len(page) == 50 or not cookie
        found += page
        with connected(campus, "AD") as other, pytest.raises(LDAPUnwillingToPerformResult):
            search(other, active_directory.ACCOUNTS, UNIVERSITY, paged_size=400, paged_cookie=cookie or b"x")
    assert sorted(found) == sorted(names)


def test_mcommunity_gives_so_many_entries_over_all_pages(campus: Campus, people: Any) -> None:
    assert len(truth(campus, PEOPLE)) > 350
    assert [len(page) for page in pages(people, 100, "(uid=*)", PEOPLE_BASE)] == [100, 100, 100, 50]
    assert code(people) == 4
    numbers = [int(values["uidNumber"][0]) for values in search(people, "(uid=*)", PEOPLE_BASE).values()]
    assert code(people) == 4
    assert len(numbers) == 350
    assert numbers != sorted(numbers)


def test_long_lists_come_in_ranges(campus: Campus, objects: Any) -> None:
    values = 7
    campus.directory_limits("active_directory", page=1000, values=values)
    assert read(campus, GROUPS) == truth(campus, GROUPS)
    assert read(campus, ACCOUNTS) == truth(campus, ACCOUNTS)
    group = max(campus.truth(GROUPS).values(), key=lambda group: len(group.get("member", [])))
    assert len(group["member"]) > values
    seen = search(objects, base=group["dn"], search_scope="BASE")[group["dn"]]
    assert [dn.decode() for dn in seen[f"member;range=0-{values - 1}"]] == group["member"][:values]
    rest = search(objects, base=group["dn"], search_scope="BASE", attributes=["member;range=1-*"])[group["dn"]]
    assert [dn.decode() for dn in next(iter(rest.values()))] == group["member"][1 : 1 + values]
    with pytest.raises(CampusError, match="refused"):
        campus.directory_limits("active_directory", values=0)


# L8, L9, L11: values


def test_values_have_the_forms_of_the_wire(campus: Campus, people: Any, objects: Any) -> None:
    _, computer = some(campus, COMPUTERS, "userCertificate")
    seen = search(objects, base=computer["dn"], search_scope="BASE")[computer["dn"]]
    assert {b"top", b"person", b"organizationalPerson", b"user", b"computer"} == {*seen["objectClass"]}
    assert len(seen["objectGUID"][0]) == 16
    assert (seen["objectSid"][0][:2], len(seen["objectSid"][0])) == (b"\x01\x05", 28)
    assert len(seen["userCertificate"][0]) > 8
    assert seen["whenChanged"][0].endswith(b".0Z")
    assert seen["pwdLastSet"][0].isdigit()
    assert seen["accountExpires"] == [b"9223372036854775807"]
    found = search(objects, "(&(objectClass=user)(objectClass=person)(objectClass=computer))", COLLEGE)
    assert len(found) == len(truth(campus, COMPUTERS))
    _, group = some(campus, MAIL_GROUPS, "umichExpiryTimestamp")
    seen = search(people, base=group["dn"], search_scope="BASE")[group["dn"]]
    assert (
        seen["umichExpiryTimestamp"][0].decode()
        == "".join(sign for sign in group["umichExpiryTimestamp"] if sign.isdigit()) + "Z"
    )
    assert seen["joinable"][0] in (b"TRUE", b"FALSE")


def test_a_change_of_members_touches_the_group_alone(campus: Campus) -> None:
    key, group = next((k, g) for k, g in sorted(truth(campus, GROUPS).items()) if g.get("member"))
    account_key, account = next(
        (k, a) for k, a in sorted(truth(campus, ACCOUNTS).items()) if a["dn"] not in group["member"]
    )
    assert group["dn"] not in read(campus, ACCOUNTS)[account_key].get("memberOf", [])
    campus.put(GROUPS, key, {"member": [*group["member"], account["dn"]]})
    after = read(campus, ACCOUNTS)[account_key]
    assert sorted(after["memberOf"]) == sorted([*account.get("memberOf", []), group["dn"]])
    assert {name for name in after if after[name] != account.get(name)} == {"memberOf"}
    moved = read(campus, GROUPS)[key]
    assert (moved["whenChanged"] > group["whenChanged"], moved["uSNChanged"] > group["uSNChanged"]) == (True, True)
    assert read(campus, ACCOUNTS) == truth(campus, ACCOUNTS)
