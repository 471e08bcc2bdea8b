"""Values of directories: one shape per attribute, whatever server, library, spelling or order."""

import json
import time
from typing import Any

import pytest

from lsats_dagster.clients.errors import PermanentSourceError, UnreadableRecordError
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster.ingestion.content import prepare
from lsats_dagster.ingestion.stream import HashRule, ListStream

DN = b"cn=someone,dc=example,dc=edu"


def read(name: str, *values: bytes | str, several: bool = False) -> Any:
    """What a record holds of one attribute."""
    asked = Attributes((), (name,)) if several else Attributes((name,))
    record = asked.record(DN, {name: values})
    assert isinstance(record, dict)
    return record[name.partition(";")[0]]


# N1
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize(
    ("ticks", "wanted"),
    [
        ("0", None),
        ("9223372036854775807", None),
        ("2650466880000000000", None),
        ("2650467743990000000", None),
        ("2650467924000000010", None),  # the year 10000
        ("-1", "-1"),  # what is no time stays, and the tables say so
        ("", None),
        ("134126793300000000", "2026-01-12T08:15:30Z"),
        ("134126793300000001", "2026-01-12T08:15:30.0000001Z"),
        ("134126793305000000", "2026-01-12T08:15:30.5Z"),
        ("2650466879999999999", "9999-12-30T23:59:59.9999999Z"),
        ("1", "1601-01-01T00:00:00.0000001Z"),
        ("1e17", "1e17"),
    ],
)
def test_filetimes_are_iso_times_or_nothing(
    monkeypatch: pytest.MonkeyPatch, zone: str, ticks: str, wanted: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert read("accountExpires", ticks.encode()) == wanted
    finally:
        monkeypatch.undo()
        time.tzset()


# N2
@pytest.mark.parametrize(
    ("received", "wanted"),
    [
        ("2026011208Z", "2026-01-12T08:00:00Z"),
        ("202601120815Z", "2026-01-12T08:15:00Z"),
        ("20260112081530Z", "2026-01-12T08:15:30Z"),
        ("20260112081530.0Z", "2026-01-12T08:15:30Z"),
        ("20260112081530,5Z", "2026-01-12T08:15:30.5Z"),
        ("20260112081530-0500", "2026-01-12T13:15:30Z"),
        ("20260230000000Z", "20260230000000Z"),  # there is no such day; the tables say so
        ("20260112081530+0530", "2026-01-12T02:45:30Z"),
        ("20260112081530-05", "2026-01-12T13:15:30Z"),
        ("2026011208.5Z", "2026-01-12T08:30:00Z"),
        ("202601120815,25Z", "2026-01-12T08:15:15Z"),
        ("20260112081530.000000001Z", "2026-01-12T08:15:30.000000001Z"),
        ("16010101000000.0Z", "1601-01-01T00:00:00Z"),
        ("00010101000000+0100", "00010101000000+0100"),
        ("20260112081530", "20260112081530"),
        ("2026-01-12", "2026-01-12"),
        ("", None),
    ],
)
def test_all_forms_of_a_generalized_time(received: str, wanted: str) -> None:
    assert read("whenChanged", received.encode()) == wanted


def test_a_day_that_there_is_not_ends_no_read() -> None:
    try:
        found = read("whenChanged", b"20260230000000Z")
    except ValueError:
        found = None
    assert found == "20260230000000Z"


# N3
@pytest.mark.parametrize(
    ("received", "wanted"),
    [
        (bytes.fromhex("00112233445566778899aabbccddeeff"), "33221100-5544-7766-8899-aabbccddeeff"),
        (b"ABCDEFGHIJKLMNOP", "44434241-4645-4847-494a-4b4c4d4e4f50"),
        (b"{33221100-5544-7766-8899-AABBCCDDEEFF}", "33221100-5544-7766-8899-aabbccddeeff"),
        ("{33221100-5544-7766-8899-AABBCCDDEEFF}", "33221100-5544-7766-8899-aabbccddeeff"),
        ("ABCDEFGHIJKLMNOP", "44434241-4645-4847-494a-4b4c4d4e4f50"),
        (bytes.fromhex("7a2b1c6fde541b4c9a770d3e5f8b2c41"), "6f1c2b7a-54de-4c1b-9a77-0d3e5f8b2c41"),
        (b"too short", "dG9vIHNob3J0"),
    ],
)
def test_a_guid_is_one_text_however_it_comes(received: bytes | str, wanted: str) -> None:
    assert read("objectGUID", received) == wanted


# N4
def test_texts_and_bytes_of_them_in_another_order_are_one_content() -> None:
    asked = Attributes(("uid",), ("cn",))
    stream = ListStream[Any](
        source_system="made",
        entity_type="person",
        table="made_people",
        row="One.",
        description="Made.",
        key=lambda record: str(record["uid"]),
        hash_rule=HashRule(sets=frozenset({"cn"})),
        read=lambda client, extract: iter(()),
    )
    names = ["Zoë Ünal", "Z Ünal"]
    texts = asked.record(DN, {"uid": ["zunal"], "cn": names})
    octets = asked.record(DN, {"uid": [b"zunal"], "cn": [name.encode() for name in reversed(names)]})
    assert isinstance(texts, dict)
    assert texts["cn"] == names
    assert prepare(stream, texts).entity_hash == prepare(stream, octets).entity_hash


def test_what_is_no_utf_8_becomes_base64_each_time() -> None:
    assert [read("description", b"Zo\xeb") for _ in range(2)] == ["Wm/r", "Wm/r"]
    assert read("cn", b"Zo\xeb", "Zoë", several=True) == ["Wm/r", "Zoë"]


@pytest.mark.parametrize(
    ("name", "received", "wanted"),
    [
        ("uidNumber", b"1284467", 1284467),
        ("groupType", b"-2147483646", -2147483646),
        ("uSNChanged", b"9007199254740992", 2**53),
        ("uSNChanged", b"9007199254740993", "9007199254740993"),
        ("msLAPS-PasswordExpirationTime", b"133900000000000000", "133900000000000000"),
        ("userAccountControl", b"0x200", "0x200"),
        ("isCriticalSystemObject", b"FALSE", False),
        ("umichPrivate", b"true", True),
        ("joinable", b"maybe", "maybe"),
        ("objectSid", bytes.fromhex("010100000000000512000000"), "S-1-5-18"),
        (
            "objectSid",
            bytes.fromhex("0105000000000005150000003c12dd3b73322b4692c1a62801d20700"),
            "S-1-5-21-1004343868-1177236083-682017170-512513",
        ),
        ("objectSid", b"S-1-5-21-1-2-3", "S-1-5-21-1-2-3"),
        ("objectSid", b"\x01\x05\x00", "AQUA"),
        ("userCertificate", b"plain text", "cGxhaW4gdGV4dA=="),
        ("userCertificate;binary", b"0\x82", "MII="),
        ("cn", b" as it came ", " as it came "),
        ("cn", b"", ""),
    ],
)
def test_kinds_of_values(name: str, received: bytes, wanted: object) -> None:
    value = read(name, received)
    assert (value, type(value)) == (wanted, type(wanted))


def test_a_list_is_a_list_of_one_value_too_and_what_is_not_there_is_not() -> None:
    asked = Attributes(("uid", "mail"), ("cn", "sIDHistory", "member"))
    found = {"uid": [b"a"], "cn": [b"Ann"], "sIDHistory": [bytes.fromhex("010100000000000512000000")], "member": []}
    assert asked.record(DN, found) == {"dn": DN.decode(), "uid": "a", "cn": ["Ann"], "sIDHistory": ["S-1-5-18"]}


def test_names_are_spelled_as_declared_whatever_the_server_says() -> None:
    asked = Attributes(("sAMAccountName", "objectGUID"), ("memberOf", "userCertificate"))
    found = {
        "SAMACCOUNTNAME": [b"a"], "objectguid": [b"ABCDEFGHIJKLMNOP"], "memberof": [b"cn=b"], "userCertificate;Binary": [b"0"],
        "cn;lang-fr": [b"another"], "unasked": [b"x"],
    }  # fmt: skip
    assert asked.record(DN, found) == {
        "dn": DN.decode(),
        "sAMAccountName": "a",
        "objectGUID": "44434241-4645-4847-494a-4b4c4d4e4f50",
        "memberOf": ["cn=b"],
        "userCertificate": ["MA=="],
    }


def test_a_second_value_of_what_has_one_stands_in_place_of_the_record() -> None:
    asked = Attributes(("uid", "uidNumber"), ("cn",))
    found = {"uid": [b"a"], "uidNumber": [b"1", b"2"], "cn": [b"Zo\xeb"], "userPassword": [b"geheim"]}
    record = asked.record(b"uid=a\xff", found)
    assert isinstance(record, UnreadableRecordError)
    assert str(record) == "uidNumber has several values and is declared to have one"
    assert json.loads(record.text) == {"dn": "uid=a\\xff", "uid": ["a"], "uidNumber": ["1", "2"], "cn": ["Zo\\xeb"]}


@pytest.mark.parametrize(
    "name",
    ["ms-Mcs-AdmPwd", "MSLAPS-password", "msLAPS-EncryptedPassword", "msLAPS-EncryptedPasswordHistory", "unicodePwd",
     "userPassword;binary", "msDS-ManagedPassword", "supplementalCredentials", "msFVE-RecoveryPassword"],
)  # fmt: skip
def test_secrets_are_refused_by_name(name: str) -> None:
    with pytest.raises(PermanentSourceError, match=f"^{name.partition(';')[0]} holds secrets and is never asked for$"):
        Attributes(("cn",), (name,))


def test_secrets_that_come_unasked_are_told_and_in_no_record() -> None:
    asked = Attributes(("cn", "ms-Mcs-AdmPwdExpirationTime"))
    found = {"cn": [b"a"], "MS-MCS-ADMPWD": [b"geheim"], "ms-Mcs-AdmPwdExpirationTime": [b"1"], "unicodePwd;x": [b"x"]}
    assert asked.unasked_secrets(found) == ["MS-MCS-ADMPWD", "unicodePwd;x"]
    assert asked.record(DN, found) == {"dn": DN.decode(), "cn": "a", "ms-Mcs-AdmPwdExpirationTime": 1}


@pytest.mark.parametrize("name", ["*", "+", "", "1.1", "cn;lang-de", "cn)(uid=*", "member;range=0-*"])
def test_only_names_of_attributes_are_asked_for(name: str) -> None:
    with pytest.raises(PermanentSourceError, match="by their names, one by one"):
        Attributes((name,))


def test_no_attribute_is_asked_for_twice() -> None:
    with pytest.raises(PermanentSourceError, match="CN is asked for twice"):
        Attributes(("cn",), ("CN",))
