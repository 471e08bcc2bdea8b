"""`lsats demo` as a newcomer runs it: from nothing, again, twice at once, and after it was killed."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lsats_dagster.cli.demo import live
from lsats_dagster.cli.explain import EXAMPLE
from lsats_dagster.cli.hub import Hub
from lsats_dagster.database import Database
from lsats_dagster.demo.campus import BAD_RECORD, running_campus
from lsats_dagster.demo.postgres import cluster_folder, remove_cluster
from lsats_dagster.runs import Origin, Subject, open_run
from lsats_dagster.settings import REPOSITORY
from lsats_dagster.sources import active_directory
from lsats_dagster_tests.automation.aids import Operation, wait_until
from lsats_dagster_tests.cli.aids import LSATS, environment, installed, of_few
from lsats_dagster_tests.hubs import FEW_HUB, FEW_KEYS, FEW_STREAMS, LSATS_OF_FEW, WHOLE_KEYS, on, with_streams

READ = {stream.label for stream in FEW_STREAMS}
SAYS = re.compile(r"^(\S+) (\S+): new, updated, removed \((.*)\); the campus says \((.*)\)$", re.MULTILINE)
SCREEN = 40  # lines
# What libpq takes from the environment, of a kind that no embedded server could answer.
FOR_ANOTHER_SERVER = {
    "PGSERVICE": "no_such", "PGCHANNELBINDING": "require", "PGREQUIREAUTH": "none", "PGTARGETSESSIONATTRS": "standby",
    "PGSSLROOTCERT": "system", "PGSSLMODE": "verify-full", "PGHOSTADDR": "192.0.2.1", "PGOPTIONS": "-c role=nobody",
}  # fmt: skip
READING = "the incremental run", "materializing everything"
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder with the demo's LSATS_HOME; whatever was left running in it is ended."""
    # A killed run may have left one by the same name.
    remove_cluster(tmp_path / "home")
    yield tmp_path
    remove_cluster(tmp_path / "home")


def demo(folder: Path, *arguments: str, run: Program = of_few, **more: str) -> subprocess.CompletedProcess[str]:
    return run("demo", "--size", "tiny", *arguments, folder=folder, variables=environment(folder, **more))


