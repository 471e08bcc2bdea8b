"""What the tests cost in CPU time: a case that takes more than its budget fails, and sums stand in the report.

CPU time is user and system time of the worker, of the processes that it waited for, and of its own Postgres where the system
tells it (Linux); never time by the clock: a busy machine makes a case slow, but hardly dear.

The budget of a case is CASE_SECONDS, or what `budget(seconds, reason)` says; depth.FACTOR times that in `make proof` where it is
`deep`, because it does so much more there. A case with a stream or a table as parameter counts for it, unless `engine` says that
it proves the engine or a client and takes that one only as an example: what is left is what each further stream or table costs.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import psycopg
import pytest

from lsats_dagster.ingestion.stream import Stream
from lsats_dagster.transforms.definition import Definition
from lsats_dagster_tests import depth

CASE_SECONDS = 3.0
STREAM_SECONDS = 6.0
# Each read of details is some hundred calls.
DETAIL_SECONDS = 10.0
TABLE_SECONDS = 2.0
# CPU time grows where processors are shared: up to 2.2 times was seen with ten busy processes for each of them.
ROOM = 3
POSTMASTER = pytest.StashKey[int]()
ASSET_KEY = re.compile(r"(bronze|enriched|silver)/\w+")


class OverBudgetError(pytest.fail.Exception):
    """A case cost too much. Whoever looks for what a case found wrong tells it by its type."""


def cpu_seconds() -> float:
    """CPU time of this process and of all that it waited for."""
    return sum(os.times()[:4])


def tree_seconds(process: int) -> float:
    """CPU time of another process, of its children, and of all that they waited for; 0 where the system does not tell."""
    with suppress(OSError):
        while True:
            waited, children = ticks(process), Path(f"/proc/{process}/task/{process}/children").read_text().split()
            with suppress(OSError):
                running = sum(sum(ticks(int(child))) for child in children)
                # The time of a child that ends goes over to who waits for it: looked at in between, it counts twice or never.
                if (own := ticks(process))[2:] == waited[2:]:
                    return (sum(own) + running) / os.sysconf("SC_CLK_TCK")
    return 0.0


def ticks(process: int) -> list[int]:
    """User and system time of a process, and of the children that it waited for."""
    # Behind the name, which may hold anything.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return list(map(int, fields[11:15]))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Note the process of the session's Postgres when it has been started."""
    value = yield
    if fixturedef.argname == "server" and fixturedef.scope == "session":
        with suppress(OSError), psycopg.connect(value.url("postgres")) as connection:
            parent = Path(f"/proc/{connection.info.backend_pid}/stat").read_text().rpartition(")")[2].split()[1]
            request.config.stash[POSTMASTER] = int(parent)
    return value


def budget(item: pytest.Item) -> float:
    """CPU seconds that a case may cost in an ordinary run."""
    mark = item.get_closest_marker("budget")
    if mark is None:
        return CASE_SECONDS
    seconds, reason = mark.args
    if not reason:
        raise ValueError("a budget of its own needs its reason: budget(seconds, reason)")
    return float(seconds)


def subject(item: pytest.Item) -> str | None:
    """The asset key of the stream or table that a case counts for; None for other cases."""
    if item.get_closest_marker("engine") or not hasattr(item, "callspec"):
        return None
    for value in item.callspec.params.values():
        if isinstance(value, Stream):
            return f"{value.layer}/{value.table}"
        if isinstance(value, Definition):
            return value.name.replace(".", "/")
        if isinstance(value, str) and ASSET_KEY.fullmatch(value):
            return value
    return None


@pytest.fixture(autouse=True)
def charged(request: pytest.FixtureRequest) -> Iterator[None]:
    """First among what a case sets up for itself and last to end: fixtures that cases share are charged to none of them."""
    item, postmaster = request.node, request.config.stash.get(POSTMASTER, 0)
    began, served = cpu_seconds(), tree_seconds(postmaster)
    yield
    own = cpu_seconds() - began
    spent = own + max(0.0, tree_seconds(postmaster) - served)
    factor = depth.FACTOR if item.get_closest_marker("deep") else 1
    item.user_properties.append(("cpu", [own, spent, subject(item), spent / factor]))
    allowed = budget(item) * factor
    if spent > allowed * ROOM:
        raise OverBudgetError(
            f"took {spent:.1f} CPU seconds, more than {ROOM} times its budget of {allowed:g}: make it cheaper, or mark it "
            "budget(seconds, reason)",
            pytrace=False,
        )


def part_of(nodeid: str) -> str:
    """The part of the suite that a case belongs to: its folder, and in contracts its file."""
    path = PurePosixPath(nodeid.partition("::")[0])
    inner = path.parts[1:] or path.parts
    return str(PurePosixPath(*inner)) if inner[0] == "contracts" else inner[0]


class Costs:
    """What a session cost: by part, and by stream and table; over all workers."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.parts: Counter[str] = Counter()
        self.subjects: Counter[str] = Counter()
        self.own = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if report.when == "teardown" and name == "cpu":
                own, spent, about, share = value
                self.own += own
                self.parts[part_of(report.nodeid)] += spent
                if about:
                    self.subjects[about] += share

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        # By now the workers have ended, as processes that this one waited for.
        self.parts["shared fixtures, collection"] = cpu_seconds() - self.own
        self.file.write_text(json.dumps({"parts": self.parts, "subjects": self.subjects, "dear": self.dear()}))
        if depth.PROOF and self.dear():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def dear(self) -> list[str]:
        """The streams and tables that cost more than their budget allows."""
        return [name for name, seconds in self.subjects.items() if seconds > ROOM * budget_of(name)]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("CPU seconds")
        terminalreporter.write_line("\n".join(table(self.parts)))
        terminalreporter.write_line(
            f"by stream (budget {STREAM_SECONDS:g}, of details {DETAIL_SECONDS:g}) and table (budget {TABLE_SECONDS:g}), "
            f"{ROOM} times that fails `make proof`:"
        )
        terminalreporter.write_line("\n".join(table(self.subjects, self.dear())))


def budget_of(name: str) -> float:
    """CPU seconds that one further stream or table may cost in an ordinary run."""
    return {"silver": TABLE_SECONDS, "enriched": DETAIL_SECONDS}.get(name.partition("/")[0], STREAM_SECONDS)


def table(seconds: dict[str, float], dear: Iterable[str] = ()) -> list[str]:
    """One line each, the dearest first."""
    return [
        f"{spent:9.1f}  {name}{' ❌' if name in dear else ''}"
        for name, spent in sorted(seconds.items(), key=lambda entry: -entry[1])
    ]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", metavar="FILE", help="show what the tests cost in CPU seconds, and write it as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if (file := config.getoption("--costs")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Costs(Path(file)))
