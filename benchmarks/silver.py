"""The silver engine on wide tables, each beside a plain INSERT ... SELECT of its finished rows into a table like it.

In each round every table is emptied and filled, computed again with nothing changed, and refreshed after 1 % of the records
changed.
"""

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import wide
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
from lsats_dagster.runs import Origin
from lsats_dagster.settings import load_settings
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster.transforms.engine import refresh

ROUNDS = 3
QUIET_ROUNDS = 20
LABELS = {
    "decide_scope": "find the affected keys",
    "run_step": "step: query, function, copy",
    "compute": "clean, score and hash into a temporary table",
    "count": "compare with the table",
    "write": "write the differences",
    "measure": "count rows, mean quality",
    "check_deployed": "run row, lock, watermarks",
    "open_run": "run row, lock, watermarks",
    "close_run": "run row, lock, watermarks",
    "take_lock": "run row, lock, watermarks",
}
# The most that a full refresh may cost, in INSERTs, by kind. Derived tables read several tables as merged ones do; their rows
# are narrow and their INSERT is cheap, so that they get no more.
MOST_INSERTS = {"source": 6.0, "merged": 8.0, "derived": 8.0}
MOST_OF_FULL = 0.1
# What is always computed whole is merged, and held to INSERTs, or small, and held to seconds.
MOST_SECONDS = 4.0
# Below it a run's own cost, some hundredths of a second, outweighs the rows.
FEW_ROWS = 10_000
MOST_QUIET = {"source": 10.0, "merged": 50.0, "derived": 50.0}


class Tables:
    """The tables under measurement, with what the rounds do to them.

    load: brings the records of a day into bronze, of which each day after the first changes 1 %, and names the tables in which
    that shows.
    """

    def __init__(
        self, url: str, definitions: tuple[Definition, ...], load: Callable[[Database, int], set[str]]
    ) -> None:
        self._url = url
        self._definitions = {definition.table: definition for definition in definitions}
        self._load = load
        self._database = Database(url)
        self.names = tuple(self._definitions)

    def load(self, day: int) -> set[str]:
        """Bring the records of `day` into bronze; the tables in which they show."""
        return self._load(self._database, day)

    def settle_bronze(self) -> None:
        """After each load and not before each refresh, which changes nothing there: it takes as long as many of them."""
        settle(self._url, "bronze.raw_entities", "bronze.current_entities")

    def from_empty(self) -> dict[str, float]:
        """Seconds of each table's first refresh, all in turn, with the statistics that the engines themselves leave."""
        found = {}
        for table in self.names:
            began = time.perf_counter()
            refresh(self._database, self._definitions[table], origin=Origin(), lock_wait_seconds=10)
            found[table] = time.perf_counter() - began
        return found

    def refreshed(self, table: str, *, full: bool = False, writes: bool | None) -> tuple[float, dict[str, float]]:
        """Seconds and parts of one refresh, which must write or not; None: as it comes."""
        settle(self._url, *self._read_by(table))
        with Sampler(LABELS) as sampler:
            run = refresh(
                self._database,
                self._definitions[table],
                origin=Origin(),
                full=full,
                lock_wait_seconds=10,
            )
        written = run.counts.created + run.counts.updated + run.counts.removed
        if writes is not None and writes != bool(written):
            raise RuntimeError(f"{table}: {run.mode}, {written} rows written, expected to write: {writes}")
        return sampler.seconds, sampler.parts()

    def quiet(self, table: str) -> float:
        """Median seconds of a refresh without news, its lock and its run row included."""
        found = []
        for _ in range(QUIET_ROUNDS):
            began = time.perf_counter()
            refresh(self._database, self._definitions[table], origin=Origin(), lock_wait_seconds=10)
            found.append(time.perf_counter() - began)
        return statistics.median(found)

    def empty(self) -> None:
        with administrator(self._url) as connection:
            connection.exec_driver_sql(f"truncate {', '.join(f'silver.{name}' for name in self.names)}")
            # What was made from a table that was emptied by hand waits for it; here all of them are.
            connection.exec_driver_sql("truncate meta.ingestion_runs cascade")

    def plain_insert(self, table: str) -> float:
        """Seconds of the yardstick: the finished rows copied into a table with the same indexes."""
        with administrator(self._url) as connection:
            connection.exec_driver_sql("drop table if exists public.plain_insert")
            connection.exec_driver_sql(f"create table public.plain_insert (like silver.{table} including all)")
            settle(self._url, *self._read_by(table))
            began = time.perf_counter()
            connection.exec_driver_sql(f"insert into public.plain_insert select * from silver.{table}")
            return time.perf_counter() - began

    def rows(self, table: str) -> int:
        with administrator(self._url) as connection:
            return int(connection.exec_driver_sql(f"select count(*) from silver.{table}").scalar_one())

    def _read_by(self, table: str) -> tuple[str, ...]:
        inputs = self._definitions[table].inputs
        return (f"silver.{table}", *(name for name in inputs if name.startswith("silver.")))


