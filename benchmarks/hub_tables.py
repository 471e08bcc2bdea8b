"""The silver engine on the hub's own tables of one source, over the records of a campus, by the limits of the invented ones.

The records are taken from the campus itself, without its servers; nothing of their tables stands here but what is measured.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.common import Report, contestant, new_database, serve
from benchmarks.silver import Measured, Tables, lived, told
from lsats_dagster.database import Database
from lsats_dagster.demo.campus.world import World
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import Extract, ListStream, Stream, no_evidence
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Origin
from lsats_dagster.settings import SQL_ROOT, load_settings
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import load_definitions
from lsats_dagster.transforms.engine import refresh

SEED = 1
MEASURED: Measured = {
    "tdx_users": ("tdx_users, joined to accounts", 6.0),
    "tdx_assets": ("tdx_assets, with custom attributes", 6.0),
    "umapi_employees": ("umapi_employees", 6.0),
    "keyconfigure_computers": ("keyconfigure_computers, whole", None),
    "lab_awards": ("lab_awards, whole", None),
}
# What the measured tables read besides streams.
BEFORE = "tdx_departments"
# Stream -> the field that a day changes in 1 % of its records.
MOVED = {
    "tdx/user": "WorkPhone",
    "tdx/asset": "StatusName",
    "umich_api/user": "Work_Phone",
    "key_client/computer": "Owner",
    "lab_awards/lab_award": "Award Title",
}


def read(
    records: list[dict[str, Any]], moved: str | None, day: int, _client: None, extract: Extract
) -> Iterator[list[Any]]:
    """The records, with those changed that days up to this one change."""
    for place, record in enumerate(records):
        changed = place % 100 if moved and 0 < place % 100 <= day else 0
        yield [record | {moved: f"Moved on day {changed}"} if changed and moved else record]
    extract.complete("the campus in memory ended", records=len(records))


def as_list(stream: StreamDeclaration) -> ListStream[None]:
    """The stream as a list of its records, whatever its source lists: it fills the same view."""
    shared = {field.name: getattr(stream, field.name) for field in dataclasses.fields(Stream)}
    return ListStream(**shared | {"evidence": no_evidence}, read=partial(read, [], None, 0))


def load(world: World, database: Database, day: int) -> None:
    """Bring the records of a day into bronze; on the first the accounts into their table."""
    definitions = [d for d in load_definitions(SQL_ROOT) if d.table in (*MEASURED, BEFORE)]
    looked_at = {name for definition in definitions for name in definition.inputs}
    for stream in STREAMS:
        moved = MOVED.get(stream.name)
        if f"{stream.layer}.{stream.table}" not in looked_at or (day and not moved):
            continue
        records = list(world.stream(stream.name).truth().values())
        ingest(
            database,
            dataclasses.replace(as_list(stream), read=partial(read, records, moved, day)),
            None,
            request=ReadRequest(),
            origin=Origin(),
            batch_size=load_settings().batch_size,
            lock_wait_seconds=10,
        )
    if not day:
        (definition,) = (d for d in definitions if d.table == BEFORE)
        refresh(database, definition, origin=Origin(), lock_wait_seconds=10)


def work(url: str, size: str) -> dict[str, Any]:
    """All rounds, in one process: the work is the server's."""
    definitions = tuple(d for d in load_definitions(SQL_ROOT) if d.table in MEASURED)
    tables = Tables(url, definitions, partial(load, World(SEED, size)))
    return {"results": lived(tables, f"tables of the hub, campus {size}", whole_moves=True)}


def benchmark(server: EmbeddedPostgres, size: str) -> Report:
    """The same as of the invented tables."""
    url = new_database(server, "hub_tables", SQL_ROOT, STREAMS, load_definitions(SQL_ROOT))
    return told(MEASURED, contestant("hub_tables", url, {"size": size})["results"])


if __name__ == "__main__":
    serve(work)
