"""The gate before Dagster's webserver, attacked with real requests: what is refused changes nothing."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode

import dagster as dg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.automation.aids import PATIENCE, wait_until
from lsats_dagster_tests.cli.aids import environment, free_port

PREFIX = "/the-secret-part"
PUBLIC = "hub.example.org"
CHANGE = 'mutation { setConcurrencyLimit(concurrencyKey: "attacked", limit: 1) }'
CHANGE_AS_JSON = json.dumps({"query": CHANGE})
READ = "{ version }"
REPORT = "/report_asset_materialization/attacked"
JSON = ("Content-Type", "application/json")

Headers = list[tuple[str, str]]


class Answer(NamedTuple):
    status: int
    headers: Message
    text: str


@dataclass
class Ui:
    """A webserver behind the gate, and what it wrote into its storage."""

    port: int
    instance: dg.DagsterInstance

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def own(self) -> Headers:
        """How the UI's own pages ask."""
        return [("Host", self.host), ("Origin", f"http://{self.host}")]

    def ask(self, method: str, path: str, headers: Headers, body: str = "", prefix: str = PREFIX) -> Answer:
        """Exactly this request, headers that come twice included."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.putrequest(method, prefix + path, skip_host=True, skip_accept_encoding=True)
        for name, value in [*headers, ("Content-Length", str(len(body))), ("Connection", "close")]:
            connection.putheader(name, value)
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())

    def changed(self) -> bool:
        """Whether anything that the attacks ask for has happened since the last look."""
        storage = self.instance.event_log_storage
        found = {*storage.get_concurrency_keys()}, {*self.instance.get_asset_keys()}
        for key in found[0]:
            storage.delete_concurrency_limit(key)
        self.instance.wipe_assets(list(found[1]))
        return any(found)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("gate")
    home, port = folder / "dagster", free_port()
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    # The code beside this test, whatever is installed.
    given = environment(folder, DAGSTER_HOME=str(home), DAGSTER_UI_URL=f"https://{PUBLIC}", PYTHONPATH=str(REPOSITORY))
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "lsats_dagster.cli.gate", "-p", str(port), "--empty-workspace"],
            cwd=folder, env={**given, "DAGSTER_WEBSERVER_PATH_PREFIX": PREFIX}, stdout=said, stderr=said,
        )  # fmt: skip
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            running = Ui(port, instance)

            def answers() -> bool:
                assert process.poll() is None, (folder / "said").read_text()
                with suppress(OSError):
                    return running.ask("GET", "/server_info", running.own).status == 200
                return False

            wait_until(answers, "an answer of the webserver")
            yield running
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def changed_by(*changes: tuple[str, str | None]) -> Any:
    """The UI's own headers, with these in the place of those of the same name; None takes one away."""

    def headers(ui: Ui) -> Headers:
        given = {name.lower() for name, _ in changes}
        kept = [(name, value) for name, value in [*ui.own, JSON] if name.lower() not in given]
        return kept + [(name, value.format(port=ui.port)) for name, value in changes if value is not None]

    return headers


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}"),
        ("LOCALHOST", "http://localhost"),
        (PUBLIC, f"https://{PUBLIC}"),
    ],
)
def test_its_own_pages_read_and_change(ui: Ui, host: str, origin: str) -> None:
    """What every attack below differs from in one point."""
    headers = changed_by(("Host", host), ("Origin", origin))(ui)
    assert "version" in ui.ask("POST", "/graphql", headers, json.dumps({"query": READ})).text
    for path, body in (("/graphql", CHANGE_AS_JSON), (REPORT, "{}")):
        assert ui.ask("POST", path, headers, body).status == 200
        assert ui.changed()


@pytest.mark.parametrize(
    ("path", "status"),
    [("", 307), ("/", 200), ("/runs", 200), ("/favicon.svg", 200), ("/logs/none/out", 404), ("/notebook", 200)],
)
def test_pages_and_downloads_open(ui: Ui, path: str, status: int) -> None:
    """As a browser asks for what somebody opened: without Origin."""
    assert ui.ask("GET", path, [("Host", ui.host)]).status == status


ADDRESSES = {
    "another site": changed_by(("Origin", "https://attacker.example")),
    "an opaque origin": changed_by(("Origin", "null")),
    "no origin": changed_by(("Origin", None)),
    "two origins": changed_by(("Origin", "http://127.0.0.1:{port}"), ("Origin", "https://attacker.example")),
    "another port of the host": changed_by(("Origin", "http://127.0.0.1:1")),
    "another name of the host": changed_by(("Origin", "http://localhost:{port}")),
    "another scheme": changed_by(("Origin", "https://127.0.0.1:{port}")),
    "a name that begins alike": changed_by(("Origin", "http://127.0.0.1:{port}.attacker.example")),
    "a rebound name": changed_by(("Host", "attacker.example:{port}"), ("Origin", "http://attacker.example:{port}")),
    "a rebound name that begins alike": changed_by(
        ("Host", "127.0.0.1.attacker.example"), ("Origin", "http://127.0.0.1.attacker.example")
    ),
    "the public name without TLS": changed_by(("Host", PUBLIC), ("Origin", f"http://{PUBLIC}")),
    "the public name from loopback": changed_by(("Host", PUBLIC)),
}
KINDS = {
    "text": changed_by(("Content-Type", "text/plain")),
    "text that mentions JSON": changed_by(("Content-Type", "text/plain; application/json")),
    "a form": changed_by(("Content-Type", "application/x-www-form-urlencoded")),
    "a form with files": changed_by(("Content-Type", "multipart/form-data; boundary=application/json")),
    "GraphQL": changed_by(("Content-Type", "application/graphql")),
    "no kind": changed_by(("Content-Type", None)),
    "two kinds": changed_by(("Content-Type", "application/json"), ("Content-Type", "text/plain")),
}


