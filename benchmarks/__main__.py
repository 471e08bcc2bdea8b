"""`python -m benchmarks`: measure everything in one run and print one table.

Ends with 1 where a benchmark could not end, with 0 even where a limit is passed.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import bronze, directories, history, hub_tables, quiet_job, silver
from benchmarks.common import Report
from lsats_dagster.demo.campus.sizes import SIZES
from lsats_dagster.demo.postgres import EmbeddedPostgres, embedded_postgres, remove_cluster

RECORDS = 400_000
PEOPLE = 700_000
BENCHMARKS: dict[str, Callable[[EmbeddedPostgres, Path, argparse.Namespace], Report]] = {
    "bronze": lambda server, home, options: bronze.benchmark(server, options.records),
    "directories": lambda server, home, options: directories.benchmark(server, options.records // 20),
    "silver": lambda server, home, options: silver.benchmark(server, options.records // 4),
    "campus": lambda server, home, options: hub_tables.benchmark(server, options.size),
    "people": lambda server, home, options: hub_tables.benchmark(server, "tiny", options.people),
    "history": lambda server, home, options: history.benchmark(server, options.records // 20),
    "quiet-job": lambda server, home, options: quiet_job.benchmark(server, home),
}
MEMORY_NOTE = (
    """Peak memory: the Python process of the engine whole (interpreter, libraries, one batch), not the server's."""
)


def measure(options: argparse.Namespace, binaries: Path | None) -> Iterator[Report]:
    """Each benchmark's report as it ends, all on one embedded server of its own, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="lsats_bench_") as folder:
        home = Path(folder)
        try:
            with embedded_postgres(home, binaries=binaries) as server:
                for name, benchmark in BENCHMARKS.items():
                    if name not in options.only:
                        continue
                    try:
                        yield benchmark(server, home, options)
                    except Exception as error:
                        # What the others found took minutes to find.
                        yield Report(failures=[f"{name}: {type(error).__name__}: {error}"])
        finally:
            remove_cluster(home)


def show_measures(report: Report) -> None:
    """The rows of one benchmark, at once: the next takes minutes."""
    for m in report.measures:
        limit = "" if m.limit is None else f"{m.limit:g}"
        mark = {"ok": "✅ ok", "over": "❌ over", "": ""}[m.verdict]
        print(f"{m.name:74}{m.figure:>10.2f}  {m.unit:10}{limit:>8}  {mark}".rstrip())
    for failure in report.failures:
        print(f"❌ {failure}")
    sys.stdout.flush()


def show_spendings(report: Report) -> None:
    """Where the time went."""
    print(
        f"\n{MEMORY_NOTE}\n\nWhere the time goes, sampled; reading and writing overlap, the parts then exceed the whole"
    )
    for spending in report.spendings:
        print(f"\n{spending.of}: {spending.seconds:.2f} s")
        for part, seconds in spending.parts.items():
            print(f"  {seconds / spending.seconds:>5.0%}  {seconds:>8.2f} s  {part}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", choices=BENCHMARKS, nargs="+", default=list(BENCHMARKS), help="which benchmarks to run (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--records",
        type=int,
        default=RECORDS,
        help="records of the bronze benchmark; silver: a quarter, directories: a twentieth and a half",
    )
    parser.add_argument(
        "--size", choices=SIZES, default="college", help="campus whose records fill the hub's own tables"
    )
    parser.add_argument(
        "--people",
        type=int,
        help=f"entries of MCommunity whose records fill the same tables again; as many as {PEOPLE:,} are to {RECORDS:,} records",
    )
    options = parser.parse_args()
    if options.records < 1_000:
        parser.error("--records: at least 1000")
    binaries = os.environ.get("LSATS_PG_BIN")
    options.people = options.people or options.records * PEOPLE // RECORDS
    whole = Report()
    if not options.json:
        print(f"{'measure':74}{'figure':>10}  {'unit':10}{'limit':>8}  verdict", flush=True)
    for report in measure(options, Path(binaries) if binaries else None):
        whole.measures += report.measures
        whole.spendings += report.spendings
        whole.failures += report.failures
        if not options.json:
            show_measures(report)
    if options.json:
        measures = [dataclasses.asdict(m) | {"verdict": m.verdict} for m in whole.measures]
        print(
            json.dumps(
                {
                    "measures": measures,
                    "spendings": [dataclasses.asdict(s) for s in whole.spendings],
                    "failures": whole.failures,
                },
                indent=2,
            )
        )
    else:
        show_spendings(whole)
    return 1 if whole.failures else 0


if __name__ == "__main__":
    sys.exit(main())