@contextmanager
def started(folder: Path, *until: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that has come as far as one of these words of its output. It has ended when the block has."""
    with (folder / "stderr").open("w") as log:
        process = subprocess.Popen(
            [*LSATS_OF_FEW, "demo", "--size", "tiny", "-v"],
            cwd=folder,
            env=environment(folder, PYTHONUNBUFFERED="1", PYTHONPATH=str(REPOSITORY)),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout
    try:
        for line in process.stdout:
            if any(words in line for words in until):
                break
        else:
            pytest.fail((folder / "stderr").read_text())
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def assert_as_the_campus_says(output: str) -> None:
    """Every stream saw something new, something changed and something gone, exactly as the campus did."""
    said = {stream: (mark, seen, done) for mark, stream, seen, done in SAYS.findall(output)}
    assert said.keys() == READ, output
    for mark, seen, done in said.values():
        assert (mark, seen) == ("✅", done)
        assert all(int(number) > 0 for number in done.split(", "))


def children_of(process: int) -> set[int]:
    """Processes that this one started and that live; zombies are dead."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if f"\nPPid:\t{process}\n" in text and "\nState:\tZ" not in text:
            found.add(int(status.parent.name))
    return found


def lives(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


@pytest.mark.budget(
    25, "three demos, each a process that loads Dagster; the first lives through a day of the whole hub"
)
def test_a_newcomers_first_and_second_demo(folder: Path) -> None:
    first = demo(folder, run=installed, **FOR_ANOTHER_SERVER)
    assert first.returncode == 0, first.stdout + first.stderr
    assert [line for line in first.stderr.splitlines() if "quarantined" not in line] == []
    assert len(first.stdout.splitlines()) <= SCREEN
    assert first.stdout.count(f"✅ {len(WHOLE_KEYS)} tables: ") == 2
    assert "1 quarantined; exactly what the campus did" in first.stdout
    assert "lost: tdx: " in first.stdout
    assert "make ui" in first.stdout
    here = os.path.relpath(LSATS, folder)
    steps = [line.replace(here, ".venv/bin/lsats") for line in first.stdout.splitlines() if f"  {here} " in line]
    assert 0 < max(map(len, steps)) <= 80

    # The second, of three streams, goes on from the day of the first; while it runs, a third is told so.
    with started(folder, *READING) as second:
        third = demo(folder)
        rest = second.stdout.read() if second.stdout else ""
        second.wait()
    assert third.returncode == 2
    [sentence] = third.stderr.strip().splitlines()[-1:]
    assert sentence.startswith("❌ another demo runs")
    assert "LSATS_HOME" in sentence
    assert "Traceback" not in third.stderr
    assert second.returncode == 0, (folder / "stderr").read_text()
    assert "Campus day 2" in rest
    assert_as_the_campus_says(rest)
    for table in FEW_KEYS:
        _, figure = re.findall(rf"^ {table} +(\d+)", rest, re.MULTILINE)
        assert int(figure) > 0, rest
    # What the help shows, and the record that a read after its repair resolves.
    assert installed("explain", *EXAMPLE, folder=folder, variables=environment(folder)).returncode == 0

    cluster = cluster_folder(folder / "home")
    assert f"embedded Postgres are in {cluster}" in first.stdout
    cleaned = installed("clean", "--yes", folder=folder, variables=environment(folder))
    assert (cleaned.returncode, str(cluster) in cleaned.stdout) == (0, True), cleaned.stderr
    assert not (folder / "home").exists()
    assert cluster_folder(folder / "home") is None


def test_a_demo_of_no_day_keeps_the_bad_record(operation: Operation) -> None:
    """It is what `make ui` does, and must not resolve what the demo before it left for a replay."""
    [day] = on(FEW_HUB, lambda: list(live(operation.campus, operation.instance, 0, say=print)))
    assert day.run.tables[FEW_HUB.asset_keys[BAD_RECORD[0]]]["failed"] == 1


@pytest.mark.budget(8, "one stream is read on each of eight days")
def test_what_is_read_by_changes_is_read_whole_on_each_seventh_day(operation: Operation) -> None:
    """Accounts are deleted on such days, and no look at what changed shows that."""
    accounts = Hub((with_streams(active_directory.SOURCE, active_directory.USERS),), ())
    days = on(accounts, lambda: list(live(operation.campus, operation.instance, 8, say=print)))
    assert [day.seen for day in days] == [day.done for day in days]
    assert [day.day for day in days if day.weekly] == [7]
    assert [day.day for day in days if any(removed for _, _, removed in day.done.values())] == [7]
    assert all(day.whole for day in days)


@pytest.mark.parametrize(("size", "days"), [("tiny", 30), ("small", 2)])
def test_the_row_that_the_demo_explains_stays_disputed(size: str, days: int) -> None:
    _, code = EXAMPLE
    with running_campus(size=size) as campus:
        for day in range(days):
            hr = campus.truth("umich_api/department").get(code, {}).get("DeptDescription")
            names = [account["Name"] for account in campus.truth("tdx/department").values() if account["Code"] == code]
            assert (bool(hr), len(names), hr in names) == (True, 1, False), day
            campus.live_one_day()


@pytest.mark.budget(12, "two demos, each a process that loads Dagster")
def test_a_demo_works_after_one_that_was_killed(folder: Path) -> None:
    with started(folder, "materializing everything") as killed:
        # In the middle of the reading: the details take some seconds.
        wait_until(lambda: "details are due" in (folder / "stderr").read_text(), "the details")
        children = children_of(killed.pid)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert children, "the campus is a process of its own"
    wait_until(lambda: not any(lives(child) for child in children), "the end of the campus")
    after = demo(folder, "--json")
    assert after.returncode == 0, after.stdout + after.stderr
    first, second = json.loads(after.stdout)
    assert first["whole"] is second["whole"] is True
    assert first["run"]["tables"].keys() == second["run"]["tables"].keys() == set(FEW_KEYS)
    assert second["seen"] == second["done"]
    assert second["seen"].keys() == {stream.name for stream in FEW_STREAMS}
    assert all(number > 0 for figures in second["seen"].values() for number in figures)
    assert "closed 1 run(s) whose process had died" in after.stderr


def test_a_database_with_other_data_is_refused(folder: Path, emptied_database: Callable[[], str]) -> None:
    url = emptied_database()
    database = Database(url)
    with database.connect() as connection:
        open_run(connection, Subject("tdx", "department"), "full", Origin(), {})
    database.dispose()
    done = demo(folder, DATABASE_URL=url)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "the database holds data that no demo wrote" in done.stderr
    assert "DATABASE_URL" in done.stderr
    assert "Starting the campus" not in done.stdout
