"""The silver engine on a source table of 50 business columns, beside a plain INSERT ... SELECT of the finished rows.

The table, its stream and its definition are made here, in a copy of sql/: nothing of the hub knows them.
"""

import csv
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import (
    Measure,
    Report,
    Sampler,
    Spending,
    administrator,
    contestant,
    new_database,
    say,
    serve,
    settle,
)
from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import Extract, ListStream, Record
from lsats_dagster.runs import Origin, Run
from lsats_dagster.settings import SQL_ROOT, load_settings
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster.transforms.engine import refresh

TABLE = "benchmark_things"
VIEW = f"bronze.{TABLE}"
SILVER = f"silver.{TABLE}"
ROUNDS = 3
CHANGED_EVERY = 100
LABELS = {
    "decide_scope": "find the affected keys",
    "compute": "clean, score and hash into a temporary table",
    "count": "compare with the table",
    "write": "write the differences",
    "measure": "count rows, mean quality",
    "check_deployed": "run row, lock, watermarks",
    "open_run": "run row, lock, watermarks",
    "close_run": "run row, lock, watermarks",
    "take_lock": "run row, lock, watermarks",
}


@dataclass(frozen=True)
class Kind:
    """How many columns of one type the table has, and how they are cleaned."""

    type: str
    function: str
    columns: int
    flag: str | None = None


KINDS = {
    "text": Kind("text", "clean.text", 27),
    "number": Kind("integer", "clean.integer", 10, "bad_integer"),
    "time": Kind("timestamp with time zone", "clean.tdx_time", 6, "bad_date"),
    "truth": Kind("boolean", "clean.boolean", 6),
}
FIELDS = [(f"{name}{i}", kind) for name, kind in KINDS.items() for i in range(1, kind.columns + 1)]

PLAIN_TABLE = """
drop table if exists public.plain_insert;
create table public.plain_insert (like silver.benchmark_things including all)
"""
PLAIN_INSERT = "insert into public.plain_insert select * from silver.benchmark_things"


def make_record(number: int, day: int) -> dict[str, Any]:
    """Record `number` as of `day`; each day changes 1 % of the records for good, and 1 value in 200 is unreadable."""
    changes_on = number % CHANGED_EVERY
    changed = changes_on if changes_on <= day else 0
    record: dict[str, Any] = {"ID": str(number)}
    for place, (name, kind) in enumerate(FIELDS):
        mixed = (number * 2654435761 + place * 40503) % 4294967296
        if place == 0:
            record[name] = f" value {mixed % 100003} {changed}"
        elif mixed % 9 == 0:
            record[name] = None
        elif mixed % 200 == 1:
            record[name] = "unreadable"
        elif kind.type == "text":
            record[name] = f" value {mixed % 100003} "
        elif kind.type == "integer":
            record[name] = mixed % 100_000
        elif kind.type == "boolean":
            record[name] = mixed % 2 == 0
        else:
            record[name] = f"20{mixed % 25:02d}-0{mixed % 9 + 1}-1{mixed % 9}T08:15:{mixed % 60:02d}Z"
    return record


def key(record: Record) -> str:
    return str(record["ID"])


def read(client: tuple[int, int], extract: Extract) -> Iterator[list[Any]]:
    rows, day = client
    for number in range(rows):
        yield [make_record(number, day)]
    extract.complete("the generator ended", records=rows)


STREAM = ListStream(
    source_system="benchmark",
    entity_type="thing",
    table=TABLE,
    row="One synthetic record.",
    description="Generated.",
    key=key,
    read=read,
)


def definition_text() -> str:
    """The definition file, written as one of the hub's own: unpacked once, cleaned by small functions, flagged."""
    columns = "\n".join(f'{name} = ["{kind.type}", "Synthetic"]' for name, kind in FIELDS)
    unpacked = ", ".join(f'"{name}" {"jsonb" if kind.type == "text" else "text"}' for name, kind in FIELDS)
    cleaned = ",\n".join(f'        {kind.function}(f."{name}") as {name}' for name, kind in FIELDS)
    cleaned += "".join(f',\n        f."{name}" as {name}_text' for name, kind in FIELDS if kind.flag)
    flags = [f"case when c.{name} is null then 'missing_text:{name}' end" for name, _ in FIELDS[:2]]
    flags += [
        f"case when c.{name} is null and clean.text(c.{name}_text) is not null then '{kind.flag}:{name}' end"
        for name, kind in FIELDS
        if kind.flag
    ]
    return f"""/*
row = "One synthetic record."
description = "Made for the benchmark."
key = ["thing_id"]

[columns]
thing_id = ["text", "Key"]
{columns}

[inputs."{VIEW}"]
reach = "select external_id from {VIEW} where seq > :since"
*/
with cleaned as (
    select
        t.external_id, t.raw_id, t.first_seen_at, t.is_present, t.removed_at,
{cleaned}
    from {VIEW} t
    cross join lateral jsonb_to_record(t.payload) f ({unpacked})
    where cast(:keys as text[]) is null or t.external_id = any(cast(:keys as text[]))
    offset '0' -- each value is cleaned once, however often it is used
)

select
    c.external_id as thing_id, {", ".join(f"c.{name}" for name, _ in FIELDS)},
    c.raw_id, array['benchmark'] as source_systems,
    clean.flags({", ".join(flags)}) as quality_flags,
    c.first_seen_at, c.is_present, c.removed_at
from cleaned c
"""  # noqa: S608


