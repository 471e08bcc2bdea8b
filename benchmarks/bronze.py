"""The bronze engine beside a plain COPY of the same dicts into a table with the same columns and indexes.

Each contestant is a process of its own that generates the records one by one and ends with its commit. They alternate:
copy, first load, copy, quiet, copy, 1 % changed, copy; ratios are taken to the median copy of that run.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
import psycopg

from benchmarks.common import Measure, Report, Sampler, Spending, contestant, new_database, say, serve, settle
from lsats_dagster.database import Database, SerializedJsonDumper
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import Extract, ListStream, Record
from lsats_dagster.runs import Origin
from lsats_dagster.settings import SQL_ROOT, load_settings
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import load_definitions

PAGE = 1_000
CHANGED_EVERY = 100
TABLES = ("bronze.raw_entities", "bronze.current_entities")
LABELS = {
    "make_record": "generate the records",
    "pages": "generate the records",
    "serialize": "JSON",
    "checked_key": "key",
    "content_hash": "hash",
    "prepare": "key, JSON and hash: the rest",
    "stage": "send keys and hashes",
    "_put_repeated_aside": "note what was seen, find repeated keys",
    "_compare": "compare with what is current",
    "_write": "write new versions and make them current",
    "append": "commit and the rest of writing a batch",
    "certify": "find what is gone",
    "position": "find what is gone",
    "renew_statistics": "renew statistics",
    "add": "collect the batch",
    "admit": "collect the batch",
    "read_all": "collect the batch",
    "_await": "wait until the batch before is written",
}

CREATE_PLAIN = """
drop table if exists public.plain_copy;
create table public.plain_copy (like bronze.raw_entities including all)
"""
COPY_PLAIN = """
copy public.plain_copy (source_system, entity_type, external_id, change, raw_data, entity_hash, hash_version,
    ingestion_run_id, ingestion_metadata) from stdin (format binary)
"""
PLAIN_TYPES = ("text", "text", "text", "text", "jsonb", "bytea", "int2", "uuid", "jsonb")


# What records of one kind have in common; the rest of a record is cheap to make, because both contestants pay for it.
COMMON: dict[str, Any] = {
    "MiddleName": None,
    "AlertEmail": None,
    "DefaultPriorityID": 20,
    "DefaultPriorityName": "Medium, answered within two working days",
    "Company": "University of Examples, College of Literature, Science, and the Arts",
    "MobilePhone": None,
    "WorkCity": "Exampleton",
    "WorkState": "MI",
    "WorkZip": "48000-0001",
    "WorkCountry": "United States of America",
    "LocationName": "Laboratory building 300, east wing, behind the old botanical garden",
    "ReportsToUID": "00000000-0000-4000-8000-000000000001",
    "ReportsToFullName": "Supervisor Of Examples",
    "IsConfidential": False,
    "IsEmployee": True,
    "HireDate": "2014-09-01T00:00:00Z",
    "EndDate": "0001-01-01T00:00:00Z",
    "CreatedDate": "2014-08-19T08:15:31.27Z",
    "SecurityRoleID": "5f0d1a4e-0000-4000-8000-00000000000b",
    "SecurityRoleName": "Technician and requester of shared research equipment",
    "OrgApplications": [{"ID": 31, "Name": "Ticketing", "IsDefault": True}, {"ID": 34, "Name": "Assets"}],
    "Permissions": ["read", "comment", "attach", "queue-17"],
    "CostRate": 24.75,
    "About": "Takes care of instruments; ask by mail first, then by phone, and leave a note on the door of the room. "
    "Away in the second week of each month, and in the field from May to September; then ask the supervisor.",
}


def make_record(number: int, day: int) -> dict[str, Any]:
    """Record `number` as of `day`: 40 fields, about 1.6 kB of JSON. Day 0 is the first; each later one changes 1 %."""
    changed = day if number % CHANGED_EVERY == 1 else 0
    mixed = number * 2654435761 % 4294967296
    code = f"{mixed:08x}"
    return COMMON | {
        "ID": number,
        "UID": f"{code}-0000-4000-8000-000000000000",
        "FullName": f"Person {code} Of Examples",
        "FirstName": f"Person {code}",
        "LastName": "Of Examples",
        "Title": f"Research Laboratory Specialist, grade {changed}",
        "UserName": code,
        "PrimaryEmail": f"{code}@example.edu",
        "AlternateEmail": f"{code}@example.org",
        "ExternalID": str(mixed),
        "DefaultAccountID": number % 240,
        "DefaultAccountName": f"Department number {number % 240} of the College of Examples",
        "WorkPhone": f"+1 555 {mixed}",
        "WorkAddress": f"{mixed} Example Avenue",
        "LocationID": number % 5000,
        "IsActive": number % 7 != 0,
    }


def pages(records: int, day: int) -> Iterator[list[Any]]:
    """The records of one day, page by page as a source sends them; never more than a page in memory."""
    for begin in range(0, records, PAGE):
        yield [make_record(number, day) for number in range(begin, min(begin + PAGE, records))]


def key(record: Record) -> str:
    return str(record["ID"])


@dataclass(frozen=True)
class Synthetic:
    """The client of the synthetic source: what it holds on which day."""

    records: int
    day: int


def read(client: Synthetic, extract: Extract) -> Iterator[list[Any]]:
    yield from pages(client.records, client.day)
    extract.complete("the generator ended", records=client.records)


STREAM = ListStream(
    source_system="benchmark",
    entity_type="person",
    table="benchmark_people",
    row="One synthetic record.",
    description="Generated.",
    key=key,
    read=read,
)


def plain_copy(url: str, records: int) -> float:
    """Seconds of the yardstick: one COPY of all dicts, serialized on the way. What the engine works out is constant."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(CREATE_PLAIN)
        connection.commit()
        began = time.perf_counter()
        constant = (b"\x00" * 32, 1, uuid4(), b"{}")
        cursor.adapters.register_dumper(None, SerializedJsonDumper)
        with cursor.copy(COPY_PLAIN) as copy:
            copy.set_types(PLAIN_TYPES)
            for page in pages(records, 0):
                for record in page:
                    copy.write_row(("benchmark", "person", key(record), "new", orjson.dumps(record), *constant))
        connection.commit()
        return time.perf_counter() - began


