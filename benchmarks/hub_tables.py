"""The silver engine on all tables of the hub, each after its inputs, by the limits of the invented ones.

The records are those of a campus, without its servers, or of people made by its example; nothing of the tables stands here but
what a day changes.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any
from zlib import crc32

from benchmarks.common import Measure, Report, Spending, contestant, new_database, say, serve
from benchmarks.people import University
from benchmarks.silver import ROUNDS, Tables, lived, told
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

SEED = 1
PAGE = 1_000
MOST_SECONDS = 90.0
MOST_QUIET_SECONDS = 2.0
Record = dict[str, Any]


def said(field: str) -> Callable[[Record, int], Record]:
    """The field says something else."""
    return lambda _, day: {field: f"Moved on day {day}"}


def left(*fields: str) -> Callable[[Record, int], Record]:
    """So many members as days have passed are no longer in these lists."""
    return lambda record, day: {field: record[field][day:] for field in fields if record.get(field)}


# Stream -> by which field 1 % of its records are chosen, and what a day changes in them. People are chosen by login name:
# those of one day are the same in all sources, 1 % of the table that is merged of them.
MOVED: dict[str, tuple[str, Callable[[Record, int], Record]]] = {
    "tdx/user": ("AlternateID", said("WorkPhone")),
    "umich_api/user": ("UniqName", said("Work_Phone")),
    "mcommunity_ldap/user": ("uid", said("telephoneNumber")),
    "active_directory/user": ("sAMAccountName", said("telephoneNumber")),
    "mcommunity_ldap/group": ("dn", left("member", "umichDirectMember")),
    "active_directory/group": ("dn", left("member")),
    "tdx/asset": ("ID", said("StatusName")),
    "key_client/computer": ("MAC", said("Owner")),
    "lab_awards/lab_award": ("Award Id", said("Award Title")),
}


def read(records: Callable[[], Iterator[Record]], _: None, extract: Extract) -> Iterator[list[Any]]:
    """Pages of the records."""
    count = 0
    remaining = records()
    while page := list(islice(remaining, PAGE)):
        count += len(page)
        yield page
    extract.complete("the records in memory ended", records=count)


def of_day(records: Callable[[str], Iterator[Record]], stream: str, day: int) -> Iterator[Record]:
    """The records of the stream, with those changed that days up to this one change."""
    for record in records(stream):
        yield record | changes(stream, record, day)


def changes(stream: str, record: Record, day: int) -> Record:
    """What days up to this one have changed in the record: each changes another 1 %."""
    if not day or stream not in MOVED:
        return {}
    field, change = MOVED[stream]
    chosen = record.get(field)
    name = str(chosen[0] if isinstance(chosen, list) else chosen).lower()
    moved_on = 1 + crc32(name.encode()) % 100
    return change(record, moved_on) if moved_on <= day else {}


def bring(database: Database, stream: StreamDeclaration, records: Callable[[], Iterator[Record]]) -> int:
    """Read the stream as a list of these records, whatever its source lists: it fills the same view. How many have changed."""
    shared = {field.name: getattr(stream, field.name) for field in dataclasses.fields(Stream)}
    run = ingest(
        database,
        ListStream(**shared | {"evidence": no_evidence}, read=partial(read, records)),
        None,
        request=ReadRequest(),
        origin=Origin(),
        batch_size=load_settings().batch_size,
        lock_wait_seconds=10,
    )
    return run.counts.updated


def load(records: Callable[[str], Iterator[Record]], database: Database, day: int) -> set[str]:
    """Bring the records of a day into bronze; after the first, of the streams that it changes. The tables of those changed."""
    changed = set()
    for stream in STREAMS:
        if day and stream.name not in MOVED:
            continue
        if bring(database, stream, partial(of_day, records, stream.name, day)):
            changed.add(stream.table)
    return changed


def work(url: str, size: str, people: int) -> dict[str, Any]:
    """All rounds, in one process: the work is the server's. people: so many in the place of those of the campus, unless 0."""
    campus = World(SEED, size)
    records = University(campus, people).records if people else partial(records_of, campus)
    definitions = load_definitions(SQL_ROOT)
    about = described(size, people)
    tables = Tables(url, definitions, partial(load, records))
    say(f"{about}: records into bronze")
    tables.load(0)
    if people:
        # A round of many takes minutes: one, of what has a limit.
        return {"results": lived(tables, about, rounds=1, again=False)}
    say(f"{about}: from empty")
    from_empty = tables.from_empty()
    # The smallest campus says nothing, however often.
    return {"results": lived(tables, about, rounds=1 if size == "tiny" else ROUNDS), "from empty": from_empty}


def records_of(campus: World, stream: str) -> Iterator[Record]:
    return iter(campus.stream(stream).truth().values())


def described(size: str, people: int) -> str:
    return f"{people:,} people" if people else f"campus {size}"


def benchmark(server: EmbeddedPostgres, size: str, people: int = 0) -> Report:
    """Each table, and all of them: from empty as the server then stands, and with nothing changed."""
    definitions = load_definitions(SQL_ROOT)
    url = new_database(server, "hub_people" if people else "hub_tables", SQL_ROOT, STREAMS, definitions)
    found = contestant("hub_tables", url, {"size": size, "people": people})
    about = described(size, people)
    report = told(definitions, found["results"], about)
    quiet = sum(result["quiet"][0] for result in found["results"].values())
    every = f"{about}: all {len(definitions)} tables"
    if from_empty := found.get("from empty"):
        seconds = sum(from_empty.values())
        limit = MOST_SECONDS if size == "college" else None
        report.measures.append(Measure(f"{every} from empty", seconds, "s", limit))
        report.spendings.append(Spending(f"{every} from empty", seconds, from_empty))
    report.measures.append(Measure(f"{every}, nothing changed", quiet, "s", MOST_QUIET_SECONDS))
    return report


if __name__ == "__main__":
    serve(work)