def write_sql_root(root: Path) -> Path:
    """A copy of sql/ with this table in place of the hub's."""
    for name in ("migrations", "functions", "curated"):
        shutil.copytree(SQL_ROOT / name, root / name)
    with (root / "curated" / "flag_deductions.csv").open("a", encoding="utf-8", newline="") as file:
        for flag in ("missing_text", "bad_integer", "bad_date"):
            csv.writer(file).writerow([TABLE, flag, "0.02", "Made for the benchmark"])
    path = root / "silver" / "sources" / f"{TABLE}.sql"
    path.parent.mkdir(parents=True)
    path.write_text(definition_text(), encoding="utf-8")
    return root


class Table:
    """The table under measurement, with what the rounds do to it."""

    def __init__(self, url: str, definition: Definition, rows: int) -> None:
        self._url = url
        self._definition = definition
        self._rows = rows
        self._database = Database(url)

    def load(self, day: int) -> None:
        """Bring the records of `day` into bronze."""
        ingest(
            self._database,
            STREAM,
            (self._rows, day),
            request=ReadRequest(),
            origin=Origin(),
            batch_size=load_settings().batch_size,
            lock_wait_seconds=10,
        )

    def refreshed(self, *, full: bool, **counts: int) -> tuple[float, dict[str, float]]:
        """Seconds and parts of one refresh, which must count what is expected."""
        settle(self._url, *self._tables())
        with Sampler(LABELS) as sampler:
            run: Run = refresh(self._database, self._definition, origin=Origin(), full=full, lock_wait_seconds=10)
        found = {name: vars(run.counts)[name] for name in counts}
        if found != counts or run.mode != ("full" if full else "incremental"):
            raise RuntimeError(f"the engine counted {found} ({run.mode}), the generator says {counts}")
        return sampler.seconds, sampler.parts()

    def empty(self) -> None:
        with administrator(self._url) as connection:
            connection.exec_driver_sql(f"truncate {SILVER}")

    def plain_insert(self) -> float:
        """Seconds of the yardstick: the finished rows copied into a table with the same indexes."""
        with administrator(self._url) as connection:
            connection.exec_driver_sql(PLAIN_TABLE)
            settle(self._url, *self._tables())
            began = time.perf_counter()
            connection.exec_driver_sql(PLAIN_INSERT)
            return time.perf_counter() - began

    @staticmethod
    def _tables() -> tuple[str, ...]:
        return ("bronze.raw_entities", "bronze.current_entities", "bronze.live_payloads", SILVER)


def work(url: str, rows: int, sql_root: str) -> dict[str, Any]:
    """All rounds, in one process: the work is the server's."""
    (definition,) = load_definitions(Path(sql_root))
    table = Table(url, definition, rows)
    say(f"silver: {rows:,} records into bronze")
    table.load(0)
    results: dict[str, list[Any]] = {"full": [], "insert": [], "full again": [], "1 %": []}
    for day in range(1, ROUNDS + 1):
        say(f"silver, {rows:,} rows: round {day} of {ROUNDS}")
        table.empty()
        results["full"].append(table.refreshed(full=True, created=rows))
        results["insert"].append(table.plain_insert())
        results["full again"].append(table.refreshed(full=True, skipped=rows))
        table.load(day)
        results["1 %"].append(table.refreshed(full=False, updated=len(range(day, rows, CHANGED_EVERY))))
    return {"results": results}


def benchmark(server: EmbeddedPostgres, rows: int) -> Report:
    """Full and incremental refreshes; medians of the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_sql_root(Path(folder) / "sql")
        url = new_database(server, "silver", root, (STREAM,), load_definitions(root))
        results = contestant("silver", url, {"rows": rows, "sql_root": str(root)})["results"]
    insert = statistics.median(results["insert"])
    middle = {name: statistics.median_low([s for s, _ in results[name]]) for name in ("full", "full again", "1 %")}
    report = Report(
        [
            Measure("silver: full, into the empty table", middle["full"] / insert, "x INSERT", 6.0),
            Measure("silver: 1 % changed, incremental", middle["1 %"] / middle["full"], "x full", 0.1),
            Measure("silver: full, nothing changed", middle["full again"] / insert, "x INSERT"),
            Measure("silver: plain INSERT ... SELECT, median", insert, "s"),
        ]
    )
    for name, seconds in middle.items():
        parts = next(parts for taken, parts in results[name] if taken == seconds)
        report.spendings.append(Spending(f"silver: {name}", seconds, parts))
    return report


if __name__ == "__main__":
    serve(work)
