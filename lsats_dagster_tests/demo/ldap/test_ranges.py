"""Long attributes, of which the values come in ranges (sources.md 23.2, L7)."""

from collections.abc import Iterator

import ldap3
import pytest

from lsats_dagster.demo.campus.ldap.identities import Limits
from lsats_dagster.demo.campus.ldap.server import LdapServer
from lsats_dagster_tests.demo.ldap.aids import GROUPS, PEOPLE, attributes, client, directory, search, serving

LARGE, SMALL, EVEN = (f"cn={name},{GROUPS}" for name in ("large", "small", "even"))
MEMBERS = [f"uid=u{number},{PEOPLE}" for number in range(4000)]


@pytest.fixture(scope="module")
def server() -> Iterator[LdapServer]:
    content = directory()
    for dn, count in ((LARGE, 4000), (SMALL, 1500), (EVEN, 3000)):
        content.add(dn, attributes(cn=dn[3:8], member=MEMBERS[:count]))
    with serving(content, limits=Limits(values=1500)) as running:
        yield running


@pytest.fixture(scope="module")
def hub(server: LdapServer) -> Iterator[ldap3.Connection]:
    with client(server) as connection:
        yield connection


@pytest.mark.parametrize(
    ("dn", "asked", "name", "values"),
    [
        (LARGE, "member", "member;range=0-1499", (0, 1500)),
        (LARGE, "*", "member;range=0-1499", (0, 1500)),
        (LARGE, "member;range=0-*", "member;range=0-1499", (0, 1500)),
        (LARGE, "member;range=1500-*", "member;range=1500-2999", (1500, 3000)),
        (LARGE, "Member;Range=1500-*", "member;range=1500-2999", (1500, 3000)),
        (LARGE, "member;range=3000-*", "member;range=3000-*", (3000, 4000)),
        (LARGE, "member;range=10-19", "member;range=10-19", (10, 20)),
        (LARGE, "member;range=10-3999", "member;range=10-1509", (10, 1510)),
        (LARGE, "member;range=3990-3999", "member;range=3990-*", (3990, 4000)),
        (LARGE, "member;range=3990-9999", "member;range=3990-*", (3990, 4000)),
        (EVEN, "member;range=1500-*", "member;range=1500-*", (1500, 3000)),
        (SMALL, "member", "member", (0, 1500)),
        (SMALL, "member;range=0-*", "member;range=0-*", (0, 1500)),
        (SMALL, "member;range=0-9", "member;range=0-9", (0, 10)),
    ],
)
def test_ranges(hub: ldap3.Connection, dn: str, asked: str, name: str, values: tuple[int, int]) -> None:
    found = search(hub, base=dn, attributes=[asked])[dn]
    assert [key for key in found if key.startswith("member")] == [name]
    assert found[name] == [member.encode() for member in MEMBERS[slice(*values)]]


@pytest.mark.parametrize(
    "asked", ["member;range=4000-*", "member;range=4000-4010", "member;range=20-10", "member;range=*-9"]
)
def test_a_range_behind_the_end_brings_nothing(hub: ldap3.Connection, asked: str) -> None:
    assert search(hub, base=LARGE, attributes=[asked])[LARGE] == {}


def test_ranges_have_types_without_values_too(hub: ldap3.Connection) -> None:
    assert search(hub, base=LARGE, attributes=["member"], types_only=True)[LARGE] == {"member;range=0-1499": []}


def test_ldap3_puts_the_ranges_together(server: LdapServer) -> None:
    with client(server, auto_range=True) as connection:
        found = search(connection, f"(member={MEMBERS[3999]})", attributes=["member"])
        assert sorted(found[LARGE]["member"]) == sorted(member.encode() for member in MEMBERS)


def test_an_identity_without_limits_gets_everything_at_once(server: LdapServer) -> None:
    with serving(server._service.directory) as unlimited, client(unlimited) as connection:
        assert search(connection, base=LARGE, attributes=["member"])[LARGE] == {"member": [m.encode() for m in MEMBERS]}
