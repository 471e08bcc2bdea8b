"""The directories of the campus as its tests reach them: by the hub's own streams, and by ldap3 over LDAPS."""

import contextlib
import ssl
from collections.abc import Iterator
from typing import Any

import ldap3
import pytest

from lsats_dagster.demo.campus import Campus
from lsats_dagster.ingestion.stream import Extract, ListStream
from lsats_dagster.source import Source
from lsats_dagster.sources import active_directory, mcommunity
from lsats_dagster_tests.conftest import make_client
from lsats_dagster_tests.demo.ldap.aids import PATIENCE

SOURCES = (mcommunity.SOURCE, active_directory.SOURCE)
STREAMS: dict[str, tuple[Source, ListStream[Any]]] = {
    f"{stream.source_system}/{stream.entity_type}": (source, stream)
    for source in SOURCES
    for stream in source.streams
    if isinstance(stream, ListStream)
}
PEOPLE, MAIL_GROUPS, ACCOUNTS, GROUPS, UNITS, COMPUTERS = STREAMS
PEOPLE_BASE, GROUPS_BASE = mcommunity.PEOPLE_BRANCH.base, mcommunity.GROUPS_BRANCH.base
MCOMMUNITY_ROOT, FOREST = mcommunity.ROOT, "DC=adsroot,DC=itcs,DC=umich,DC=edu"
UNIVERSITY, COLLEGE = active_directory.UNIVERSITY, active_directory.COLLEGE
TRASH = f"CN=Deleted Objects,{FOREST}"
SHOW_DELETED = ("1.2.840.113556.1.4.417", True, None)
EVERYTHING = "(objectClass=*)"


def read(campus: Campus, name: str, extract: Extract | None = None) -> dict[str, Any]:
    """What the hub reads of a stream, each record once, by its key."""
    source, stream = STREAMS[name]
    client, extract = make_client(campus, source), extract or Extract()
    try:
        records = [record for page in stream.read(client, extract) for record in page]
    finally:
        client.close()
    assert extract.stated
    by_key = {stream.key(record): record for record in records}
    assert len(by_key) == len(records)
    return unordered(by_key)


def truth(campus: Campus, name: str) -> dict[str, Any]:
    """What it must read."""
    return unordered(campus.truth(name))


def unordered(records: dict[str, Any]) -> dict[str, Any]:
    """The same records; the values of an attribute are a set (RFC 4511 4.1.7)."""
    return {
        key: {name: sorted(value) if isinstance(value, list) else value for name, value in record.items()}
        for key, record in records.items()
    }


@contextlib.contextmanager
def connected(campus: Campus, prefix: str, user: str | None = "", password: str = "", **options: Any) -> Iterator[Any]:
    """ldap3 over LDAPS, logged in as the hub, as somebody else, or not at all (None)."""
    told = {name.removeprefix(f"{prefix}_"): value for name, value in campus.environment.items()}
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=told["CA_FILE"])
    host = ldap3.Server(
        told["SERVER"], int(told["PORT"]), use_ssl=True, tls=tls, get_info=ldap3.NONE, connect_timeout=PATIENCE
    )
    name = told["USER"] if user == "" else user
    settings = {
        "raise_exceptions": True, "receive_timeout": PATIENCE, "auto_range": False, "return_empty_attributes": False,
        "auto_referrals": False, "auto_bind": True,
    }  # fmt: skip
    secret = None if user is None else password or told["PASSWORD"]
    connection = ldap3.Connection(host, name, secret, **(settings | options))
    try:
        yield connection
    finally:
        connection.unbind()


@pytest.fixture
def people(campus: Campus) -> Iterator[Any]:
    with connected(campus, "MCOMMUNITY_LDAP") as connection:
        yield connection


@pytest.fixture
def objects(campus: Campus) -> Iterator[Any]:
    with connected(campus, "AD") as connection:
        yield connection


def code(connection: Any) -> int:
    return int(connection.result["result"])


def some(campus: Campus, stream: str, attribute: str = "dn") -> tuple[str, dict[str, Any]]:
    """Key and record of one that has this attribute."""
    return next((key, record) for key, record in sorted(truth(campus, stream).items()) if record.get(attribute))


def names_below(campus: Campus, dn: str) -> set[str]:
    """The units and computers in a unit."""
    return {
        record["dn"]
        for stream in (UNITS, COMPUTERS)
        for record in truth(campus, stream).values()
        if record["dn"].endswith(f",{dn}")
    }
