"""The values of directories on their way: what the campus sends is what the hub's own table decodes (sources.md 4.5)."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster.demo.campus.faces.directory_values import Sent, of_other_controller, raw_attributes
from lsats_dagster.sources import active_directory, mcommunity
from lsats_dagster_tests.contracts.records_directories import (
    ad_account,
    ad_computer,
    ad_group,
    ad_unit,
    guid,
    mail_group,
    person,
)

GUID = "6f1c2b7a-54de-4c1b-9a77-0d3e5f8b2c41"
SHAPES: dict[str, tuple[dict[str, Any], Attributes]] = {
    "person": (person("7"), mcommunity.PERSON),
    "mail group": (mail_group("8"), mcommunity.GROUP),
    "account": (ad_account(guid(1)), active_directory.ACCOUNT),
    "group": (ad_group(guid(2)), active_directory.GROUP),
    "unit": (ad_unit(guid(3)), active_directory.UNIT),
    "computer": (ad_computer(guid(4)), active_directory.COMPUTER),
}


def sent(**record: Any) -> dict[str, tuple[bytes, ...]]:
    return {attribute.name: attribute.values for attribute in Sent(record).values()}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_record_comes_back_from_its_octets(shape: str) -> None:
    record, attributes = SHAPES[shape]
    assert attributes.record(record["dn"].encode(), sent(**record)) == record


@pytest.mark.parametrize(
    ("name", "value", "octets"),
    [
        ("objectGUID", GUID, bytes.fromhex("7a2b1c6fde541b4c9a770d3e5f8b2c41")),
        (
            "objectSid",
            "S-1-5-21-1004336348-1177238915-682003330-512345",
            bytes.fromhex("010500000000000515000000dcf4dc3b833d2b46828ba62859d10700"),
        ),
        ("pwdLastSet", "2026-01-12T08:15:30Z", b"134126793300000000"),
        ("lastLogon", "2026-01-12T08:15:30.1234567Z", b"134126793301234567"),
        ("lastLogon", "2026-01-12T08:15:30.5Z", b"134126793305000000"),
        ("lastLogoff", None, b"0"),
        ("accountExpires", None, b"9223372036854775807"),
        ("accountExpires", "1601-01-02T00:00:00Z", b"864000000000"),
        ("whenChanged", "2026-01-12T08:15:30Z", b"20260112081530.0Z"),
        ("umichExpiryTimestamp", "2026-02-12T23:02:52Z", b"20260212230252Z"),
        ("joinable", False, b"FALSE"),
        ("groupType", -2147483640, b"-2147483640"),
        ("msLAPS-PasswordExpirationTime", "133900000000000000", b"133900000000000000"),
        ("userCertificate", "AAEC", b"\0\1\2"),
        ("cn", "J\u00f6rg \udcff", b"J\xc3\xb6rg \xff"),
        ("cn", "half \ud83d", b"half \xed\xa0\xbd"),
        ("uidNumber", "none", b"none"),
        ("objectGUID", "none", b"none"),
        ("objectSid", "S-1-5-x", b"S-1-5-x"),
        ("pwdLastSet", "soon", b"soon"),
        ("whenChanged", 7, b"7"),
        ("unheard", 1.5, b"1.5"),
    ],
)
def test_a_value_is_sent_as_its_directory_writes_it(name: str, value: Any, octets: bytes) -> None:
    assert sent(**{name: value}) == {name: (octets,)}
    assert sent(**{name: [value, value]}) == {name: (octets, octets)}


def test_what_has_no_value_is_not_there() -> None:
    assert sent(dn="cn=a", cn=[], mail=None, uidNumber=None, joinable=None, objectGUID=None) == {}


def test_a_record_that_changes_later_is_sent_as_it_was() -> None:
    members = ["cn=a"]
    record = {"member": members}
    attributes = Sent(record)
    members.append("cn=b")
    record["member"] = ["cn=c"]
    assert attributes["member"].values == (b"cn=a",)
    assert list(attributes) == ["member"]
    assert "member" in attributes
    assert attributes.get("cn") is None


@given(st.binary())
def test_raw_values_are_sent_as_they_are(octets: bytes) -> None:
    escaped = octets.decode(errors="surrogateescape")
    based = {"base64": base64.b64encode(octets).decode()}
    assert raw_attributes({"dn": "cn=a", "cn": ["x", escaped], "mail": based}) == {
        "cn": [b"x", octets],
        "mail": [octets],
    }


@pytest.mark.parametrize(
    "record", [{"cn": [7]}, {"cn": [None]}, {"cn": [{"base64": "?"}]}, {"cn": [{"base32": "AA"}]}, {"cné": ["x"]}]
)
def test_what_is_no_raw_value_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        raw_attributes(record)


def test_another_controller_shows_the_same_object_with_what_is_its_own() -> None:
    computer = ad_computer(guid(4)) | {"lastLogoff": None}
    other = of_other_controller(computer)
    assert {name for name in computer if computer[name] != other[name]} == {
        "whenChanged", "uSNChanged", "uSNCreated", "dSCorePropagationData", "lastLogon", "logonCount", "badPwdCount",
        "badPasswordTime",
    }  # fmt: skip
    assert other.keys() == computer.keys()
    assert of_other_controller(computer) == other
    assert other["whenChanged"] > computer["whenChanged"], "it learned of the change later"
    assert of_other_controller({"objectGUID": GUID, "lastLogon": None})["lastLogon"] is None
