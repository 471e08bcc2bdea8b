"""The demo with its UI in a process of its own, and a Chromium that looks at it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from lsats_dagster.demo.postgres import remove_cluster
from lsats_dagster_tests.cli.aids import free_port

# The demo makes a database cluster, lives two days and loads the code location before the UI answers.
START_SECONDS = 240
STOP_SECONDS = 60
# Pages wait for the code location; runs have their own, longer waits.
PAGE_MILLISECONDS = 30_000
VIEWPORT: ViewportSize = {"width": 1600, "height": 800}
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Dagster covers the page of a first visitor with an invitation to its community; this says that it was seen.
INVITATION_SEEN = "localStorage.setItem('communityNux', '\"1\"')"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ui: needs Chromium; `make test-ui` runs these")


def answering(log: Path) -> str | None:
    """The address that the demo printed, with its secret part; None until it answers."""
    printed = re.search(r"http://127\.0\.0\.1:\d+/\w+(?= )", log.read_text())
    with suppress(OSError):
        if printed and urlopen(f"{printed[0]}/server_info", timeout=5).status == 200:
            return printed[0]
    return None


def processes_of(home: Path) -> dict[int, str]:
    """Every process that was started for `home`, also in another session or of another user: its id and command."""
    marks = [str(home).encode()]
    # As root, the database lies outside; its processes know nothing of the home.
    with suppress(FileNotFoundError):
        marks.append((home / "postgres-folder.txt").read_bytes().strip())
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            # A process may end while it is looked at.
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if any(mark in command + (entry / "environ").read_bytes() for mark in marks):
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")[:100]
    return found


def demo_environment(home: Path) -> dict[str, str]:
    """This environment without anything that would lead the demo to another database or a real source."""
    foreign = ("DATABASE_", "DAGSTER_", "LSATS_", "TDX_", "UM_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "LSATS_HOME": str(home)
    }


@pytest.fixture(scope="session")
def dagster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Dagster's UI over fresh demo data. Afterwards no process of the demo may be left."""
    folder = tmp_path_factory.mktemp("ui")
    home, log = folder / "home", folder / "demo.log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("lsats")),
                "demo",
                "--size",
                "tiny",
                "--ui",
                "--port",
                str(free_port()),
            ],
            # Away from a developer's .env.
            cwd=folder,
            env=demo_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Jobs that a shell puts in the background ignore Ctrl-C, and so would all they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while (url := answering(log)) is None:
            assert demo.poll() is None, f"the demo ended early:\n{log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"the UI does not answer:\n{log.read_text()[-3000:]}"
            time.sleep(0.5)
        yield url
    finally:
        left = stop(demo, home)
        remove_cluster(home)
    assert not left, f"left running after Ctrl-C: {left}\n{log.read_text()[-3000:]}"


def stop(demo: subprocess.Popen[bytes], home: Path) -> dict[int, str]:
    """Ctrl-C, as a terminal sends it to all of its session. What is still there after a while is returned, and killed."""
    with suppress(ProcessLookupError):
        os.killpg(demo.pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    while (left := processes_of(home)) and time.monotonic() < deadline:
        demo.poll()
        time.sleep(0.2)
    for process in left:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    demo.wait()
    return left


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without window."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert executable, "no Chromium: apt-get install chromium, or set CHROMIUM to its path"
    with sync_playwright() as playwright:
        # A new user-data folder each time is Playwright's default.
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser, dagster_url: str) -> Iterator[BrowserContext]:
    """A visitor without history, with one size of window and one clock everywhere."""
    expect.set_options(timeout=PAGE_MILLISECONDS)
    visitor = browser.new_context(
        # The tests name pages by relative paths: they lie below the secret part.
        base_url=f"{dagster_url}/",
        viewport=VIEWPORT,
        locale="en-US",
        timezone_id="UTC",
        color_scheme="light",
    )
    visitor.set_default_timeout(PAGE_MILLISECONDS)
    visitor.add_init_script(INVITATION_SEEN)
    yield visitor
    visitor.close()


@pytest.fixture
def page(context: BrowserContext, tmp_path: Path) -> Iterator[Page]:
    """A new tab. What it showed last is kept in the test's folder, for whoever looks for the cause of a failure.

    The gate may refuse nothing that the UI asks for. Only the small icons of a run's state are asked for beside the secret part,
    a slip of Dagster's under any path prefix: the tab keeps its icon.
    """
    tab = context.new_page()
    refused: list[str] = []
    tab.on("response", lambda answer: answer.status == 403 and refused.append(answer.url))
    tab.on("websocket", lambda socket: socket.on("socketerror", lambda error: refused.append(error)))
    yield tab
    tab.screenshot(path=tmp_path / "last.png")
    assert [address for address in refused if "/favicon" not in address] == []
