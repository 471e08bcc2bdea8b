"""Reads from directories into bronze beside a bare ldap3 read of the same entries: in pages, by an identity without limits.

The directory is a process of its own with invented entries, as are its readers. They alternate: ldap3, first read, ldap3,
further read with nothing changed, ldap3; ratios are taken to the median of ldap3 in that run.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ldap3

from benchmarks import bronze
from benchmarks.bronze import TABLES, expect
from benchmarks.common import (
    REPOSITORY,
    Measure,
    Report,
    Sampler,
    Spending,
    contestant,
    new_database,
    say,
    serve,
    settle,
)
from benchmarks.directory_server import NAMES, PASSWORD
from lsats_dagster.clients.ldap import LdapClient
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.runs import Origin
from lsats_dagster.settings import SQL_ROOT, load_settings
from lsats_dagster.sources import STREAMS, active_directory, mcommunity
from lsats_dagster.transforms.definition import load_definitions

HUB, YARDSTICK = (f"cn={name}" for name in NAMES)
PAGE = 1_000
LABELS = bronze.LABELS | {
    "receive": "wait for the directory",
    "_entry": "decode entries",
    "search": "build and send searches",
    "record": "decode values",
    "pages": "everything else of the client",
    "parts": "everything else of the client",
}


@dataclass(frozen=True)
class Kind:
    """What is read from one kind of directory: by the hub's stream, and by the yardstick in one search.

    limits: the most that a first and a further read may cost, in bare reads.
    """

    title: str
    stream: ListStream[LdapClient]
    base: str
    filter: str
    attributes: Attributes
    limits: tuple[float, float]


KINDS = {
    "active_directory": Kind(
        active_directory.TITLE,
        active_directory.USERS,
        active_directory.UNIVERSITY,
        active_directory.ACCOUNTS,
        active_directory.ACCOUNT,
        (1.5, 1.5),
    ),
    "mcommunity": Kind(
        mcommunity.TITLE,
        mcommunity.USERS,
        mcommunity.PEOPLE_BRANCH.base,
        mcommunity.PEOPLE_BRANCH.filter,
        mcommunity.PERSON,
        (3.5, 1.5),
    ),
}


def bare_read(kind: Kind, port: int) -> dict[str, Any]:
    """Seconds of the yardstick, by the way of ldap3 that is fastest and takes least memory."""
    began = time.perf_counter()
    server = ldap3.Server("localhost", port, use_ssl=True, get_info=ldap3.NONE)
    connection = ldap3.Connection(
        server, YARDSTICK, PASSWORD, auto_bind=True, raise_exceptions=True, check_names=False, return_empty_attributes=False
    )  # fmt: skip
    found = connection.extend.standard.paged_search(
        kind.base, kind.filter, attributes=list(kind.attributes.names), paged_size=PAGE, generator=True
    )
    entries = sum(1 for _ in found)
    connection.unbind()
    return {"seconds": time.perf_counter() - began, "entries": entries}


def hub_read(kind: Kind, url: str, port: int, ca_file: str) -> dict[str, Any]:
    """Seconds of one whole run of the stream, their parts, and what the run counted."""
    client = LdapClient(
        title=kind.title, host="localhost", port=port, user=HUB, password=PASSWORD, ca_file=Path(ca_file)
    )
    database = Database(url)
    with Sampler(LABELS) as sampler:
        run = ingest(
            database,
            kind.stream,
            client,
            request=ReadRequest(full=True),
            origin=Origin(),
            batch_size=load_settings().batch_size,
            lock_wait_seconds=10,
        )
    client.close()
    database.dispose()
    searches = run.metadata["extract"]["searches"]
    return {"seconds": sampler.seconds, "parts": sampler.parts(), "counts": vars(run.counts), "searches": searches}


def work(url: str, name: str, kind: str, port: int, ca_file: str) -> dict[str, Any]:
    """One contestant, in its process."""
    return bare_read(KINDS[kind], port) if name == "ldap3" else hub_read(KINDS[kind], url, port, ca_file)


@contextmanager
def directory(kind: str, entries: int) -> Iterator[dict[str, Any]]:
    """A directory of so many entries: where it listens."""
    with tempfile.TemporaryDirectory(prefix="lsats_bench_") as folder:
        command = [sys.executable, "-m", "benchmarks.directory_server", kind, str(entries), folder]
        with subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            told = process.stdout.readline()
            if not told:
                raise RuntimeError("the directory did not start, see above")
            yield json.loads(told)


def runs(
    server: EmbeddedPostgres, database: str, kind: str, entries: int, *, beside_ldap3: bool
) -> dict[str, list[dict[str, Any]]]:
    """All contestants in turn on a new database; results by contestant."""
    url = new_database(server, database, SQL_ROOT, STREAMS, load_definitions(SQL_ROOT))
    results: dict[str, list[dict[str, Any]]] = {"ldap3": []}
    with directory(kind, entries) as where:

        def run(name: str) -> dict[str, Any]:
            say(f"{kind}, {entries:,} entries: {name}")
            settle(url, *TABLES)
            return dict(contestant("directories", url, {"name": name, "kind": kind, **where}))

        def bare() -> None:
            if beside_ldap3:
                results["ldap3"].append(run("ldap3"))
                if results["ldap3"][-1]["entries"] != entries:
                    raise RuntimeError("the yardstick did not read all entries")

        bare()
        results["first read"] = [expect(run("first read"), processed=entries, created=entries)]
        bare()
        results["further read"] = [expect(run("further read"), processed=entries, skipped=entries)]
        bare()
    return results


def benchmark(server: EmbeddedPostgres, entries: int) -> Report:
    """Time at `entries`, memory there and at ten times as many."""
    report = Report()
    peaks = {entries: 0.0, entries * 10: 0.0}
    for name, kind in KINDS.items():
        few = runs(server, f"{name}_few", name, entries, beside_ldap3=True)
        many = runs(server, f"{name}_many", name, entries * 10, beside_ldap3=False)
        bare = statistics.median(result["seconds"] for result in few["ldap3"])
        label = f"directories: {kind.title}"
        for read, limit in zip(("first read", "further read"), kind.limits, strict=True):
            [result] = few[read]
            report.measures += [
                Measure(f"{label}, {read}", result["seconds"] / bare, "x ldap3", limit),
                Measure(f"{label}, {read}, searches", result["searches"], ""),
                Measure(f"{label}, {read}, {entries * 10:,} entries", many[read][0]["seconds"], "s"),
            ]
            report.spendings.append(Spending(f"{label}, {read}", result["seconds"], result["parts"]))
        report.measures += [
            Measure(f"{label}, bare ldap3, median", bare, "s"),
            Measure(f"{label}, bare ldap3, slowest", max(r["seconds"] for r in few["ldap3"]) / bare, "x median"),
        ]
        for size, results in ((entries, few), (entries * 10, many)):
            hub = [result["peak"] for read in ("first read", "further read") for result in results[read]]
            peaks[size] = max(peaks[size], *hub)
    report.measures += [
        Measure(f"directories: peak memory, {size:,} entries", peak, "MB", 300) for size, peak in peaks.items()
    ]
    return report


if __name__ == "__main__":
    serve(work)
