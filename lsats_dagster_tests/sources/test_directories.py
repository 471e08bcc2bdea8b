"""Directories: how their records are keyed, what of them is content, and that the list of attributes is what records hold."""

import base64
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.ingestion.content import prepare
from lsats_dagster.ingestion.stream import ListStream, SkippedRecordError, UnkeyedRecordError
from lsats_dagster.source import Source, Terms
from lsats_dagster.sources import active_directory as ad
from lsats_dagster.sources import mcommunity
from lsats_dagster.sources.active_directory import account_key, object_key
from lsats_dagster.sources.mcommunity import group_key, person_key
from lsats_dagster_tests.clients.aids import PATIENT
from lsats_dagster_tests.clients.ldap_wire import PASSWORD, done, first, serving
from lsats_dagster_tests.contracts import records_directories as records
from lsats_dagster_tests.contracts.records_directories import guid

# What a stream asks for, and an ordinary record of it.
STREAMS: list[tuple[ListStream[Any], Attributes, dict[str, Any]]] = [
    (mcommunity.USERS, mcommunity.PERSON, records.person("1")),
    (mcommunity.GROUPS, mcommunity.GROUP, records.mail_group("1")),
    (ad.USERS, ad.ACCOUNT, records.ad_account(guid(1))),
    (ad.GROUPS, ad.GROUP, records.ad_group(guid(1))),
    (ad.UNITS, ad.UNIT, records.ad_unit(guid(1))),
    (ad.COMPUTERS, ad.COMPUTER, records.ad_computer(guid(1))),
]
every_stream = pytest.mark.parametrize(
    ("stream", "attributes", "record"), STREAMS, ids=[stream.table for stream, _, _ in STREAMS]
)
# Each controller's own, or moved by use: no content (sources.md 15 to 18; field case N10).
OF_CONTROLLERS = {"whenChanged", "uSNChanged", "uSNCreated", "dSCorePropagationData"}
OF_USE = {"lastLogon", "lastLogoff", "logonCount", "badPwdCount", "badPasswordTime", "pwdLastSet"}
NO_CONTENT: dict[str, set[str]] = {
    "mcommunity_users": {"uidNumber"},
    "mcommunity_groups": {"gidNumber"},
    "ad_users": {"objectGUID", *OF_CONTROLLERS, *OF_USE, "lastLogonTimestamp"},
    "ad_groups": {"objectGUID", *OF_CONTROLLERS},
    "ad_organizational_units": {"objectGUID", *OF_CONTROLLERS},
    "ad_computers": {
        "objectGUID", *OF_CONTROLLERS, *OF_USE, "ms-Mcs-AdmPwdExpirationTime", "msLAPS-PasswordExpirationTime",
    },
}  # fmt: skip
FILETIMES = {
    "accountExpires", "pwdLastSet", "lastLogon", "lastLogoff", "lastLogonTimestamp", "badPasswordTime", "lockoutTime",
}  # fmt: skip
GUID = "33221100-5544-7766-8899-aabbccddeeff"
OCTETS = bytes.fromhex("00112233445566778899aabbccddeeff")
# Octets that are characters of more than one byte too.
SIGNS = "\u00e9\u00e8\u00e0\u00fc\u00f6\u00e4\u00df\u00f1"


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (OCTETS, GUID), (base64.b64encode(OCTETS).decode(), GUID), (GUID, GUID), (f"{{{GUID.upper()}}}", GUID),
        (f"\u00a0{GUID} ", GUID), (b"ABCDEFGHIJKLMNOP", "44434241-4645-4847-494a-4b4c4d4e4f50"),
        ("ABCDEFGHIJKLMNOP", "44434241-4645-4847-494a-4b4c4d4e4f50"), (SIGNS.encode(), str(UUID(bytes_le=SIGNS.encode()))),
        (SIGNS, str(UUID(bytes_le=SIGNS.encode()))), (" BCDEFGHIJKLMNO\t", str(UUID(bytes_le=b" BCDEFGHIJKLMNO\t"))),
    ],
)  # fmt: skip
def test_one_key_however_a_library_hands_a_guid_over(value: Any, key: str) -> None:
    """N3."""
    try:
        found = object_key({"objectGUID": value})
    except UnkeyedRecordError as error:
        found = str(error)
    assert found == key


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", 8, True, b"", OCTETS[:15], OCTETS + b"x", "x" * 15, str(UUID(int=0)), bytes(16), [GUID], GUID[:-1],
        GUID.replace("-", ""),
    ],
)  # fmt: skip
def test_what_is_no_guid(value: Any) -> None:
    with pytest.raises(UnkeyedRecordError, match=r"^objectGUID is not a GUID$"):
        object_key({"objectGUID": value})


@pytest.mark.parametrize("classes", [["top", "computer"], ["top", "person", "Computer"]])
def test_a_computer_is_no_account(classes: list[str]) -> None:
    """AU-2."""
    with pytest.raises(SkippedRecordError, match=r"^a computer$"):
        account_key({"objectGUID": GUID, "objectClass": classes})
    assert account_key({"objectGUID": GUID, "objectClass": ["top", "person", "user"]}) == GUID
    assert account_key({"objectGUID": GUID, "objectClass": [None, 8]}) == account_key({"objectGUID": GUID}) == GUID


