"""Run the mutants: `python -m lsats_dagster_tests.mutants`; ends with 1 unless every mutant is red."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.mutants.runner import as_json, green, judge_all, load

SIGNS = {"red": "✅", "lived": "❌", "stale": "❌", "broken": "❌"}


def main(arguments: Sequence[str] | None = None, repository: Path = REPOSITORY) -> int:
    parser = argparse.ArgumentParser(prog="python -m lsats_dagster_tests.mutants", description=__doc__)
    parser.add_argument(
        "--only", metavar="PATTERN", default="", help="those whose files, sentence or tests contain this"
    )
    parser.add_argument("--workers", type=int, default=2, help="how many at once (default: 2)")
    parser.add_argument("--json", action="store_true", help="the verdicts as JSON on standard output")
    options = parser.parse_args(arguments)
    out = sys.stderr if options.json else sys.stdout

    mutants = [m for m in load(repository) if options.only.lower() in f"{m.listed_in} {m} {' '.join(m.tests)}".lower()]
    if not mutants:
        print(f"no mutant contains {options.only!r}", file=out)
        return 2
    print(f"🔄 the tests of {len(mutants)} mutants, without any of them", file=out, flush=True)
    if said := green(mutants, repository, options.workers):
        print(f"❌ not all are green, so that they prove nothing: {said}", file=out)
        return 2
    verdicts = []
    for verdict in judge_all(mutants, repository, options.workers):
        verdicts.append(verdict)
        about = f"{len(verdicts)}/{len(mutants)} {SIGNS[verdict.outcome]} {verdict.outcome}: {verdict.mutant}"
        print(f"{about} ({verdict.detail})" if verdict.detail else about, file=out, flush=True)
    counts = Counter(verdict.outcome for verdict in verdicts)
    print(f"{len(verdicts)} mutants: " + ", ".join(f"{counts[name]} {name}" for name in SIGNS), file=out)
    if options.json:
        print(as_json(verdicts))
    return 0 if counts["red"] == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
