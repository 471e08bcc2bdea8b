"""`lsats dev`: Dagster's UI and daemon on the configured database."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.settings import REPOSITORY, ConfigurationError, file_variables
from lsats_dagster.sources import KINDS

# Open pages and runs under way end first.
STOP_SECONDS = 60.0
LOOK_SECONDS = 0.2
# The signal that only asks whether somebody is there.
NOTHING = 0
PORT = Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's UI on loopback.")]


def register(app: typer.Typer) -> None:
    app.command("dev")(dev)


def dev(port: PORT = 3000) -> None:
    """Open Dagster's UI on loopback and run its daemon: schedules and sensors work. Ctrl-C ends both.

    Example: lsats dev --port 3001
    """
    check_port(port)
    with hub_environment(sources=True) as settings:
        with hub_database(settings):
            pass
        open_ui(port)


def check_port(port: int) -> None:
    """ConfigurationError when something listens on the port already."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ConfigurationError(f"port {port} is in use: name another one with --port")


def open_ui(port: int) -> None:
    """Dagster's webserver behind the gate, and its daemon, until they are stopped; exit code 1 when one ends by itself."""
    prefix = f"/{secrets.token_hex(16)}"
    print(f"🔄 Dagster opens on http://127.0.0.1:{port}{prefix} (Ctrl-C ends it)", flush=True)
    # Dagster reads the .env of its working directory as well and lets it win over the environment. So it works where there
    # is none, and has what ours gave.
    given = {name: value for name, value in file_variables(KINDS).items() if not os.environ.get(name)}
    # Not among the words of the command, which every account of the host can read.
    environment = {**os.environ, **given, "DAGSTER_WEBSERVER_PATH_PREFIX": prefix}
    workspace = ["-w", str(REPOSITORY / "workspace.yaml")]
    commands = (
        [sys.executable, "-m", "lsats_dagster.cli.gate", "-h", "127.0.0.1", "-p", str(port), *workspace],
        [str(Path(sys.executable).with_name("dagster-daemon")), "run", *workspace],
    )
    # A closed terminal is as good as Ctrl-C, unless nohup said otherwise: nobody else would end the programs.
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="lsats-") as folder:
        programs: list[subprocess.Popen[bytes]] = []
        try:
            for command in commands:
                programs.append(subprocess.Popen(command, cwd=folder, env=environment, process_group=0))
            while all(program.poll() is None for program in programs):
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            pass
        else:
            print("❌ Dagster ended by itself; its last messages say why", file=sys.stderr)
            raise typer.Exit(1)
        finally:
            stop(programs)


def stop(programs: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt each program with its code server and runs, once, as a terminal would, and wait until nothing of them is left.

    What does not end in time, or not before the next Ctrl-C, is killed.
    """
    for program in programs:
        signal_all(program, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    with suppress(KeyboardInterrupt):
        while any(signal_all(program, NOTHING) for program in programs) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
    for program in programs:
        signal_all(program, signal.SIGKILL)
        program.wait()


def signal_all(program: subprocess.Popen[bytes], number: int) -> bool:
    """Signal a program and whatever it started; whether anything of them was left."""
    program.poll()
    try:
        os.killpg(program.pid, number)
    except OSError:
        return False
    return True
