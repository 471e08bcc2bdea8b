"""The gateway: its token, and pages that must prove that nothing was missed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsats_dagster.clients.errors import (
    PartialFetchError,
    PermanentSourceError,
    TransientSourceError,
    UnreadableAnswerError,
    UnreadableRecordError,
)
from lsats_dagster.clients.http import DEFAULT_CEILINGS, Ceilings
from lsats_dagster.clients.json_stream import DEEPEST
from lsats_dagster.clients.umich_api import UmichApiClient
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster_tests.clients.aids import PATIENT, Reply, Request, Script, Server, VirtualClock, serving

DATA = "/bf/Department/v2/DeptData"


class Gateway:
    """A gateway with these rows that gives at most `cap` of them a page."""

    def __init__(self, rows: list[object], *, cap: int = 1000, lifetime: object = 3600) -> None:
        self.rows, self.cap, self.lifetime = rows, cap, lifetime
        self.clock = VirtualClock()
        self.tokens = 0
        self.single_as_object = False
        self.pages: list[tuple[int, int]] = []
        self.data: dict[int, Reply] = {}  # answers of the n-th page instead of the rows
        self.rotations: dict[int, int] = {}  # rows by which the list has moved before the n-th page

    def __call__(self, request: Request) -> Reply:
        if request.path == "/um/oauth2/token":
            form = parse_qs(request.body.decode())
            wanted = {
                "grant_type": ["client_credentials"],
                "client_id": ["key-value"],
                "scope": ["department"],
            }
            if form != wanted | {"client_secret": ["secret-value"]}:
                return Reply(401, b'{"error": "invalid_client"}')
            self.tokens += 1
            token = {"access_token": f"t{self.tokens}", "expires_in": self.lifetime, "token_type": "Bearer"}
            return Reply(200, json.dumps(token).encode())
        if request.headers.get("Authorization") != f"Bearer t{self.tokens}":
            return Reply(401)
        assert request.path == DATA
        start, count = int(request.query["$start_index"]), int(request.query["$count"])
        number = len(self.pages)
        self.pages.append((start, count))
        if number in self.data:
            return self.data.pop(number)
        moved = self.rotations.get(number, 0)
        rows = self.rows[moved:] + self.rows[:moved]
        found: object = rows[start : start + min(count, self.cap)]
        if self.single_as_object and isinstance(found, list) and len(found) == 1:
            found = found[0]
        return Reply(200, json.dumps({"DepartmentList": {"DeptData": found}}).encode())


def departments(count: int) -> list[object]:
    return [{"DeptId": f"{100000 + number}", "DeptDescription": "Example"} for number in range(count)]


@contextmanager
def client_of(
    gateway: Script,
    clock: VirtualClock,
    *,
    secret: str = "secret-value",
    page_size: int = 1000,
    rate: int = 200,
    ceilings: Ceilings = DEFAULT_CEILINGS,
) -> Iterator[tuple[UmichApiClient, Server]]:
    with serving(gateway, now=clock.now) as server:
        client = UmichApiClient(
            base_url=server.url,
            token_url=server.url + "/um/oauth2/token",
            category_id="bf",
            client_key="key-value",
            client_secret=secret,
            window=LocalCallWindow(clock),
            calls_per_minute=rate,
            page_size=page_size,
            timeouts=PATIENT,
            ceilings=ceilings,
            clock=clock,
        )
        try:
            yield client, server
        finally:
            client.close()


def read(gateway: Gateway, *, page_size: int = 1000) -> list[object]:
    with client_of(gateway, gateway.clock, page_size=page_size) as (client, _):
        return [row for page in client.departments() for row in page]


@given(st.integers(0, 13), st.integers(2, 6), st.integers(2, 6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_all_rows_come_once_whatever_the_pages_are(count: int, asked: int, cap: int, as_object: bool) -> None:
    gateway = Gateway(departments(count), cap=cap)
    gateway.single_as_object = as_object
    assert read(gateway, page_size=asked) == gateway.rows
    largest = min(asked, cap)
    assert len(gateway.pages) <= max(0, count - 2) // (largest - 1) + 3


def test_pages_overlap_by_a_row_and_the_end_is_confirmed() -> None:
    gateway = Gateway(departments(10), cap=4)
    with client_of(gateway, gateway.clock, page_size=5) as (client, _):
        assert [len(page) for page in client.departments()] == [4, 3, 3]
        assert gateway.pages == [(0, 5), (3, 5), (6, 5), (9, 5)]
        assert client.evidence()["pages"] == 4
        assert client.evidence()["rows"] == 10


def test_a_gateway_that_gives_single_rows_does_not_look_like_the_end() -> None:
    with pytest.raises(PartialFetchError, match="single rows"):
        read(Gateway(departments(3), cap=1))
    assert read(Gateway(departments(1), cap=1)) == departments(1)


@pytest.mark.parametrize("envelope", ["{}", '{"DeptData": null}', '{"DeptData": []}'])
def test_an_empty_envelope_is_an_empty_list(envelope: str) -> None:
    gateway = Gateway([])
    gateway.data[0] = Reply(200, b'{"DepartmentList": %s}' % envelope.encode())
    assert read(gateway) == []


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        "{}",
        '{"DepartmentList": null}',
        '{"DepartmentList": []}',
        '{"DepartmentList": {"DeptData": "x"}}',
    ],
)
def test_a_missing_envelope_is_not_the_end(body: str) -> None:
    gateway = Gateway(departments(9), cap=3)
    gateway.data = {number: Reply(200, body.encode()) for number in range(1, 9)}
    with pytest.raises(UnreadableAnswerError):
        read(gateway)


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_page_that_fails_is_not_the_end(page: int) -> None:
    gateway = Gateway(departments(9), cap=3)
    gateway.data = dict.fromkeys(range(page, 20), Reply(503))
    with pytest.raises(TransientSourceError, match=f"GET {DATA}: HTTP 503"):
        read(gateway)
    gateway = Gateway(departments(9), cap=3)
    gateway.data = {page: Reply(503)}
    assert read(gateway) == gateway.rows


@pytest.mark.parametrize("page", [1, 2, 3, 4])
def test_an_empty_page_in_between_is_not_the_end(page: int) -> None:
    gateway = Gateway(departments(9), cap=3)
    gateway.data = {page: Reply(200, b'{"DepartmentList": {"DeptData": []}}')}
    with pytest.raises(PartialFetchError, match="pages moved while they were read"):
        read(gateway)
    assert len(gateway.pages) == page + 1


@given(st.integers(4, 14), st.integers(1, 12), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_rows_that_move_between_pages_are_noticed(count: int, moved: int, page: int) -> None:
    gateway = Gateway(departments(count), cap=4)
    gateway.rotations = dict.fromkeys(range(page, 20), moved % count)
    pages_without_moving = (count - 2) // 3 + 2
    if page >= pages_without_moving or moved % count == 0:
        assert read(gateway) == gateway.rows
    else:
        with pytest.raises(PartialFetchError, match="pages moved"):
            read(gateway)


def doubled_departments() -> list[object]:
    rows = departments(9)
    return [*rows[:7], {"DeptId": "100002", "DeptDescription": "Other"}, *rows[7:], rows[4], rows[4], {"DeptId": 5}]


@pytest.mark.parametrize("cap", [2, 3, 4, 100])
def test_keys_that_the_gateway_really_has_twice_are_read(cap: int) -> None:
    gateway = Gateway(doubled_departments(), cap=cap)
    with client_of(gateway, gateway.clock) as (client, _):
        assert [row for page in client.departments() for row in page] == gateway.rows
        assert client.evidence()["doubled_keys"] == 2
        assert client.evidence()["rows"] == len(gateway.rows)
    half = len(gateway.pages) // 2
    assert gateway.pages[:half] == gateway.pages[half:]  # asked once more, and given once


def test_without_a_doubled_key_the_list_is_walked_once() -> None:
    gateway = Gateway(departments(9), cap=4)
    with client_of(gateway, gateway.clock) as (client, _):
        assert sum(len(page) for page in client.departments()) == 9
        assert client.evidence()["doubled_keys"] == 0
    assert gateway.pages == [(0, 1000), (3, 1000), (6, 1000), (8, 1000)]


def test_keys_doubled_by_rows_that_moved_are_noticed_though_the_overlap_holds() -> None:
    """Row 3 is where pages meet; a row of the first page has moved behind it and another one has gone before it."""
    gateway = Gateway(doubled_departments(), cap=4)
    before, after = list(gateway.rows), list(gateway.rows)
    after[1], after[5] = before[5], before[1]
    with client_of(gateway, gateway.clock) as (client, _):
        pages = client.departments()
        found = list(next(pages))
        gateway.rows = after
        with pytest.raises(PartialFetchError, match="pages moved"):
            found.extend(row for page in pages for row in page)
    assert before[5] not in found
    assert found.count(before[1]) == 2


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_other_sequence_in_the_second_walk_makes_the_read_partial(data: st.DataObject) -> None:
    gateway = Gateway(doubled_departments(), cap=100)
    place = data.draw(st.integers(0, len(gateway.rows) - 1))
    with client_of(gateway, gateway.clock) as (client, _):
        pages = client.departments()
        next(pages)
        gateway.rows[place] = {"DeptId": "100099"}
        with pytest.raises(PartialFetchError, match="pages moved"):
            list(pages)


def test_a_bad_row_is_handed_on_in_its_place_also_where_pages_meet() -> None:
    bad = '{"DeptId": "7", "DeptId": "8"}'
    gateway = Gateway([])
    for number, rows in enumerate(('{"DeptId": "1"}, %s', '%s, {"DeptId": "2"}', '{"DeptId": "2"}')):
        body = '{"DepartmentList": {"DeptData": [%s]}}' % (rows % bad if "%s" in rows else rows)
        gateway.data[number] = Reply(200, body.encode())
    one, row, two = read(gateway)
    assert (one, two) == ({"DeptId": "1"}, {"DeptId": "2"})
    assert isinstance(row, UnreadableRecordError)
    assert row.text == bad


def test_another_bad_row_where_pages_meet_is_a_moved_page() -> None:
    bad = '{"DeptId": "%d", "DeptId": "8"}'
    gateway = Gateway([])
    pages = ['{"DeptId": "1"}', bad % 7], [bad % 9, '{"DeptId": "2"}'], ['{"DeptId": "2"}']
    for number, rows in enumerate(pages):
        body = '{"DepartmentList": {"DeptData": [' + ", ".join(rows) + "]}}"
        gateway.data[number] = Reply(200, body.encode())
    with pytest.raises(PartialFetchError, match="moved"):
        read(gateway)


@pytest.mark.parametrize(
    ("ceilings", "kind", "problem"),
    [
        (Ceilings(list_bytes=10), PermanentSourceError, "HTTP_LIST_MEGABYTES"),
        (Ceilings(login_bytes=10), UnreadableAnswerError, "without a token"),
    ],
)
def test_pages_probes_and_logins_have_their_ceilings(ceilings: Ceilings, kind: type[Exception], problem: str) -> None:
    gateway = Gateway(departments(3))
    with client_of(gateway, gateway.clock, ceilings=ceilings) as (client, _):
        for read_it in (lambda: list(client.departments()), client.probe):
            with pytest.raises(kind, match=problem):
                read_it()


def test_rubbish_rows_are_given_as_received_also_where_pages_meet() -> None:
    rows: list[object] = [
        None,
        {"DeptId": "1", "X": "NaN"},
        3,
        {"DeptId": ["1"]},
        {"DeptId": None},
        {},
        "text",
        {"DeptId": " "},
    ]
    deep: object = 1
    for _ in range(DEEPEST - 1):  # the brackets of its row are one more
        deep = [deep]
    rows.append({"DeptId": "2", "X": deep})
    for cap in range(2, 10):
        assert json.dumps(read(Gateway(rows, cap=cap))) == json.dumps(rows)


def test_a_token_that_ends_between_pages_is_renewed_and_no_row_is_lost() -> None:
    gateway = Gateway(departments(9), cap=3)
    with client_of(gateway, gateway.clock) as (client, _):
        found = []
        for page in client.departments():
            found += page
            gateway.tokens += 1  # what was given so far is not accepted any more
        assert found == gateway.rows
        assert client.evidence()["renewals"] == 4
    gateway = Gateway(departments(9), cap=3, lifetime="100")
    with client_of(gateway, gateway.clock) as (client, _):
        for _ in client.departments():
            gateway.clock.sleep_until(gateway.clock.now() + 60)
        assert client.evidence()["renewals"] == 0
    assert gateway.tokens == 5


@pytest.mark.parametrize("lifetime", [None, "soon", -1, [], True])
def test_an_unreadable_lifetime_does_not_matter(lifetime: object) -> None:
    assert read(Gateway(departments(3), lifetime=lifetime)) == departments(3)


def test_wrong_credentials_name_the_settings_and_no_value() -> None:
    gateway = Gateway([])
    with client_of(gateway, gateway.clock, secret="wrong-value") as (client, server):
        for _ in range(2):
            with pytest.raises(PermanentSourceError, match="UM_CLIENT_KEY and UM_CLIENT_SECRET") as caught:
                list(client.departments())
            assert "-value" not in str(caught.value)
        assert len(server.requests) == 1
        assert "-value" not in repr(client)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"access_token": 5}',
        b'{"access_token": "a b"}',
        b'{"access_token": ""}',
        b'{"access_token": "a", "access_token": "b"}',
        b"x",
    ],
)
def test_a_login_answer_without_a_token_is_unreadable(body: bytes) -> None:
    with (
        client_of(lambda request: Reply(200, body), VirtualClock()) as (client, _),
        pytest.raises(UnreadableAnswerError, match="POST /um/oauth2/token"),
    ):
        list(client.departments())


def test_our_own_rate_holds_for_pages_and_logins_together() -> None:
    gateway = Gateway(departments(20), cap=3)
    with client_of(gateway, gateway.clock, rate=4) as (client, server):
        began = gateway.clock.now()
        assert sum(len(page) for page in client.departments()) == 20
        assert len(server.requests) == 12
        assert gateway.clock.now() - began == 2 * 61
        assert client.evidence()["waited_seconds"] == 2 * 61


def test_our_own_rate_holds_where_the_gateway_grants_more() -> None:
    gateway = Gateway(departments(20), cap=3)
    began = gateway.clock.now()

    def script(request: Request) -> Reply:
        headers = {
            "X-RateLimit-Limit": "200",
            "X-RateLimit-Remaining": "199",
            "X-RateLimit-Reset": "1",  # a burst limit: our minute must not become its second
        }
        reply = gateway(request)
        return Reply(reply.status, reply.body, headers)

    with client_of(script, gateway.clock, rate=4) as (client, _):
        assert sum(len(page) for page in client.departments()) == 20
    assert gateway.clock.now() - began == 2 * 61


@pytest.mark.parametrize("category", ["", "bf/x", "..", "b f"])
def test_the_category_is_one_path_segment(category: str) -> None:
    with pytest.raises(PermanentSourceError, match="UM_CATEGORY_ID"):
        UmichApiClient(
            base_url="https://example.org",
            token_url="https://example.org/t",
            category_id=category,
            client_key="",
            client_secret="",
            window=LocalCallWindow(),
        )
