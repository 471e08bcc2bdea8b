"""How directories are read, on the wire and into a hub: whole, by what changed, and by parts."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from lsats_dagster.clients.errors import PermanentSourceError, SourceError, TransientSourceError
from lsats_dagster.clients.ldap import LdapClient
from lsats_dagster.database import Database
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import Extract, ListStream, UnprovenReadError
from lsats_dagster.runs import Origin, Run
from lsats_dagster.sources import active_directory as ad
from lsats_dagster.sources import mcommunity
from lsats_dagster_tests.clients.ldap_wire import Server, Wire, done, entry, serving
from lsats_dagster_tests.clients.test_ldap_parts import Crowd
from lsats_dagster_tests.contracts.records_directories import COLLEGE, LABS, UNIVERSITY, WORKSTATIONS, guid
from lsats_dagster_tests.ingestion.memory import grow_older

NOW = datetime(2026, 1, 12, 8, 15, 30, tzinfo=UTC)
SINCE = re.compile(rb"whenChanged\x04.([0-9]{14}\.0Z)", re.DOTALL)


@dataclass
class Account:
    """What the directory has of an account: attributes beside the usual, when it changed, whether it is below the unit."""

    said: dict[str, str] = field(default_factory=dict)
    changed: datetime = NOW - timedelta(days=100)
    is_there: bool = True


class Forest:
    """A controller with a clock and accounts. code: how searches end."""

    def __init__(self) -> None:
        self.name, self.now, self.code = "localhost", NOW, 0
        self.accounts: dict[str, Account] = {}

    def __call__(self, request: bytes) -> Sequence[bytes] | Wire:
        if b"dnsHostName" in request:
            moment = f"{self.now:%Y%m%d%H%M%S}.0Z".encode()
            return [entry("", {"dnsHostName": [self.name.encode()], "currentTime": [moment]}), done()]
        found = SINCE.search(request)
        since = datetime.strptime(found[1].decode(), "%Y%m%d%H%M%S.0Z").replace(tzinfo=UTC) if found else None
        shown = [
            self.entry(key, account)
            for key, account in self.accounts.items()
            if account.is_there and (since is None or account.changed >= since)
        ]
        return [*shown, done(self.code, cookie=b"")]

    def entry(self, key: str, account: Account) -> bytes:
        said = {
            "objectGUID": UUID(key).bytes_le, "cn": b"x", "whenChanged": f"{account.changed:%Y%m%d%H%M%S}.0Z".encode(),
            **{name: value.encode() for name, value in account.said.items()},
        }  # fmt: skip
        return entry(f"CN={key},{UNIVERSITY}", {name: [value] for name, value in said.items()})

    def change(self, number: int, moment: datetime, **said: str) -> None:
        self.accounts[guid(number)] = Account(said, moment)


class Reads:
    """A hub that reads a stream from a server on the wire."""

    def __init__(self, hub: Database, stream: ListStream[Any], server: Server) -> None:
        self.hub, self.stream, self.server = hub, stream, server

    def run(self, **request: Any) -> Run:
        client = self.server.client()
        try:
            return ingest(
                self.hub, self.stream, client, request=ReadRequest(**request), origin=Origin(), batch_size=10,
                lock_wait_seconds=10,
            )  # fmt: skip
        finally:
            client.close()

    def log(self) -> list[tuple[str, str]]:
        """(number, change) of each version, in order."""
        with self.hub.transaction() as connection:
            rows = connection.execute(text("select external_id, change from bronze.raw_entities order by seq")).all()
        return [(key[-1], change) for key, change in rows]


@contextmanager
def reading(hub: Database, stream: ListStream[Any], folder: Path, script: Any) -> Iterator[Reads]:
    with serving(folder, script) as server:
        yield Reads(hub, stream, server)


@pytest.fixture
def forest() -> Forest:
    made = Forest()
    for number in range(1, 4):
        made.change(number, NOW - timedelta(days=number), displayName="Old")
    return made


@pytest.fixture
def accounts(hub: Database, forest: Forest, tmp_path: Path) -> Iterator[Reads]:
    """A hub that has read the accounts once, whole."""
    with reading(hub, ad.USERS, tmp_path, forest) as reads:
        assert reads.run().metadata["extract"]["state"] == "complete"
        yield reads


def asked_since(accounts: Reads) -> datetime | None:
    """Since when the last search asked for changes."""
    found = SINCE.search(accounts.server.searches[-1])
    return datetime.strptime(found[1].decode(), "%Y%m%d%H%M%S.0Z").replace(tzinfo=UTC) if found else None


def test_what_changed_is_read_by_the_clock_of_the_controller(accounts: Reads, forest: Forest) -> None:
    """From before the last read on: what another controller learned late has its own time there."""
    forest.now = NOW + timedelta(days=1)
    forest.change(1, NOW - timedelta(minutes=14), displayName="New")
    run = accounts.run()
    assert asked_since(accounts) == NOW - timedelta(minutes=15)
    extract = run.metadata["extract"]
    assert (extract["state"], extract.get("changes_since")) == ("partial", "2026-01-12T08:00:30+00:00")
    assert extract["controller"] == "localhost"
    assert accounts.log()[3:] == [("1", "changed")]
    accounts.run()
    assert asked_since(accounts) == NOW + timedelta(days=1, minutes=-15)


def test_what_changed_in_the_second_of_a_read_is_read_once_more(accounts: Reads, forest: Forest) -> None:
    """N8: repeats make no version, and both changes arrive."""
    border = NOW - timedelta(minutes=15)
    forest.change(1, border, displayName="First")
    accounts.run()
    forest.change(2, border, displayName="Second")
    for _ in range(3):
        forest.now = NOW
        accounts.run()
    assert accounts.log()[3:] == [("1", "changed"), ("2", "changed")]


def test_of_another_controller_everything_is_read(accounts: Reads, forest: Forest) -> None:
    """Its times are not those of the first; what only it has its own makes no version (A14)."""
    forest.name = "127.0.0.1"
    for account in forest.accounts.values():
        account.changed = NOW - timedelta(days=50)
        account.said |= {"uSNChanged": "7", "uSNCreated": "8", "lastLogon": "134126793300000000", "logonCount": "9"}
    run = accounts.run()
    assert (asked_since(accounts), run.metadata["extract"]["state"]) == (None, "complete")
    assert run.metadata["memory"]["controller"] == "127.0.0.1"
    assert len(accounts.log()) == 3


def test_of_a_controller_whose_clock_went_back_everything_is_read(accounts: Reads, forest: Forest) -> None:
    """What it has changed since has times from before the last read. Within the overlap these are asked for."""
    forest.now = NOW - timedelta(minutes=15)
    accounts.run()
    assert asked_since(accounts) == NOW - timedelta(minutes=15)
    forest.now = NOW - timedelta(hours=1)
    forest.change(1, forest.now, displayName="New")
    assert accounts.run().metadata["extract"]["state"] == "complete"
    assert accounts.log()[3:] == [("1", "changed")]
    accounts.run()
    assert asked_since(accounts) == NOW - timedelta(hours=1, minutes=15)


def test_everything_is_read_once_a_week(hub: Database, accounts: Reads, forest: Forest) -> None:
    """N9: who left the unit is still there after a window, gone after the next whole read, and the same when they return."""
    forest.accounts[guid(2)].is_there = False
    assert accounts.run().counts.removed == 0
    grow_older(hub, timedelta(days=6, hours=11))
    assert accounts.run().metadata["extract"]["state"] == "partial"
    grow_older(hub, timedelta(hours=2))
    assert accounts.run().counts.removed == 1
    forest.accounts[guid(2)] = Account({"displayName": "Old"}, forest.now)
    accounts.run()
    assert accounts.log()[3:] == [("2", "removed"), ("2", "returned")]


def test_a_person_may_ask_for_everything_or_since_a_moment(accounts: Reads) -> None:
    assert accounts.run(full=True).metadata["extract"]["state"] == "complete"
    assert asked_since(accounts) is None
    moment = datetime(2025, 12, 1, 7, tzinfo=datetime.strptime("-0500", "%z").tzinfo)
    run = accounts.run(since=moment)
    assert asked_since(accounts) == datetime(2025, 12, 1, 12, tzinfo=UTC)
    assert "memory" not in run.metadata


@pytest.mark.parametrize("code", [4, 51])
def test_a_read_that_was_cut_short_removes_nothing(accounts: Reads, forest: Forest, code: int) -> None:
    """And leaves the time of the last one as it was."""
    forest.accounts[guid(2)].is_there = False
    forest.now, forest.code = NOW + timedelta(days=1), code
    with pytest.raises((PermanentSourceError, TransientSourceError)):
        accounts.run(full=True)
    forest.code = 0
    accounts.run()
    assert asked_since(accounts) == NOW - timedelta(minutes=15)
    assert len(accounts.log()) == 3


def test_accounts_are_asked_for_without_computers(accounts: Reads) -> None:
    request = accounts.server.searches[-1]
    assert UNIVERSITY.encode() in request
    # Not: an equality match.
    assert b"\xa2" in request
    assert re.search(rb"\xa2.\xa3.\x04\x0bobjectClass\x04\x08computer", request, re.DOTALL)


@pytest.mark.parametrize(
    ("stream", "wanted", "bases"),
    [
        (ad.GROUPS, "group", [f"OU=Users and Groups,{COLLEGE}"]),
        (ad.UNITS, "organizationalUnit", [LABS, WORKSTATIONS]),
        (ad.COMPUTERS, "computer", [COLLEGE]),
    ],
    ids=lambda value: getattr(value, "table", ""),
)
def test_the_others_are_read_whole_each_time(
    hub: Database, forest: Forest, tmp_path: Path, stream: ListStream[Any], wanted: str, bases: list[str]
) -> None:
    with reading(hub, stream, tmp_path, forest) as reads:
        for _ in range(2):
            run = reads.run()
        forest.accounts[guid(1)].is_there = False
        assert reads.run().counts.removed == 1
        searches = reads.server.searches
    assert run.metadata["extract"]["state"] == "complete"
    assert run.metadata["extract"]["filter"] == f"(objectClass={wanted})"
    assert len(searches) == 3 * len(bases)
    for base, request in zip(bases * 3, searches, strict=True):
        assert base.encode() in request
        assert re.search(rb"\xa3.\x04\x0bobjectClass\x04." + wanted.encode(), request, re.DOTALL)


def test_a_read_that_another_controller_goes_on_with_proves_nothing(forest: Forest, tmp_path: Path) -> None:
    """The connection is lost within it: the engine begins the read anew."""
    lost = iter([False, True, False, False])

    def script(request: bytes) -> Sequence[bytes] | Wire:
        if next(lost, False):
            forest.name = "127.0.0.1"
            return lambda connection: connection.close()
        return forest(request)

    with serving(tmp_path, script) as server:
        client = server.client()
        with pytest.raises((UnprovenReadError, SourceError), match="another controller") as caught:
            list(ad.read_accounts(client, Extract()))
        client.close()
    assert caught.type is UnprovenReadError


@pytest.mark.parametrize("stream", [mcommunity.USERS], ids=["people"])
def test_people_are_read_by_parts_that_are_the_plan_of_the_next_read(
    hub: Database, tmp_path: Path, stream: ListStream[Any]
) -> None:
    """A12: more people than the directory gives in one search, in no order; the next read begins with what fits."""
    crowd = Crowd([*range(1, 91), None])
    with reading(hub, stream, tmp_path, crowd) as reads:
        run = reads.run()
        first = len(reads.server.searches)
        assert (run.counts.created, run.metadata["extract"]["state"]) == (90, "complete")
        assert run.metadata["extract"]["without_uidNumber"] == 1
        crowd.people = [person for person in crowd.people if person[1] != 7]
        again = reads.run()
        second = len(reads.server.searches) - first
    assert (again.counts.removed, again.counts.skipped) == (1, 89)
    assert second < first / 2
    assert again.metadata["extract"]["base"] == "ou=People,dc=umich,dc=edu"


def test_a_read_of_people_that_died_goes_on_behind_its_parts(hub: Database, tmp_path: Path) -> None:
    crowd = Crowd(range(1, 91))
    with reading(hub, mcommunity.USERS, tmp_path, crowd) as reads:
        reads.run()
        whole = len(reads.server.searches)
        begun = crowd.searches
        crowd.lost = set(range(begun + 6, begun + 60))
        with pytest.raises(TransientSourceError):
            reads.run()
        crowd.lost = set()
        before = len(reads.server.searches)
        run = reads.run()
        assert (run.metadata["extract"]["state"], run.counts.removed) == ("complete", 0)
        assert len(reads.server.searches) - before < whole / 2
    assert run.metadata["extract"]["records"] < 90


def test_groups_without_members_are_asked_for_too(tmp_path: Path) -> None:
    """MG-8: who asks for groups with members does not see that one lost its last."""
    with serving(tmp_path, lambda request: [done()]) as server:
        client: LdapClient = server.client()
        parts = list(mcommunity.GROUPS.read(client, Extract()))
        client.close()
        searches = server.searches
    assert not any(b"(member" in request or b"\x87\x06member" in request for request in searches)
    assert all(b"ou=User Groups,ou=Groups,dc=umich,dc=edu" in request for request in searches)
    assert sum(map(len, parts)) == 0
