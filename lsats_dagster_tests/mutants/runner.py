"""Mutants: one-line faults, each put into a copy of the checkout of its own, where the tests that it names must turn red.

A fault that no test sees is a missing test. Each run has its own Postgres, as any run of the tests has: making it takes a
second, and nothing of one mutant can reach another.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.docs.guide import Checkout, copy_of

Outcome = Literal["red", "lived", "stale", "broken"]
MUTANTS = Path("lsats_dagster_tests", "mutants")
# A mutant may make a program wait for ever. No test that a mutant names takes a tenth of it.
LONGEST_SECONDS = 900
STOP_SECONDS = 60
PYTEST = ("-q", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Mutant:
    """`old`, which stands once in `file`, becomes `new`; each of `tests` (node ids, files, folders) must turn red.

    listed_in: the TOML file that it stands in.
    """

    listed_in: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        return f"{self.file}: {self.why}"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    red: each of its tests failed by an assertion. lived: one did not fail. stale: there is nothing to change. broken: the tests
    could not run, or only other errors ended them, which shows nothing.
    """

    mutant: Mutant
    outcome: Outcome
    detail: str = ""


def load(repository: Path) -> list[Mutant]:
    """The mutants of all TOML files of the folder; TypeError or KeyError where an entry is not as `Mutant` says."""
    files = sorted((repository / MUTANTS).glob("*.toml"))
    return [
        Mutant(listed_in=file.name, **{**entry, "tests": tuple(entry["tests"])})
        for file in files
        for entry in tomllib.loads(file.read_text(encoding="utf-8"))["mutant"]
    ]


def judge(mutant: Mutant, repository: Path) -> Verdict:
    """Put one mutant into a copy, run its tests there, and say what came of it."""
    path = repository / mutant.file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if (times := text.count(mutant.old)) != 1:
        return Verdict(mutant, "stale", f"the old text stands {times} times")
    with TemporaryDirectory(prefix="lsats-mutant-") as folder:
        checkout = copy(repository, Path(folder))
        (checkout.folder / mutant.file).write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        outcomes = Path(folder, "outcomes.json")
        code, said = run_tests(checkout, mutant.tests, "--outcomes", str(outcomes))
        if code not in (0, 1):
            return Verdict(mutant, "broken", f"the tests could not run: {said}")
        failures = json.loads(outcomes.read_text())
    for test in mutant.tests:
        own = [failure for failure in failures if within(failure["test"], test)]
        if not own:
            return Verdict(mutant, "lived", f"{test} stays green")
        if not any(failure["asserted"] for failure in own):
            return Verdict(mutant, "broken", f"{test} ends with {own[0]['error']}, not by an assertion")
    return Verdict(mutant, "red")


def within(nodeid: str, test: str) -> bool:
    """Whether a case is one of those that `test` names."""
    return nodeid == test or nodeid.startswith((f"{test}[", f"{test}::", f"{test.rstrip('/')}/"))


def copy(repository: Path, folder: Path) -> Checkout:
    """A copy that reads its own package, and the plugin of the runner where the copy has none.

    What is compiled is copied too, so that each run compiles one file: Python tells by time and size which one changed.
    """
    folder = folder / "checkout"
    checkout = copy_of(repository, folder, {"PYTHONPATH": os.pathsep.join([str(folder), str(REPOSITORY)])})
    for source in [folder, *filter(Path.is_dir, list(folder.rglob("*")))]:
        compiled = source.relative_to(folder) / "__pycache__"
        if (repository / compiled).is_dir():
            shutil.copytree(repository / compiled, folder / compiled)
    return checkout


def run_tests(checkout: Checkout, tests: Sequence[str], *options: str) -> tuple[int, str]:
    """pytest's exit code, and the end of what it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *PYTEST, "-p", f"{__package__}.outcomes", *options, *tests],
        cwd=checkout.folder, env=checkout.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        stop(process)
        return -1, f"they did not end within {LONGEST_SECONDS} seconds"
    except BaseException:
        stop(process)
        raise
    return process.returncode, " | ".join(said.strip().splitlines()[-4:])


def stop(process: subprocess.Popen[str]) -> None:
    """End a run of pytest and all that it started; it may put its servers away first."""
    for how in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=STOP_SECONDS)
            return


def green(mutants: Sequence[Mutant], repository: Path, workers: int) -> str | None:
    """None when all tests that the mutants name are green without any of them, else what pytest says."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    with TemporaryDirectory(prefix="lsats-mutant-") as folder:
        # One worker is this process' child alone, not a child of that child.
        code, said = run_tests(copy(repository, Path(folder)), tests, "-n", str(workers if workers > 1 else 0))
    return None if code == 0 else said


def judge_all(mutants: Sequence[Mutant], repository: Path, workers: int) -> Iterator[Verdict]:
    """Verdicts as they come, several mutants at once."""
    pool = ThreadPoolExecutor(workers)
    try:
        for done in as_completed([pool.submit(judge, mutant, repository) for mutant in mutants]):
            yield done.result()
    finally:
        # An interrupt waits for those under way, which clean up after themselves.
        pool.shutdown(cancel_futures=True)


def as_json(verdicts: Sequence[Verdict]) -> str:
    return json.dumps([asdict(verdict) for verdict in verdicts], indent=2)