@pytest.mark.parametrize("attack", [*ADDRESSES, *KINDS])
def test_a_change_is_taken_from_its_own_pages_as_json_only(ui: Ui, attack: str) -> None:
    headers = {**ADDRESSES, **KINDS}[attack](ui)
    for path, body in (
        ("/graphql", CHANGE_AS_JSON),
        ("/graphql", CHANGE),
        (f"/graphql?{urlencode({'query': CHANGE})}", ""),
        (REPORT, "{}"),
        (REPORT, ""),
    ):
        assert (path, ui.ask("POST", path, headers, body).status) == (path, 403)
    assert not ui.changed()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/graphql", "/graphql%0a", "/%67raphql", "/graphql/"])
def test_a_change_is_taken_as_post_only(ui: Ui, method: str, path: str) -> None:
    asked = f"{path}?{urlencode({'query': CHANGE})}"
    for headers in (ui.own, [*ui.own, JSON], [("Host", ui.host)], [("Host", ui.host), ("Accept", "text/html")]):
        assert ui.ask(method, asked, headers, CHANGE_AS_JSON).status == 403
    assert not ui.changed()


def test_several_operations_at_once_change_nothing(ui: Ui) -> None:
    """The server takes one operation; a list of them is an error of its own."""
    ui.ask("POST", "/graphql", [*ui.own, JSON], json.dumps([{"query": CHANGE}, {"query": CHANGE}]))
    assert not ui.changed()


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["attacker.example:3000"],
        ["127.0.0.1.attacker.example"],
        ["attacker.example/@127.0.0.1"],
        [PUBLIC, "a"],
    ],
)
def test_a_rebound_name_reads_nothing(ui: Ui, hosts: list[str]) -> None:
    for path in ("/", "/server_info", "/favicon.ico"):
        assert ui.ask("GET", path, [("Host", host) for host in hosts]).status in (400, 403)


@pytest.mark.parametrize("prefix", ["", "/", PREFIX[:-1], f"{PREFIX}t", PREFIX.upper(), f"/{PREFIX}", "/%C3%BC"])
def test_another_account_does_not_get_in_without_the_secret_part(ui: Ui, prefix: str) -> None:
    for path in ("", "/", "/server_info"):
        answer = ui.ask("GET", path or "/", ui.own, prefix=prefix)
        assert (answer.status, answer.headers["Location"]) == (403, None)
    assert ui.ask("POST", "/graphql", [*ui.own, JSON], CHANGE_AS_JSON, prefix=prefix).status == 403
    assert not ui.changed()


@pytest.mark.parametrize(("path", "policies"), [("/", 2), ("/server_info", 1), ("/graphql", 1)])
def test_no_answer_can_be_framed(ui: Ui, path: str, policies: int) -> None:
    """Beside the policy that the webserver gives its page."""
    answer = ui.ask("GET", path, ui.own)
    given = answer.headers.get_all("Content-Security-Policy")
    assert len(given) == policies
    assert "frame-ancestors 'none'" in given
    assert answer.headers.get_all("X-Frame-Options") == ["DENY"]


def open_socket(ui: Ui, headers: Headers, prefix: str = PREFIX) -> Any:
    """A websocket as the UI opens it, with these Host and Origin."""
    given = dict(headers)
    address = f"ws://{given['Host']}{prefix}/graphql"
    wire = socket.create_connection(("127.0.0.1", ui.port), timeout=PATIENCE)
    return connect(address, sock=wire, origin=given.get("Origin"), subprotocols=["graphql-ws"], proxy=None)  # type: ignore[arg-type,list-item]


def start(ui: Ui, query: str) -> Any:
    """The first answer to an operation over the websocket."""
    with open_socket(ui, ui.own) as opened:
        opened.send(json.dumps({"type": "connection_init"}))
        assert json.loads(opened.recv())["type"] == "connection_ack"
        opened.send(json.dumps({"id": "1", "type": "start", "payload": {"query": query}}))
        try:
            return json.loads(opened.recv())
        except ConnectionClosed as closed:
            return {"type": f"closed: {closed}"}


def test_a_websocket_takes_subscriptions_and_no_changes(ui: Ui) -> None:
    subscription = 'subscription { pipelineRunLogs(runId: "none") { __typename } }'
    assert start(ui, subscription)["type"] == "data"
    assert start(ui, CHANGE)["type"] != "data"
    assert start(ui, f"{subscription} {CHANGE}")["type"] != "data"
    assert not ui.changed()


@pytest.mark.parametrize("address", [name for name in ADDRESSES if name != "two origins"])
def test_a_websocket_is_opened_by_its_own_pages_only(ui: Ui, address: str) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(ui, ADDRESSES[address](ui)):
        pass
    assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus), open_socket(ui, ui.own, prefix=""):
        pass
