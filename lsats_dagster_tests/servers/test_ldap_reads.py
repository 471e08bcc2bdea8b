"""Our client reads OpenLDAP's slapd whole, under a limit that holds for all pages of a search as MCommunity's does.

Ranges of values (`member;range=`) do not occur in OpenLDAP; the tests of the client have them.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import trustme

from lsats_dagster.clients.errors import LoginRefusedError, PartialFetchError, PermanentSourceError
from lsats_dagster.clients.ldap import OUTSIDE, LdapClient
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster_tests.servers.conftest import PEOPLE_COUNT, ClientFactory
from lsats_dagster_tests.servers.slapd import EVERYTHING, LIMIT, PEOPLE, Directory, Slapd, running

ASKED = Attributes(
    ("uid", "uidNumber", "umichTitle", "objectGUID", "umichExpiryTimestamp", "umichPrivate"),
    ("cn", "sn", "ou", "objectClass"),
)
PERSONS = "(uid=p*)"


def paged(client: LdapClient) -> list[list[Any]]:
    return list(client.pages(PEOPLE, PERSONS, ASKED))


def parts(client: LdapClient, by: str = "uidNumber", asked: Attributes = ASKED, **known: Any) -> dict[str, list[Any]]:
    return dict(client.parts(PEOPLE, PERSONS, asked, by, **known))


def texts(records: list[Any]) -> list[str]:
    """Records in an order of their own."""
    return sorted(json.dumps(record, sort_keys=True) for record in records)


def test_a_paged_read_brings_everybody_once(people: Slapd, client: ClientFactory) -> None:
    reader = client(people, user=EVERYTHING, page_size=300)
    pages = paged(reader)
    assert [len(page) for page in pages] == [300] * 6 + [200]
    assert len({record["uidNumber"] for page in pages for record in page}) == PEOPLE_COUNT
    assert reader.evidence()["pages"] == reader.evidence()["searches"] == 7


def test_the_limit_ends_a_paged_read_and_it_does_not_pass_for_whole(people: Slapd, client: ClientFactory) -> None:
    for page_size in (100, 1000):
        reader = client(people, page_size=page_size)
        with pytest.raises(PermanentSourceError, match="at its size limit: it must be read by parts"):
            paged(reader)
        assert reader.evidence()["entries"] < LIMIT


def test_parts_bring_everybody_once_and_the_plan_saves_most_searches(people: Slapd, client: ClientFactory) -> None:
    first, second = client(people), client(people)
    found = parts(first)
    assert texts([record for part in found.values() for record in part]) == texts(
        [record for page in paged(client(people, user=EVERYTHING)) for record in page]
    )
    assert max(len(part) for part in found.values()) <= LIMIT
    assert first.evidence()["searches"] == 3 * len(found)
    again = parts(second, plan=list(found))
    assert {name: texts(part) for name, part in again.items()} == {name: texts(part) for name, part in found.items()}
    assert second.evidence()["searches"] == len(found) + 3
    assert int(second.evidence()["searches"]) * 2 <= int(first.evidence()["searches"])


def test_a_read_that_died_goes_on_behind_its_parts(people: Slapd, client: ClientFactory) -> None:
    reading = client(people).parts(PEOPLE, PERSONS, ASKED, "uidNumber")
    finished = dict(next(reading) for _ in range(4))
    reading.close()
    rest = parts(client(people), finished=list(finished))
    assert not rest.keys() & finished.keys()
    numbers = [record["uidNumber"] for part in (finished | rest).values() for record in part]
    assert (len(numbers), len(set(numbers))) == (PEOPLE_COUNT, PEOPLE_COUNT)


def test_who_has_no_number_is_counted(people: Slapd, client: ClientFactory) -> None:
    reader = client(people)
    found = dict(reader.parts(PEOPLE, "(uid=*)", ASKED, "uidNumber"))
    assert (sum(map(len, found.values())), reader.evidence()["without_uidNumber"]) == (PEOPLE_COUNT, 2)


def test_values_are_decoded_by_our_table(tmp_path: Path, authority: trustme.CA, client: ClientFactory) -> None:
    directory = Directory()
    directory.add(
        "p1",
        1284467,
        cn=["Zoë Ünal", "Z Ünal"],
        objectGUID=[bytes.fromhex("00112233445566778899aabbccddeeff")],
        umichExpiryTimestamp=["20260212230252-0500"],
        umichPrivate=["TRUE"],
    )
    directory.add("p2", -2)
    with running(tmp_path, authority, directory) as server:
        reader = client(server)
        [(person, other)] = paged(reader)
        found = parts(reader)
    assert person | {"cn": sorted(person["cn"]), "objectClass": sorted(person["objectClass"])} == {
        "dn": f"uid=p1,{PEOPLE}",
        "uid": "p1",
        "uidNumber": 1284467,
        "objectGUID": "33221100-5544-7766-8899-aabbccddeeff",
        "umichExpiryTimestamp": "2026-02-13T04:02:52Z",
        "umichPrivate": True,
        "cn": ["Z Ünal", "Zoë Ünal"],
        "sn": ["Smith"],
        "objectClass": ["inetOrgPerson", "umichPerson"],
    }
    assert found == {f"0-{2**31 - 1}": [person], OUTSIDE: [other]}


def test_a_number_without_order_or_in_the_order_of_texts_is_no_way_to_read(
    tmp_path: Path, authority: trustme.CA, client: ClientFactory
) -> None:
    directory = Directory()
    for number in (9, 15, 22, 300):
        directory.add(f"p{number}", number, roomName=[str(number)])
    with running(tmp_path, authority, directory) as server:
        for by in ("badgeNumber", "roomName"):
            with pytest.raises(PartialFetchError, match=f"by intervals of {by}: has it an order of numbers"):
                parts(client(server), by, Attributes(("uid", by)))
        assert sum(map(len, parts(client(server)).values())) == 4


def test_a_wrong_password_is_refused_once_and_quoted_nowhere(people: Slapd, client: ClientFactory) -> None:
    reader = client(people, password="wrong password")
    said = []
    for _ in range(2):
        with pytest.raises(LoginRefusedError) as caught:
            paged(reader)
        said.append(str(caught.value))
    assert said == ["The directory refused the login (code 49 (invalidCredentials)): look at its user and password"] * 2
    assert reader.evidence()["retries"] == 0


def test_a_server_whose_authority_is_not_ours_is_not_trusted(
    people: Slapd, client: ClientFactory, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    with pytest.raises(PermanentSourceError, match="no authority that is trusted here has signed it"):
        paged(client(people, ca_file=other))


def test_no_server_of_openldap_is_a_controller(people: Slapd, client: ClientFactory) -> None:
    reader = client(people)
    with pytest.raises(PermanentSourceError, match="does not tell its name and time"):
        reader.controller()
    assert reader.probe().clock_difference is None
