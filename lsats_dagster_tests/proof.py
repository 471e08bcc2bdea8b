"""Everything in depth: all suites, the mutants, the smallest benchmarks, servers of others, the UI; then what each part cost.

`make proof` runs this. The suites tell the figures of the truth too (`make truth` runs that part alone).

A part that fails does not keep the others from running, and fails the whole.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.budget import table
from lsats_dagster_tests.servers.slapd import find

TESTS = "lsats_dagster_tests"


@dataclass
class Proof:
    """What was run so far: CPU seconds by part, and the parts that failed or had to be left out."""

    began: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def run(self, part: str, *arguments: str, **environment: str) -> None:
        """One part, as a Python program of its own (`python -m`)."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=REPOSITORY, env={**os.environ, **environment}, check=False
        ).returncode
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.seconds[part] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if code:
            self.failed.append(part)

    def run_suites(self, workers: str) -> None:
        """All tests that need no browser and no server of others, in depth; their parts take the place of the whole."""
        with TemporaryDirectory() as folder:
            costs = Path(folder, "costs.json")
            self.run(
                "suites", "pytest", "-n", workers, "--dist", "worksteal", f"--ignore={TESTS}/ui", f"--ignore={TESTS}/servers",
                "--costs", str(costs), LSATS_PROOF="1",
            )  # fmt: skip
            if costs.exists():
                del self.seconds["suites"]
                self.seconds |= json.loads(costs.read_text())["parts"]

    def end(self) -> int:
        """Say what came of it; the exit code."""
        print("\nCPU seconds by part; of the servers beside them only the cases' Postgres:")
        print("\n".join(table(self.seconds)))
        for part in self.left_out:
            print(f"⚠️ left out: {part}")
        verdict = f"❌ failed: {', '.join(self.failed)}" if self.failed else "✅ proven"
        minutes = (time.monotonic() - self.began) / 60
        print(f"{verdict}; {sum(self.seconds.values()):.0f} CPU seconds in all, {minutes:.0f} minutes", flush=True)
        return 1 if self.failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lsats_dagster_tests.proof", description=__doc__)
    parser.add_argument("--workers", default="2", help="how many tests or mutants at once (default: 2)")
    workers = parser.parse_args(arguments).workers
    proof = Proof()
    proof.run_suites(workers)
    proof.run("mutants", f"{TESTS}.mutants", "--workers", workers)
    # Far too small to say how fast anything is: whether each of them still comes to its end.
    proof.run("benchmarks", "benchmarks", "--records", "1000", "--size", "tiny")
    if find("slapd"):
        proof.run("servers", "pytest", f"{TESTS}/servers")
    else:
        proof.left_out.append("the tests of servers (no slapd: install it)")
    if os.environ.get("CHROMIUM") or shutil.which("chromium"):
        proof.run("ui", "pytest", f"{TESTS}/ui")
    else:
        proof.left_out.append("the tests of the UI (no Chromium: install it, or set CHROMIUM to its path)")
    return proof.end()


if __name__ == "__main__":
    sys.exit(main())
