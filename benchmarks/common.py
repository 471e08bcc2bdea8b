"""What all benchmarks share: figures with limits, contestants in processes of their own, databases, a sampling profiler."""

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Connection

from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.migrations import upgrade
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.transforms.definition import Definition

REPOSITORY = Path(__file__).resolve().parent.parent
URL = "LSATS_BENCHMARK_URL"
REST = "everything else"


@dataclass(frozen=True)
class Measure:
    """One figure; `limit` is the most it may be, None where it is only told."""

    name: str
    figure: float
    unit: str
    limit: float | None = None

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "ok" if self.figure <= self.limit else "over"


@dataclass(frozen=True)
class Spending:
    """Where the seconds of one contestant went."""

    of: str
    seconds: float
    parts: Mapping[str, float]


@dataclass
class Report:
    """What a benchmark found; `failures` are sentences about benchmarks that could not end."""

    measures: list[Measure] = field(default_factory=list)
    spendings: list[Spending] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Sampler:
    """Looks every few milliseconds what the threads do, and counts by the innermost known function.

    The main thread counts always, another one while it does something known: their parts may add up to more than the
    whole. `labels`: function name -> what it does. Cheap enough to stay on in what is timed: some 0.1 % at 10 ms.
    """

    def __init__(self, labels: Mapping[str, str], interval: float = 0.01) -> None:
        self._labels = labels
        self._interval = interval
        self._counts: Counter[str] = Counter()
        self._looks = 0
        self._stop = threading.Event()

    def __enter__(self) -> "Sampler":
        self._began = time.perf_counter()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        main = threading.main_thread().ident
        while not self._stop.wait(self._interval):
            self._looks += 1
            for thread, frame in sys._current_frames().items():
                label = self._label(frame)
                if label != REST or thread == main:
                    self._counts[label] += 1

    def _label(self, frame: FrameType | None) -> str:
        while frame is not None:
            label = self._labels.get(frame.f_code.co_name)
            if label is not None:
                return label
            frame = frame.f_back
        return REST

    def parts(self) -> dict[str, float]:
        """Seconds per label, the greatest first."""
        looks = max(1, self._looks)
        return {label: self.seconds * count / looks for label, count in self._counts.most_common()}


def peak_memory() -> float:
    """Most memory this process ever held resident, in MB (10^6 bytes): interpreter, libraries and data, not the server."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def contestant(module: str, url: str, task: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Any:
    """Run `task` in a new process of `module` and return what it printed.

    The parent stays smaller than any contestant: on Linux a child's peak begins with what its parent holds.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", json.dumps(task)],
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {}), URL: url},
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the contestant {module} failed, see above")
    return json.loads(done.stdout.splitlines()[-1])


def serve(work: Callable[..., dict[str, Any]]) -> None:
    """The contestant's side: do the task of the command line, and print what came of it with the process's peak."""
    result = work(os.environ[URL], **json.loads(sys.argv[1]))
    print(json.dumps(result | {"peak": peak_memory()}))


def new_database(
    server: EmbeddedPostgres,
    name: str,
    sql_root: Path,
    streams: tuple[StreamDeclaration, ...],
    definitions: tuple[Definition, ...],
) -> str:
    """The URL of a new, upgraded hub database."""
    with administrator(server.url("postgres")) as connection:
        connection.exec_driver_sql(f"create database {name}")
    database = Database(server.url(name), role=None)
    upgrade(database, sql_root, streams, definitions)
    database.dispose()
    return server.url(name)


def copy_sql(root: Path) -> Path:
    """A copy of sql/ without a table of the hub, for tables that a benchmark makes itself."""
    for name in ("migrations", "functions", "curated"):
        shutil.copytree(SQL_ROOT / name, root / name)
    return root


@contextmanager
def administrator(url: str) -> Iterator[Connection]:
    """A connection with all rights, every statement committed at once."""
    database = Database(url, role=None)
    with database.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")
    database.dispose()


def server_seconds(connection: Connection) -> float:
    """Seconds of processor that the server has spent on this session, its parallel workers aside; needs Linux."""
    pid = connection.exec_driver_sql("select pg_backend_pid()").scalar_one()
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def settle(url: str, *tables: str) -> None:
    """Bring the server to the same rest before each contestant: what autovacuum and the checkpointer would do later."""
    with administrator(url) as connection:
        for table in tables:
            connection.exec_driver_sql(f"vacuum (analyze) {table}")
        connection.exec_driver_sql("checkpoint")


def say(text: str) -> None:
    """Progress, on stderr so that the report stands alone."""
    print(f"🔄 {text}", file=sys.stderr, flush=True)