@pytest.mark.parametrize(("key", "name"), [(person_key, "uidNumber"), (group_key, "gidNumber")])
def test_numbers_of_the_directory_are_keys(key: Callable[[Any], str], name: str) -> None:
    assert [key({name: value}) for value in (8, "8", " 8 ", "008", 2**31)] == ["8"] * 4 + [str(2**31)]
    for value in (None, "", 0, -8, "8.5", "\u0668", True, [8], 10**18, "x", 8.0):
        with pytest.raises(UnkeyedRecordError, match=f"^{name} is not a positive whole number$"):
            key({name: value})


def on_the_wire(name: str, value: Any) -> bytes:
    """A value of a record as its directory sends it (sources.md 4.5)."""
    if name == "objectGUID":
        return UUID(value).bytes_le
    if name in ("objectSid", "sIDHistory"):
        first, *rest = map(int, value.split("-")[2:])
        return bytes([1, len(rest)]) + first.to_bytes(6, "big") + struct.pack(f"<{len(rest)}I", *rest)
    if name == "userCertificate":
        return base64.b64decode(value)
    if name in FILETIMES:
        return str(int(datetime.fromisoformat(value).timestamp() + 11_644_473_600) * 10_000_000).encode()
    if isinstance(value, str) and value[4:5] == value[7:8] == "-" and value.endswith("Z"):
        return f"{datetime.fromisoformat(value):%Y%m%d%H%M%S}.0Z".encode()
    return (str(value).upper() if isinstance(value, bool) else str(value)).encode()


@every_stream
def test_records_hold_what_is_asked_for_in_the_form_of_each_attribute(
    stream: ListStream[Any], attributes: Attributes, record: dict[str, Any]
) -> None:
    """Each attribute that a table reads is asked for, as one value or several, and decoded as what it is (4.7)."""
    sent = {
        name: [on_the_wire(name, one) for one in (value if isinstance(value, list) else [value])]
        for name, value in record.items()
        if name != "dn"
    }
    assert record.keys() - {"dn"} <= set(attributes.names)
    assert attributes.record(record["dn"].encode(), sent) == record


@every_stream
def test_everything_is_content_but_what_is_named(
    stream: ListStream[Any], attributes: Attributes, record: dict[str, Any]
) -> None:
    """N10, A2, A14: what only a controller or its use moves makes no version; anything else does."""
    names = ["dn", *attributes.names]
    full = {name: record.get(name, ["x"] if name in attributes.several else "x") for name in names}
    before = prepare(stream, full).entity_hash
    same = {
        name
        for name in names
        if prepare(stream, full | {name: moved(name, full[name])}).entity_hash == before
    }  # fmt: skip
    assert same == NO_CONTENT[stream.table]


def moved(name: str, value: Any) -> Any:
    """Another value of the same form; of a key another spelling."""
    if name == "objectGUID":
        return f"{{{value.upper()}}}"
    if name in ("uidNumber", "gidNumber") and value == 1:
        return "1"
    return [*value, "moved"] if isinstance(value, list) else "moved"


@every_stream
def test_several_values_have_no_order(stream: ListStream[Any], attributes: Attributes, record: dict[str, Any]) -> None:
    """A12: a directory gives them in any."""
    values = {name: ["a", "b", "c"] for name in attributes.several}
    turned = {name: ["c", "a", "b"] for name in attributes.several}
    hashes = {prepare(stream, record | found).entity_hash for found in (values, turned)}
    assert len(hashes) == 1


@every_stream
def test_secrets_are_not_asked_for(stream: ListStream[Any], attributes: Attributes, record: dict[str, Any]) -> None:
    """AC-5: but when they expire."""
    secret = [name for name in attributes.names if "pwd" in name.lower() or "password" in name.lower()]
    assert set(secret) <= {
        "pwdLastSet", "badPwdCount", "badPasswordTime", "ms-Mcs-AdmPwdExpirationTime", "msLAPS-PasswordExpirationTime",
    }  # fmt: skip


@pytest.mark.parametrize("source", [mcommunity.SOURCE, ad.SOURCE], ids=lambda source: source.name)
def test_a_directory_is_opened_by_its_own_settings(source: Source, tmp_path: Path) -> None:
    """Host, port, login and authorities of one directory say nothing of another."""
    with serving(tmp_path, first([done()])) as server:
        host, user, password = source.settings.ways[0]
        prefix = host.removesuffix("server")
        known = {
            host: "localhost", user: "hub", password: PASSWORD, f"{prefix}port": server.port, f"{prefix}ca_file": server.ca_file,
        }  # fmt: skip
        client = source.open_client(source.settings(**known), Terms(LocalCallWindow(), timeouts=PATIENT))
        assert client.probe().clock_difference is None
        client.close()
    assert server.binds == 1
    assert client.evidence()["address"] == f"ldaps://localhost:{server.port}"


@pytest.mark.parametrize("source", [mcommunity.SOURCE, ad.SOURCE], ids=lambda source: source.name)
def test_what_a_directory_needs_is_named(source: Source) -> None:
    assert source.settings().missing == [name.upper() for name in source.settings.ways[0]]
    assert not source.settings().is_set_up


def test_people_are_due_on_sundays_and_everything_else_every_night() -> None:
    """700,000 people are read once a week (architecture.md 12)."""
    nights = {
        s.table: len(source.cadence_of(s).nights) for source in (mcommunity.SOURCE, ad.SOURCE) for s in source.streams
    }
    assert {table for table, number in nights.items() if number == 1} == {"mcommunity_users"}
    assert {number for table, number in nights.items() if table != "mcommunity_users"} == {7}
