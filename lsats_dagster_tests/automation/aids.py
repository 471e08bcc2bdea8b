"""A hub of three streams under operation: jobs and sensors on a Dagster instance, catchers for what it sends to people."""

import json
import logging
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
from sqlalchemy import text

from lsats_dagster.database import Database
from lsats_dagster.demo.campus import Campus
from lsats_dagster.resources import HubDatabase
from lsats_dagster_tests.hubs import few_definitions

# Seconds; only a hub that hangs waits so long.
PATIENCE = 600.0


@dataclass
class Operation:
    """A Dagster instance, a hub database and a campus, wired by environment variables as in production."""

    instance: dg.DagsterInstance
    campus: Campus
    url: str
    definitions: dg.Definitions = field(default_factory=few_definitions)

    def run(
        self,
        job: str,
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        assets: Sequence[dg.AssetKey] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """One run of a job, as it is deployed; `config` is its whole run config, `assets` what is asked of it."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            run_config=config,
            tags=dict(tags or {}),
            asset_selection=assets,
            raise_on_error=False,
        )

    def materialize(self, *keys: str) -> dg.ExecuteInProcessResult:
        """One run of these assets (`layer/table`)."""
        return self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey.from_user_string(key) for key in keys],
            raise_on_error=False,
        )

    def tick(self, sensor: str, cursor: str | None = None) -> "Tick":
        """One tick of a sensor, as the daemon evaluates it."""
        said: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
        resources = {"hub": HubDatabase()}
        with dg.build_sensor_context(instance=self.instance, cursor=cursor, resources=resources) as context:
            context.log.setLevel(logging.INFO)
            context.log.addHandler(handler)
            result = self.definitions.resolve_sensor_def(sensor).evaluate_tick(context)
        runs = [reaction.dagster_run.run_id for reaction in result.dagster_run_reactions or []]
        return Tick(said[-1] if said else str(result.skip_message), result.cursor, runs, result.skip_message)

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Rows, or nothing, of a statement run with the rights of the server's superuser."""
        owner = Database(self.url, role=None)
        try:
            with owner.transaction() as connection:
                result = connection.execute(text(statement), values)
                return list(result.all()) if result.returns_rows else []
        finally:
            owner.dispose()

    def contents(self) -> dict[str, list[Any]]:
        """What must be equal in two hubs of one history: all but run ids, times, and the order of streams."""
        return {name: self.sql(statement) for name, statement in CONTENTS.items()}


@dataclass
class Tick:
    """What a tick said in its log (else as it was skipped), its cursor, the runs it names, and why it was skipped, if it was."""

    said: str
    cursor: str | None
    runs: list[str]
    skipped: str | None


CONTENTS = {
    "log": "select source_system, entity_type, external_id, change, entity_hash from bronze.raw_entities order by 1, 2, 3, seq",
    "current": (
        "select source_system, entity_type, external_id, entity_hash, removed_at is null "
        "from bronze.current_entities order by 1, 2, 3"
    ),
    "tdx_departments": "select tdx_id, entity_hash, is_present, quality_flags from silver.tdx_departments order by 1",
    "umapi_departments": "select dept_id, entity_hash, is_present, quality_flags from silver.umapi_departments order by 1",
    "departments": (
        "select dept_id, entity_hash, is_present, quality_flags, field_sources, source_keys "
        "from silver.departments order by 1"
    ),
}


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Asset -> its own sentence, for the steps that failed."""
    found = {}
    for event in result.all_events:
        if event.is_step_failure:
            said, error = event.step_failure_data.user_failure_data, event.step_failure_data.error
            sentence = said.description if said else None
            found[(event.step_key or "").replace("__", "/")] = sentence or f"no sentence: {error}"
    return found


def figures(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Asset -> the `lsats/` figures of its materialization or, for a dry run, its observation."""
    found = {}
    for event in result.all_events:
        entry: Any = None
        if event.is_step_materialization:
            entry = event.step_materialization_data.materialization
        elif event.event_type_value == "ASSET_OBSERVATION":
            entry = event.asset_observation_data.asset_observation
        if entry is not None:
            found[entry.asset_key.to_user_string()] = {
                name.removeprefix("lsats/"): value.value for name, value in entry.metadata.items()
            }
    return found


def wait_until(true: Callable[[], object], what: str) -> None:
    """Wait for a condition with a bound; AssertionError names what did not come."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.2)


@contextmanager
def job_process(job: str, config: Mapping[str, Any] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A run of a job as a process of its own, on the instance and hub of this environment; killed with the block."""
    code = (
        "import json, sys, dagster as dg; from lsats_dagster_tests.hubs import few_definitions; "
        "few_definitions().resolve_job_def(sys.argv[1]).execute_in_process("
        "instance=dg.DagsterInstance.get(), run_config=json.loads(sys.argv[2]), raise_on_error=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, job, json.dumps(config or {})], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=PATIENCE)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process so that it can do nothing more."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=PATIENCE)


@dataclass
class Catcher:
    """A listener on loopback: its port, what came in, and the answer it gives. A relay refuses receivers with `unknown`."""

    port: int
    caught: list[str]
    status: int = 200
    unknown: str = ""


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=PATIENCE)


@contextmanager
def webhook() -> Iterator[Catcher]:
    """Takes what is posted; the text of each message."""
    catcher = Catcher(0, [])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if catcher.status == 200:
                catcher.caught.append(json.loads(body)["text"])
            self.send_response(catcher.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        catcher.port = server.server_address[1]
        yield catcher


@contextmanager
def mail_relay() -> Iterator[Catcher]:
    """Takes mail as a relay without login does (RFC 5321); each message as it came over the wire."""
    catcher = Catcher(0, [])

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 catcher")
            while line := self.rfile.readline():
                match line.split()[0].upper():
                    case b"DATA":
                        self.say("354 go on")
                        lines = list(iter(self.rfile.readline, b".\r\n"))
                        catcher.caught.append(b"".join(lines).decode())
                        self.say("250 taken")
                    case b"MAIL" if catcher.status != 200:
                        self.say("451 not now")
                    case b"RCPT" if catcher.unknown and catcher.unknown.encode() in line:
                        self.say("550 unknown here")
                    case b"QUIT":
                        self.say("221 bye")
                        return
                    case _:
                        self.say("250 catcher")

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        server.daemon_threads = True
        catcher.port = server.server_address[1]
        yield catcher
