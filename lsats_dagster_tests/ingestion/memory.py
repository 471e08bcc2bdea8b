"""A source in memory for the engine's own `ingest` and `enrich`: things in a list, and a detail of each."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from lsats_dagster.database import Database
from lsats_dagster.ingestion.details import enrich
from lsats_dagster.ingestion.extract import ReadRequest, ingest
from lsats_dagster.ingestion.stream import DetailStream, Extract, ListStream, UnkeyedRecordError
from lsats_dagster.runs import Check, Origin, Run, Status, status

Thing = dict[str, Any]


def key(record: Any) -> str:
    if "ID" not in record:
        raise UnkeyedRecordError("ID is missing")
    return str(record["ID"])


class Things:
    """What the source shows now. A test changes it, and its `read` and `fetch` where the source shall do odd things."""

    def __init__(self, hub: Database, count: int) -> None:
        self.hub = hub
        self.listed: list[Thing] = [{"ID": number, "Name": f"Thing {number}"} for number in range(count)]
        # Keys whose detail is answered as not there, and all keys that were asked for.
        self.denied: set[str] = set()
        self.asked: list[str] = []

    def read(self, _client: Any, extract: Extract) -> Iterator[list[Any]]:
        yield list(self.listed)
        extract.complete("end of the list in memory")

    def fetch(self, _client: Any, asked: str) -> Thing | None:
        self.asked.append(asked)
        return None if asked in self.denied else {"ID": asked, "Text": f"Detail of {asked}"}

    @property
    def stream(self) -> ListStream[Any]:
        return ListStream(
            source_system="example", entity_type="thing", table="things", row="One thing.", description="In memory.",
            key=key, read=self.read,
        )  # fmt: skip

    @property
    def detail_stream(self) -> DetailStream[Any]:
        return DetailStream(
            source_system="example", entity_type="thing_detail", table="thing_details", row="One thing in full.",
            description="In memory.", key=key, list_stream=self.stream, fetch=self.fetch,
        )  # fmt: skip

    def ingest(self, **request: Any) -> Run:
        """One run of the list."""
        return ingest(
            self.hub, self.stream, None, request=ReadRequest(**request), origin=Origin(), batch_size=1000,
            lock_wait_seconds=10,
        )  # fmt: skip

    def enrich(self, *, budget: int = 1000, max_age: timedelta = timedelta(days=30), **request: Any) -> Run:
        """One run of the details, call by call."""
        return enrich(
            self.hub, self.detail_stream, None, request=ReadRequest(**request), origin=Origin(), budget=budget,
            workers=1, max_age=max_age, lock_wait_seconds=10,
        )  # fmt: skip

    def state(self, name: str = "example/thing") -> Status:
        """What `lsats status` says of one of the two."""
        with self.hub.transaction() as connection:
            return next(state for state in status(connection) if state.name == name)

    def present(self, entity_type: str = "thing") -> set[str]:
        with self.hub.transaction() as connection:
            return set(
                connection.execute(
                    text(
                        "select external_id from bronze.current_entities "
                        "where entity_type = :entity_type and removed_at is null"
                    ),
                    {"entity_type": entity_type},
                ).scalars()
            )


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
