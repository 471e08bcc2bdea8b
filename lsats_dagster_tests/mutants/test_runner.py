"""The runner of mutants tells one that tests see from one that lives, one whose line is gone, and one that shows nothing."""

import json
import subprocess
from pathlib import Path

import pytest

from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.mutants import runner
from lsats_dagster_tests.mutants.__main__ import main
from lsats_dagster_tests.mutants.runner import MUTANTS, Mutant, load

PROGRAM = """
def larger(a, b):
    if a > b:
        return a
    return b

def limit():
    return 10

def greeting():
    return "hello"
"""
TESTS = """
import pytest
import program

@pytest.mark.parametrize("pair", [(1, 2), (2, 1)])
def test_larger(pair):
    assert program.larger(*pair) == 2

def test_limit():
    with pytest.raises(ValueError):
        if program.limit() == 10:
            raise ValueError

def test_greeting():
    assert program.greeting()
"""
# why -> (old, new, test)
CHANGES = {
    "seen": ("if a > b", "if a < b", "test_program.py::test_larger"),
    "seen by what is not raised": ("return 10", "return 11", "test_program.py::test_limit"),
    "seen by one of two": ("return 10", "return 12", 'test_program.py::test_limit", "test_program.py::test_greeting'),
    "not seen": ("'hello'", "'bye'", "test_program.py"),
    "gone": ("return c", "return d", "test_program.py"),
    "twice": ("return", "yield", "test_program.py"),
    "no Python": ("def limit():", "def limit(:", "test_program.py"),
    "another error": ("return 10", "return unknown", "test_program.py::test_limit"),
}
WANTED = {
    "seen": "red",
    "seen by what is not raised": "red",
    "seen by one of two": "lived",
    "not seen": "lived",
    "gone": "stale",
    "twice": "stale",
    "no Python": "broken",
    "another error": "broken",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two files and its mutants, in two more, under version control as far as `git init` goes."""
    project = tmp_path / "project"
    (project / MUTANTS).mkdir(parents=True)
    (project / "program.py").write_text(PROGRAM.replace('"', "'"))
    (project / "test_program.py").write_text(TESTS)
    entries = [
        f'[[mutant]]\nwhy = "{why}"\nfile = "program.py"\nold = "{old}"\nnew = "{new}"\ntests = ["{test}"]'
        for why, (old, new, test) in CHANGES.items()
    ]
    (project / MUTANTS / "one.toml").write_text("\n".join(entries[:3]))
    (project / MUTANTS / "other.toml").write_text("\n".join(entries[3:]))
    subprocess.run(["git", "init", "--quiet", project], check=True)
    return project


@pytest.mark.budget(12, "one pytest for each mutant")
def test_each_kind_of_mutant_is_told_apart(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"], project) == 1
    said = capfd.readouterr()
    assert {verdict["mutant"]["why"]: verdict["outcome"] for verdict in json.loads(said.out)} == WANTED
    assert "8 mutants: 2 red, 2 lived, 2 stale, 2 broken" in said.err
    assert (project / "program.py").read_text() == PROGRAM.replace('"', "'")


def test_all_red_is_proof(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "SEEN BY WHAT", "--workers", "1"], project) == 0
    assert "1/1 ✅ red: program.py: seen by what is not raised" in capfd.readouterr().out


def test_tests_that_are_red_without_a_mutant_prove_nothing(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "program.py").write_text(PROGRAM.replace("10", "9").replace('"', "'"))
    assert main(["--only", "seen by what", "--workers", "1"], project) == 2
    assert "test_limit" in capfd.readouterr().out


def test_a_mutant_that_never_ends_shows_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LONGEST_SECONDS", 1)
    tests = ("test_program.py::test_limit",)
    endless = Mutant("made.toml", "program.py", "    return 10", "    __import__('time').sleep(3600)", tests, "endless")
    verdict = runner.judge(endless, project)
    assert (verdict.outcome, verdict.detail) == ("broken", "the tests could not run: they did not end within 1 seconds")


def test_a_pattern_that_fits_nothing_is_no_proof(project: Path) -> None:
    assert main(["--only", "nothing at all"], project) == 2


def stands(test: str) -> bool:
    """Whether there is a test of this name, its parameters aside."""
    file, _, name = test.partition("::")
    path = REPOSITORY / file
    return path.exists() and (not name or f"def {name.partition('[')[0]}(" in path.read_text(encoding="utf-8"))


def test_every_mutant_of_the_hub_can_be_planted() -> None:
    """Without running it: a renamed file or a changed line is found at once, not in the next proof."""
    mutants = load(REPOSITORY)
    assert mutants
    for mutant in mutants:
        assert (REPOSITORY / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1, mutant
        assert mutant.new != mutant.old
        assert mutant.tests
        assert all(map(stands, mutant.tests)), mutant
    assert len({mutant.why for mutant in mutants}) == len(mutants)
