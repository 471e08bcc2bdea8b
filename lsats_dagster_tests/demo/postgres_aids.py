"""The embedded server as tests use it: commands as processes of their own, its processes, a cluster with a row."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from lsats_dagster.demo.postgres import remove_cluster
from lsats_dagster.demo.postgres_server import Cluster

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = """
import sys
from pathlib import Path
from lsats_dagster.demo.postgres import embedded_postgres
with embedded_postgres(Path(sys.argv[1])) as server:
    print(server.url("lsats"), flush=True)
    sys.stdin.read()
"""


def begin(home: Path) -> subprocess.Popen[str]:
    """Another process that uses the server of `home`, until its input ends. It says the URL."""
    program = [sys.executable, "-c", COMMAND, str(home)]
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)


@contextmanager
def command(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The same, and the URL it got. It ends with the block."""
    process = begin(home)
    assert process.stdout
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.communicate()


def cluster_of(home: Path) -> Cluster:
    inside = home / "postgres"
    return Cluster.at(inside if inside.exists() else Path((home / "postgres-folder.txt").read_text().strip()))


def postmaster(home: Path) -> int:
    return int((cluster_of(home).data / "postmaster.pid").read_text().split()[0])


def processes(*words: str) -> list[int]:
    """Numbers of the processes that have each of these words in their command line."""
    said = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True).stdout
    found = (line.split(maxsplit=1) for line in said.splitlines())
    return [int(pid) for pid, *command in found if all(word in " ".join(command) for word in words)]


def postmasters(home: Path) -> list[int]:
    """Main processes of servers on this data."""
    return processes(f"cluster_name={cluster_of(home).name}")


def watcher(home: Path) -> int:
    (pid,) = processes("-m lsats_dagster.demo.postgres", str(cluster_of(home).folder))
    return pid


def becomes(condition: Callable[[], bool]) -> bool:
    """A generous bound: machines are slow when they do other things, too."""
    deadline = time.monotonic() + 180
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def ended(pid: int) -> bool:
    """Also true of a zombie: some systems collect orphans late."""
    try:
        os.kill(pid, 0)
        return Path("/proc/self").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return True


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert becomes(lambda: ended(pid))


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select n from kept").fetchone()
    assert row
    return int(row[0])


@contextmanager
def folder(mode: int) -> Iterator[Path]:
    """A folder outside pytest's own, which root closes to everybody else."""
    path = Path(tempfile.mkdtemp(prefix="lsats-test-"))
    path.chmod(mode)
    try:
        yield path
        remove_cluster(path / "home")
    finally:
        shutil.rmtree(path, ignore_errors=True)