def engine(url: str, records: int, day: int) -> tuple[float, dict[str, float], dict[str, int]]:
    """Seconds of one whole run of the stream, their parts, and what the run counted."""
    database = Database(url)
    batch_size = load_settings().batch_size
    with Sampler(LABELS) as sampler:
        run = ingest(
            database,
            STREAM,
            Synthetic(records, day),
            request=ReadRequest(),
            origin=Origin(),
            batch_size=batch_size,
            lock_wait_seconds=10,
        )
    database.dispose()
    return sampler.seconds, sampler.parts(), vars(run.counts)


def work(url: str, name: str, records: int, day: int = 0) -> dict[str, Any]:
    """One contestant, in its process."""
    if name == "copy":
        return {"seconds": plain_copy(url, records)}
    if name == "generate":
        began = time.perf_counter()
        for _ in pages(records, day):
            pass
        return {"seconds": time.perf_counter() - began}
    seconds, parts, counts = engine(url, records, day)
    return {"seconds": seconds, "parts": parts, "counts": counts}


def expect(result: dict[str, Any], **counts: int) -> dict[str, Any]:
    """`result`, of a run that did what it was made for."""
    found = {name: result["counts"][name] for name in counts}
    if found != counts:
        raise RuntimeError(f"the engine counted {found}, the generator says {counts}")
    return result


def runs(
    server: EmbeddedPostgres, database: str, records: int, *, beside_copy: bool
) -> dict[str, list[dict[str, Any]]]:
    """All contestants in turn on a new database; results by contestant."""
    url = new_database(server, database, SQL_ROOT, STREAMS, load_definitions(SQL_ROOT))
    results: dict[str, list[dict[str, Any]]] = {"copy": []}

    def run(name: str, **task: int) -> dict[str, Any]:
        say(f"bronze, {records:,} records: {name}")
        settle(url, *TABLES)
        return dict(contestant("bronze", url, {"name": name, "records": records, **task}))

    def copy() -> None:
        if beside_copy:
            results["copy"].append(run("copy"))

    copy()
    results["first load"] = [expect(run("first load"), processed=records, created=records)]
    copy()
    results["nothing changed"] = [expect(run("nothing changed"), processed=records, skipped=records)]
    copy()
    changed = len(range(1, records, CHANGED_EVERY))
    results["1 % changed"] = [expect(run("1 % changed", day=1), updated=changed, skipped=records - changed)]
    copy()
    if beside_copy:
        results["generate"] = [run("generate")]
    return results


def benchmark(server: EmbeddedPostgres, records: int) -> Report:
    """Time at `records`, memory at a tenth of it and at all of it."""
    small = runs(server, "bronze_small", max(1, records // 10), beside_copy=False)
    large = runs(server, "bronze_large", records, beside_copy=True)
    copy = statistics.median(result["seconds"] for result in large["copy"])
    report = Report()
    for name, limit in (("first load", 2.0), ("nothing changed", 0.5), ("1 % changed", 0.6)):
        result = large[name][0]
        report.measures.append(Measure(f"bronze: {name}", result["seconds"] / copy, "x COPY", limit))
        report.measures.append(Measure(f"bronze: {name}, speed", records / result["seconds"], "records/s"))
        report.spendings.append(Spending(f"bronze: {name}", result["seconds"], result["parts"]))
    peaks = {name: [run["peak"] for runs in results.values() for run in runs if "counts" in run]
             for name, results in (("small", small), ("large", large))}  # fmt: skip
    small_peak, large_peak = max(peaks["small"]), max(peaks["large"])
    generation = large["generate"][0]["seconds"]
    report.measures += [
        Measure(f"bronze: peak memory, {records:,} records", large_peak, "MB", 300),
        Measure(f"bronze: peak memory, {max(1, records // 10):,} records", small_peak, "MB", 300),
        # Below two batches the small run does not fill one, and the comparison says nothing.
        Measure(
            "bronze: peak memory, large to small", large_peak / small_peak, "x", 1.1 if records >= 200_000 else None
        ),
        Measure("bronze: plain COPY of the same dicts, median", copy, "s"),
        Measure("bronze: plain COPY, slowest", max(run["seconds"] for run in large["copy"]) / copy, "x median"),
        Measure("bronze: generating the dicts, part of both", generation, "s"),
    ]
    return report


if __name__ == "__main__":
    serve(work)
