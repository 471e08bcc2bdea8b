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
from lsats_dagster.runs import Mode, Origin
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
# Table -> (what it is, most that a full refresh may cost, in INSERTs; of a whole table that is told in seconds).
Measured = Mapping[str, tuple[str, float | None]]
MEASURED: Measured = {
    "things": ("source table, 60 columns", 6.0),
    "everyone": ("merged of four, 60 columns", 8.0),
    "twins": (f"whole with a step, {wide.NODES:,} nodes", None),
}


class Tables:
    """The tables under measurement, with what the rounds do to them.

    load: brings the records of a day into bronze; each day after the first changes 1 % of them.
    """

    def __init__(self, url: str, definitions: tuple[Definition, ...], load: Callable[[Database, int], None]) -> None:
        self._url = url
        self._definitions = {definition.table: definition for definition in definitions}
        self._load = load
        self._database = Database(url)
        self.names = tuple(self._definitions)

    def is_whole(self, table: str) -> bool:
        return self._definitions[table].whole

    def load(self, day: int) -> None:
        """Bring the records of `day` into bronze."""
        self._load(self._database, day)

    def refreshed(self, table: str, mode: Mode, *, writes: bool) -> tuple[float, dict[str, float]]:
        """Seconds and parts of one refresh, which must be of this mode and write or not."""
        settle(self._url, *self._read_by(table))
        with Sampler(LABELS) as sampler:
            run = refresh(
                self._database,
                self._definitions[table],
                origin=Origin(),
                full=mode == "full",
                lock_wait_seconds=10,
            )
        written = run.counts.created + run.counts.updated + run.counts.removed
        if run.mode != mode or writes != bool(written):
            raise RuntimeError(f"{table}: {run.mode}, {written} rows written, expected {mode}, writes: {writes}")
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

    def _read_by(self, table: str) -> tuple[str, ...]:
        silver = (name for name in self._definitions[table].inputs if name.startswith("silver."))
        return ("bronze.raw_entities", "bronze.current_entities", f"silver.{table}", *silver)


def load(rows: int) -> Callable[[Database, int], None]:
    """Reads so many synthetic records of a day."""

    def read(database: Database, day: int) -> None:
        ingest(
            database,
            wide.STREAM,
            (rows, day),
            request=ReadRequest(),
            origin=Origin(),
            batch_size=load_settings().batch_size,
            lock_wait_seconds=10,
        )

    return read


def lived(tables: Tables, about: str, *, whole_moves: bool) -> dict[str, dict[str, list[Any]]]:
    """All rounds. whole_moves: whether a day changes anything in tables that are always computed whole."""
    say(f"{about}: records into bronze")
    tables.load(0)
    results: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for day in range(1, ROUNDS + 1):
        say(f"{about}: round {day} of {ROUNDS}")
        tables.empty()
        for table in tables.names:
            results[table]["full"].append(tables.refreshed(table, "full", writes=True))
            results[table]["insert"].append(tables.plain_insert(table))
            results[table]["full again"].append(tables.refreshed(table, "full", writes=False))
        tables.load(day)
        for table in tables.names:
            whole = tables.is_whole(table)
            mode: Mode = "full" if whole else "incremental"
            results[table]["1 %"].append(tables.refreshed(table, mode, writes=whole_moves or not whole))
    for table in tables.names:
        results[table]["quiet"] = [tables.quiet(table)]
    return results


def work(url: str, rows: int, sql_root: str) -> dict[str, Any]:
    """All rounds, in one process: the work is the server's."""
    tables = Tables(url, load_definitions(Path(sql_root)), load(rows))
    return {"results": lived(tables, f"silver, {rows:,} rows", whole_moves=False)}


def benchmark(server: EmbeddedPostgres, rows: int) -> Report:
    """Full, incremental and quiet refreshes; medians of the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        root = wide.write_sql_root(Path(folder) / "sql")
        url = new_database(server, "silver", root, (wide.STREAM,), load_definitions(root))
        return told(MEASURED, contestant("silver", url, {"rows": rows, "sql_root": str(root)})["results"])


def told(measured: Measured, results: Mapping[str, Any]) -> Report:
    """What the rounds found."""
    report = Report()
    for table, (about, limit) in measured.items():
        found = results[table]
        insert = statistics.median(found["insert"])
        middle = {name: statistics.median_low([s for s, _ in found[name]]) for name in ("full", "full again", "1 %")}
        name = f"silver: {about}"
        if limit is None:
            report.measures.append(Measure(f"{name}: into the empty table", middle["full"], "s", 4.0))
        else:
            report.measures += [
                Measure(f"{name}: into the empty table", middle["full"] / insert, "x INSERT", limit),
                Measure(f"{name}: 1 % changed", middle["1 %"] / middle["full"], "x full", 0.1),
            ]
        report.measures += [
            Measure(f"{name}: nothing changed, quiet", 1000 * found["quiet"][0], "ms", 10.0),
            Measure(f"{name}: nothing changed, computed whole", middle["full again"] / insert, "x INSERT"),
            Measure(f"{name}: plain INSERT, median", insert, "s"),
        ]
        for part, seconds in middle.items():
            parts = next(parts for taken, parts in found[part] if taken == seconds)
            report.spendings.append(Spending(f"{name}: {part}", seconds, parts))
    return report


if __name__ == "__main__":
    serve(work)
