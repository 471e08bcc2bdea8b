"""`make proof` runs every part, whatever becomes of those before, and hides no failure."""

from pathlib import Path

import pytest

from lsats_dagster_tests.proof import Proof


def test_a_part_that_fails_stops_no_other_and_fails_the_whole(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    proof = Proof()
    proof.run("first", "json.tool", str(tmp_path / "missing.json"))
    proof.run("second", "compileall", "-q", str(tmp_path))
    proof.left_out.append("the third")
    assert proof.end() == 1
    said = capfd.readouterr().out
    assert proof.seconds.keys() == {"first", "second"}
    assert min(proof.seconds.values()) > 0
    for words in ("first\n", "second\n", "left out: the third", "❌ failed: first; "):
        assert words in said
    assert said.rstrip().endswith(" minutes")


def test_without_a_failure_it_is_proven(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    proof = Proof()
    proof.run("only", "compileall", "-q", str(tmp_path))
    assert proof.end() == 0
    assert "✅ proven; " in capfd.readouterr().out
