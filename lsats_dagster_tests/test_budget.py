"""The hook that watches what cases cost turns red for each way to cost too much, and only then."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lsats_dagster.database import Database
from lsats_dagster_tests import budget

pytest_plugins = ["pytester"]

SETTINGS = """
from lsats_dagster_tests import budget
budget.CASE_SECONDS = 0.1
budget.STREAM_SECONDS = budget.TABLE_SECONDS = 0.25
"""
CASES = """
import subprocess, sys, threading, time
import pytest

BURN = "import time; end = time.process_time() + 0.5\\nwhile time.process_time() < end: pass"

def burn():
    exec(BURN, {})

@pytest.fixture(scope="module")
def shared():
    burn()

@pytest.fixture
def ending():
    yield
    burn()

def test_cheap():
    pass

def test_waiting():
    threading.Event().wait(0.5)

def test_shared(shared):
    pass

@pytest.mark.budget(0.5, "it does much")
def test_marked():
    burn()

def test_dear():
    burn()

def test_dear_child():
    subprocess.run([sys.executable, "-c", BURN], check=True)

def test_dear_end(ending):
    pass

@pytest.mark.budget(9, "")
def test_without_reason():
    pass

@pytest.mark.deep
def test_deep():
    burn()
"""
SUBJECTS = """
import time
import pytest

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

@pytest.mark.budget(1, "to be summed")
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("key", ["bronze/dear", "silver/cheap"])
def test_each(key, place):
    burn(0.4 if key == "bronze/dear" else 0)

@pytest.mark.engine
@pytest.mark.budget(1, "an example")
@pytest.mark.parametrize("key", ["silver/cheap"])
def test_engine(key):
    burn(0.6)

@pytest.mark.deep
@pytest.mark.parametrize("key", ["enriched/deep"])
def test_deep(key):
    burn(0.05)
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nmarkers =\n    budget\n    deep\n    engine\naddopts = -p lsats_dagster_tests.budget")
    pytester.makeconftest(SETTINGS)
    return pytester


def failed(result: pytest.RunResult) -> set[str]:
    lines = (line.split() for line in result.outlines)
    return {words[1].partition("::")[2] for words in lines if words[:1] in (["ERROR"], ["FAILED"]) and len(words) > 1}


@pytest.mark.parametrize(("proof", "deep"), [("", {"test_deep"}), ("1", set())])
def test_a_case_above_its_budget_fails(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, proof: str, deep: set[str]
) -> None:
    monkeypatch.setenv("LSATS_PROOF", proof)
    project.makepyfile(CASES)
    result = project.runpytest_subprocess("-rEf", "-p", "no:randomly")
    assert failed(result) == {"test_dear", "test_dear_child", "test_dear_end", "test_without_reason", *deep}
    result.stdout.fnmatch_lines(["*CPU seconds, more than 3 times its budget of 0.1*"])


@pytest.mark.budget(6, "a pytest with two workers is three processes")
@pytest.mark.parametrize(("proof", "workers"), [("", "0"), ("1", "2")])
def test_sums_over_all_workers_fail_the_proof_only(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proof: str, workers: str
) -> None:
    monkeypatch.setenv("LSATS_PROOF", proof)
    file = project.makepyfile(SUBJECTS)
    costs = tmp_path / "costs.json"
    result = project.runpytest_subprocess("-n", workers, "--costs", str(costs))
    result.assert_outcomes(passed=8)
    found: dict[str, Any] = json.loads(costs.read_text())
    subjects = found["subjects"]
    assert subjects["bronze/dear"] > 1.1
    assert subjects["silver/cheap"] < 0.25
    # What is done more often in depth counts as it does in an ordinary run.
    assert (subjects["enriched/deep"] < 0.025) == bool(proof)
    assert found["parts"].keys() == {Path(file).name, "shared fixtures, collection"}
    assert found["dear"] == ["bronze/dear"]
    assert result.ret == (1 if proof else 0)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell")
def test_the_work_of_postgres_counts(hub: Database, request: pytest.FixtureRequest) -> None:
    postmaster = request.config.stash[budget.POSTMASTER]
    before = budget.tree_seconds(postmaster)
    for _ in range(3):
        with hub.connect() as connection:
            connection.exec_driver_sql("select sum(mod(n, 7)) from generate_series(1, 1000000) n").scalar_one()
        # The connection's own process ends: what it took is still there.
        hub.dispose()
    assert budget.tree_seconds(postmaster) - before >= 0.1


CHURN = """
import os, sys, time

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

while True:
    if not (child := os.fork()):
        burn(0.012)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell")
def test_the_time_of_a_child_that_ends_counts_once() -> None:
    """It goes over to who waited for it: of a backend with hours behind it, a case would be told all or get them off."""
    with subprocess.Popen([sys.executable, "-c", CHURN]) as parent:
        seen = [budget.tree_seconds(parent.pid) for _ in range(12_000)]
        parent.kill()
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]
