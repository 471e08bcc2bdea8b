"""What the server says of itself and its directory (sources.md 23.2, L2), by ldap3."""

import ldap3
import pytest
from ldap3.core.exceptions import (
    LDAPNoSuchObjectResult,
    LDAPOperationsErrorResult,
    LDAPUnavailableCriticalExtensionResult,
)

from lsats_dagster.demo.campus.ldap.directory import SUBSCHEMA
from lsats_dagster.demo.campus.ldap.server import LdapServer
from lsats_dagster_tests.demo.ldap.aids import ROOT, client, directory, search, serving

SHOW_DELETED = ("1.2.840.113556.1.4.417", True, None)
SORTED = ("1.2.840.113556.1.4.473", False, b"\x30\x06\x30\x04\x04\x02cn")


def root_dse(server: LdapServer) -> dict[str, list[bytes]]:
    with client(server, None, None) as connection:
        return search(connection, base="", search_scope="BASE", attributes=["*", "+"])[""]


def test_the_root_says_what_directory_and_server_are() -> None:
    moments = iter([b"20260112081530.0Z", b"20260112081531.0Z"])
    content = directory(about=lambda: {"currentTime": [next(moments)], "dnsHostName": [b"dc1.example.edu"]})
    with serving(content, anonymous=None) as server:
        assert root_dse(server) == {
            "objectClass": [b"top"],
            "namingContexts": [ROOT.encode()],
            "subschemaSubentry": [SUBSCHEMA.encode()],
            "supportedLDAPVersion": [b"3"],
            "supportedControl": [b"1.2.840.113556.1.4.319", b"1.2.840.113556.1.4.417", b"1.2.840.113556.1.4.473"],
            "currentTime": [b"20260112081530.0Z"],
            "dnsHostName": [b"dc1.example.edu"],
        }
        assert root_dse(server)["currentTime"] == [b"20260112081531.0Z"]


def test_nothing_but_the_root_is_told_before_a_login_where_nobody_is_anonymous() -> None:
    with serving(directory(), anonymous=None) as server, client(server, None, None) as connection:
        for base, scope in ((ROOT, "BASE"), (ROOT, "SUBTREE"), ("", "SUBTREE")):
            with pytest.raises(LDAPOperationsErrorResult):
                search(connection, base=base, search_scope=scope)


@pytest.mark.parametrize("scope", ["LEVEL", "SUBTREE"])
def test_no_entries_stand_below_the_root(scope: str) -> None:
    with serving(directory()) as server, client(server) as hub, pytest.raises(LDAPNoSuchObjectResult):
        search(hub, base="", search_scope=scope)


def test_a_published_schema_types_what_a_client_reads() -> None:
    content = directory(3)
    with serving(content) as server:
        host = ldap3.Server("127.0.0.1", server.port, get_info=ldap3.ALL)
        with ldap3.Connection(host, auto_bind=True) as connection:
            assert {name.lower() for name in host.schema.attribute_types} == set(content.schema)
            connection.search(ROOT, "(uid=u2)", attributes=["uid", "uidNumber"])
            assert connection.response[0]["attributes"] == {"uid": ["u2"], "uidNumber": [2]}


def test_the_schema_can_be_hidden_at_any_time() -> None:
    content = directory(3)
    with serving(content) as server, client(server) as connection:
        assert "subschemaSubentry" in root_dse(server)
        assert set(search(connection, base=SUBSCHEMA, search_scope="BASE")) == {SUBSCHEMA}
        content.publishes_schema = False
        assert "subschemaSubentry" not in root_dse(server)
        with pytest.raises(LDAPNoSuchObjectResult):
            search(connection, base=SUBSCHEMA, search_scope="BASE")


def test_a_server_knows_the_controls_that_it_is_told_to_know() -> None:
    content = directory(20)
    with serving(content, controls=["1.2.840.113556.1.4.319"]) as server, client(server) as connection:
        assert root_dse(server)["supportedControl"] == [b"1.2.840.113556.1.4.319"]
        assert len(search(connection, "(uidNumber=*)", controls=[SORTED])) == 20
        assert "controls" not in connection.result
        with pytest.raises(LDAPUnavailableCriticalExtensionResult):
            search(connection, controls=[SHOW_DELETED])
