"""The daily job of all assets with nothing changed, over the demo's campus, on a Dagster instance with Postgres storage.

Hub: what the runs report as their seconds, less the calls. Source: time within the clients' calls. Dagster: the rest of
the job. What the command adds (start of Python, imports, definitions) is told by itself.
"""

import logging
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.common import REPOSITORY, Measure, Report, Sampler, Spending, contestant, say, serve
from lsats_dagster.demo.campus import running_campus
from lsats_dagster.demo.postgres import EmbeddedPostgres

JOB = "hub_daily"
ROUNDS = 5
# Every call of a source goes through this method of clients/http.py.
LABELS = {"exchange": "source"}


def work(url: str) -> dict[str, Any]:
    """Fill the hub, then run the job again and again with nothing changed."""
    # Only this process needs Dagster: the parent has to stay small.
    from lsats_dagster.cli.database import upgrade_database
    from lsats_dagster.cli.environment import hub_environment
    from lsats_dagster.cli.execution import dagster_instance
    from lsats_dagster.cli.run import execute

    logging.getLogger("lsats_dagster").setLevel(logging.ERROR)
    quiet = []
    with hub_environment() as settings:
        upgrade_database(settings)
        with dagster_instance() as instance:
            fill = execute(JOB, instance, {})
            if not fill.success:
                raise RuntimeError(f"the job failed: {fill.failures}")
            for _ in range(ROUNDS):
                with Sampler(LABELS, interval=0.002) as sampler:
                    outcome = execute(JOB, instance, {})
                written = sum(row[n] for row in outcome.tables.values() for n in ("created", "updated", "removed"))
                if not outcome.success or written:
                    raise RuntimeError(f"the job was not quiet: {written} rows written, failed: {outcome.failures}")
                source = sampler.parts().get("source", 0.0)
                reported = sum(row["seconds"] for row in outcome.tables.values())
                quiet.append({"seconds": sampler.seconds, "source": source, "hub": max(0.0, reported - source)})
        command = [str(Path(sys.executable).with_name("lsats")), "run", JOB]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)
        whole = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"the command failed: {(done.stdout + done.stderr)[-1000:]}")
    return {"quiet": quiet, "command": whole, "assets": len(outcome.tables)}


def benchmark(server: EmbeddedPostgres, home: Path) -> Report:
    """Median of the quiet jobs, and where its time goes."""
    say("quiet job: filling the hub from the campus, then running with nothing changed")
    with running_campus(size="small", state=home / "campus.json") as campus:
        environment = campus.environment | {"LSATS_HOME": str(home)}
        result = contestant("quiet_job", server.url("lsats"), {}, environment)
    middle = statistics.median_low([run["seconds"] for run in result["quiet"]])
    run = next(run for run in result["quiet"] if run["seconds"] == middle)
    dagster = middle - run["hub"] - run["source"]
    return Report(
        [
            Measure(f"quiet job of {result['assets']} assets", middle, "s", 10.0),
            Measure("quiet job as a command, start and imports included", result["command"], "s", 10.0),
        ],
        [Spending("quiet job", middle, {"Dagster": dagster, "hub": run["hub"], "source": run["source"]})],
    )


if __name__ == "__main__":
    serve(work)