def load(rows: int) -> Callable[[Database, int], set[str]]:
    """Reads so many synthetic records of a day."""

    def read(database: Database, day: int) -> set[str]:
        ingest(
            database,
            wide.STREAM,
            (rows, day),
            request=ReadRequest(),
            origin=Origin(),
            batch_size=load_settings().batch_size,
            lock_wait_seconds=10,
        )
        return {"things", "everyone"}

    return read


def lived(tables: Tables, about: str, *, rounds: int, again: bool = True) -> dict[str, dict[str, list[Any]]]:
    """All rounds, over the records of the first day. again: compute each table once more with nothing changed."""
    results: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    tables.settle_bronze()
    for day in range(1, rounds + 1):
        say(f"{about}: round {day} of {rounds}")
        tables.empty()
        for table in tables.names:
            results[table]["full"].append(tables.refreshed(table, full=True, writes=None))
            results[table]["insert"].append(tables.plain_insert(table))
            if again:
                results[table]["full again"].append(tables.refreshed(table, full=True, writes=False))
        moved = tables.load(day)
        tables.settle_bronze()
        for table in tables.names:
            results[table]["1 %"].append(tables.refreshed(table, writes=table in moved or None))
    for table in tables.names:
        results[table]["quiet"] = [tables.quiet(table)]
        results[table]["rows"] = [tables.rows(table)]
    return results


def work(url: str, rows: int, sql_root: str) -> dict[str, Any]:
    """All rounds, in one process: the work is the server's."""
    tables = Tables(url, load_definitions(Path(sql_root)), load(rows))
    about = f"silver, {rows:,} rows"
    say(f"{about}: records into bronze")
    tables.load(0)
    return {"results": lived(tables, about, rounds=ROUNDS)}


def benchmark(server: EmbeddedPostgres, rows: int) -> Report:
    """Full, incremental and quiet refreshes; medians of the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        root = wide.write_sql_root(Path(folder) / "sql")
        definitions = load_definitions(root)
        url = new_database(server, "silver", root, (wide.STREAM,), definitions)
        return told(definitions, contestant("silver", url, {"rows": rows, "sql_root": str(root)})["results"], "silver")


def told(definitions: tuple[Definition, ...], results: Mapping[str, Any], about: str) -> Report:
    """What the rounds found."""
    report = Report()
    for definition in definitions:
        found = results[definition.table]
        insert = statistics.median(found["insert"])
        computed = [name for name in ("full", "full again", "1 %") if name in found]
        middle = {name: statistics.median_low([s for s, _ in found[name]]) for name in computed}
        name, rows = f"{about}: {definition.table}", found["rows"][0]
        quiet = Measure(f"{name}: nothing changed, quiet", 1000 * found["quiet"][0], "ms", MOST_QUIET[definition.kind])
        if rows < FEW_ROWS or (definition.whole and definition.kind != "merged"):
            empty = Measure(f"{name}: {rows:,} rows into the empty table", middle["full"], "s", MOST_SECONDS)
            report.measures += [empty, quiet]
            continue
        limit = MOST_INSERTS[definition.kind]
        report.measures.append(Measure(f"{name}: into the empty table", middle["full"] / insert, "x INSERT", limit))
        if not definition.whole:
            share = middle["1 %"] / middle["full"]
            report.measures.append(Measure(f"{name}: 1 % changed", share, "x full", MOST_OF_FULL))
        report.measures.append(quiet)
        if "full again" in middle:
            whole = middle["full again"] / insert
            report.measures.append(Measure(f"{name}: nothing changed, computed whole", whole, "x INSERT"))
        report.measures.append(Measure(f"{name}: plain INSERT of {rows:,} rows", insert, "s"))
        for part, seconds in middle.items():
            parts = next(parts for taken, parts in found[part] if taken == seconds)
            report.spendings.append(Spending(f"{name}: {part}", seconds, parts))
    return report


if __name__ == "__main__":
    serve(work)
