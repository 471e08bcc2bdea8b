"""A source in memory for the engine's own `ingest` and `enrich`: things in a list, and a detail of each."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from lsats_dagster.database import Database
from lsats_dagster.ingestion.details import enrich
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.quarantine import replay
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import Before, DetailStream, Extract, ListStream, Part, UnkeyedRecordError
from lsats_dagster.runs import Check, Origin, Run, Status, status

Thing = dict[str, Any]
# So long a process may take to end on a busy machine.
PATIENCE = 120


def key(record: Any) -> str:
    if "ID" not in record:
        raise UnkeyedRecordError("ID is missing")
    return str(record["ID"])


class Things:
    """What the source shows now. A test changes it, and its `read` and `fetch` where the source shall do odd things.

    declared: what the declaration of the list stream says beside, or in place of, the usual; detail_declared: that of the
    details. befores: what each reading knew.
    """

    def __init__(self, hub: Database, count: int, *, batch_size: int = 1000, **declared: Any) -> None:
        self.hub = hub
        self.batch_size = batch_size
        self.declared = declared
        self.detail_declared: dict[str, Any] = {}
        self.befores: list[Before] = []
        self.listed: list[Thing] = [{"ID": number, "Name": f"Thing {number}"} for number in range(count)]
        # Keys whose detail is answered as not there, and all keys that were asked for.
        self.denied: set[str] = set()
        self.asked: list[str] = []

    def read(self, _client: Any, extract: Extract) -> Iterator[list[Any]]:
        self.befores.append(extract.before)
        yield list(self.listed)
        extract.complete("end of the list in memory")

    def fetch(self, _client: Any, asked: str) -> Thing | None:
        self.asked.append(asked)
        return None if asked in self.denied else {"ID": asked, "Text": f"Detail of {asked}"}

    @property
    def stream(self) -> ListStream[Any]:
        usual: dict[str, Any] = {
            "source_system": "example", "entity_type": "thing", "table": "things", "row": "One thing.",
            "description": "In memory.", "key": key, "read": self.read,
        }  # fmt: skip
        return ListStream(**usual | self.declared)

    @property
    def detail_stream(self) -> DetailStream[Any]:
        usual: dict[str, Any] = {
            "source_system": "example", "entity_type": "thing_detail", "table": "thing_details", "row": "One thing in full.",
            "description": "In memory.", "key": key, "list_stream": self.stream, "fetch": self.fetch,
        }  # fmt: skip
        return DetailStream(**usual | self.detail_declared)

    def ingest(self, **request: Any) -> Run:
        """One run of the list."""
        return ingest(
            self.hub, self.stream, None, request=ReadRequest(**request), origin=Origin(),
            batch_size=self.batch_size, lock_wait_seconds=10,
        )  # fmt: skip

    def replay(self) -> Run:
        """One replay of what is quarantined of the list."""
        return replay(self.hub, self.stream, origin=Origin(), batch_size=self.batch_size, lock_wait_seconds=10)

    def enrich(
        self, *, client: Any = None, minutes: float = 60, every_minutes: float = 60, workers: int = 1,
        max_age: timedelta = timedelta(days=30), **request: Any,
    ) -> Run:  # fmt: skip
        """One run of the details, by default call by call."""
        return enrich(
            self.hub, self.detail_stream, client, request=ReadRequest(**request), origin=Origin(), minutes=minutes,
            every_minutes=every_minutes, workers=workers, max_age=max_age, lock_wait_seconds=10,
        )  # fmt: skip

    def state(self, name: str = "example/thing") -> Status:
        """What `lsats status` says of one of the two."""
        with self.hub.transaction() as connection:
            return next(state for state in status(connection) if state.name == name)

    def present(self, entity_type: str = "thing") -> set[str]:
        return {
            row.external_id
            for row in self.rows(
                "select external_id from bronze.current_entities where entity_type = :entity_type and removed_at is null",
                entity_type=entity_type,
            )
        }

    def payload(self, key: str, entity_type: str = "thing") -> Thing:
        """What is stored of a thing, after its removal too."""
        [row] = self.rows(
            "select r.raw_data from bronze.current_entities c join bronze.raw_entities r on r.seq = c.live_seq "
            "where c.entity_type = :entity_type and c.external_id = :key",
            entity_type=entity_type,
            key=key,
        )
        return dict(row.raw_data)

    def log(self) -> list[tuple[str, str]]:
        """(key, change) of each version, in order."""
        return [tuple(row) for row in self.rows("select external_id, change from bronze.raw_entities order by seq")]

    def quarantined(self, *, resolved: bool = False) -> list[tuple[str | None, str]]:
        """(key, stage) of what is quarantined, or of what was."""
        return [
            tuple(row)
            for row in self.rows(
                "select external_id, stage from meta.quarantine where (resolved_at is not null) = :resolved "
                "order by external_id, payload",
                resolved=resolved,
            )
        ]

    def last_run(self, entity_type: str = "thing") -> Any:
        """The newest run row."""
        return self.rows(
            "select * from meta.ingestion_runs where entity_type = :entity_type order by run_seq desc limit 1",
            entity_type=entity_type,
        )[0]

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """Rows of a query, on a connection of its own."""
        with self.hub.transaction() as connection:
            return list(connection.execute(text(sql), values).all())


class PartedThings(Things):
    """Things by the tens of their IDs: each ten is a part of its own. read_parts: the parts that the source was asked for."""

    def __init__(self, hub: Database, count: int, **declared: Any) -> None:
        super().__init__(hub, count, **declared)
        self.read_parts: list[str] = []

    def read(self, _client: Any, extract: Extract) -> Iterator[list[Any]]:
        self.befores.append(extract.before)
        tens: dict[str, list[Any]] = {}
        for thing in self.listed:
            tens.setdefault(f"{thing['ID'] // 10}0", []).append(thing)
        for name, records in tens.items():
            if name not in extract.before.finished:
                self.read_parts.append(name)
                yield Part(name, records)
        extract.complete("every part was read")


def finding(run: Run, name: str) -> Check:
    return next(check for check in run.checks if check.name == name)


def grow_older(hub: Database, by: timedelta) -> None:
    """Let everything that the hub remembers have happened earlier; no role of the hub could do this."""
    admin = Database(hub.url.render_as_string(hide_password=False), role=None)
    with admin.transaction() as connection:
        connection.exec_driver_sql("set local session_replication_role = replica")
        columns = connection.exec_driver_sql(
            "select table_schema || '.' || table_name, string_agg(format('%%1$I = %%1$I - :by', column_name), ', ') "
            "from information_schema.columns join information_schema.tables using (table_schema, table_name) "
            "where table_schema in ('bronze', 'meta') and table_type = 'BASE TABLE' "
            "and data_type = 'timestamp with time zone' group by 1"
        ).all()
        for table, changes in columns:
            connection.execute(text(f"update {table} set {changes}"), {"by": by})
    admin.dispose()


def send_to_paused_run(hub: Database, kind: str, sent: signal.Signals) -> None:
    """Start a run (see `interrupted`) as a process, wait until its source falls silent, send a signal, wait for its end."""
    child = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.interrupted", kind],
        env=os.environ | {"DATABASE_URL": hub.url.render_as_string(hide_password=False)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "paused\n"
            child.send_signal(sent)
            assert child.wait(PATIENCE) == -sent
        finally:
            child.kill()
