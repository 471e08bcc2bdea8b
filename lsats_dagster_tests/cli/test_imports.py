"""What a command loads: imports are nearly all that a short command costs, so they are counted, not its seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from lsats_dagster.cli import COMMANDS
from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.automation.aids import PATIENCE
from lsats_dagster_tests.cli.aids import environment, in_process

HEAVY = ("dagster", "pandas", "numpy", "sqlglot", "sqlalchemy", "psycopg", "pydantic", "requests")
# Each of these reads a database.
READS = [
    ("status",), ("runs",), ("quarantine", "list"), ("explain", "department", "1"), ("history", "department", "1"),
    ("find", "chemistry"), ("quality",),
]  # fmt: skip
LOADED = """
import atexit, sys
atexit.register(lambda: print("LOADED", *sorted(name for name in sys.modules if "." not in name), file=sys.stderr))
sys.argv = ["lsats", *sys.argv[1:]]
from lsats_dagster.cli import main
main()
"""


def loaded(*words: str, variables: dict[str, str], folder: Path) -> set[str]:
    """The heavy packages that a process of the command had loaded in the end."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], cwd=folder,
        env=variables | {"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("LOADED ")]
    assert done.returncode in (0, 1), done.stderr
    return set(HEAVY) & set(line.split())


def test_help_loads_the_parser_alone(tmp_path: Path) -> None:
    assert loaded("--help", variables=environment(tmp_path), folder=tmp_path) == set()


@pytest.mark.budget(9, "seven processes")
def test_commands_that_read_load_neither_dagster_nor_data_frames(variables: dict[str, str], tmp_path: Path) -> None:
    for words in READS:
        found = loaded(*words, variables=variables, folder=tmp_path)
        assert found <= {"sqlalchemy", "psycopg", "pydantic", "requests"}, words


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_what_their_own_help_says(tmp_path: Path, command: str) -> None:
    done = in_process(command, "--help", folder=tmp_path, variables=environment(tmp_path) | {"COLUMNS": "200"})
    begins = COMMANDS[command][1].rstrip(".").split(",")[0].split(":")[0]
    assert begins in " ".join(done.stdout.split())
