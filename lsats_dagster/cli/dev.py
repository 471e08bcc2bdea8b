"""`lsats dev`: Dagster's UI and daemon on the configured database."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.settings import REPOSITORY, ConfigurationError, file_variables
from lsats_dagster.sources import KINDS

# Dagster stops its servers one after the other.
STOP_SECONDS = 60.0
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
    """Dagster's webserver and daemon on loopback, until they are stopped; exit code 1 when they end by themselves."""
    print(f"🔄 Dagster opens on http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    # Dagster reads the .env of its working directory as well and lets it win over the environment. So it works where there
    # is none, and has what ours gave.
    given = {name: value for name, value in file_variables(KINDS).items() if not os.environ.get(name)}
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", str(REPOSITORY / "workspace.yaml")]
    with tempfile.TemporaryDirectory(prefix="lsats-") as folder:
        child = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)], cwd=folder, env={**os.environ, **given}
        )
        try:
            child.wait()
        except KeyboardInterrupt:
            # Ctrl-C, which the child has had too, or a SIGTERM to us alone, which it has not: Dagster makes both the same here.
            child.send_signal(signal.SIGINT)
        else:
            print("❌ Dagster ended by itself; its last messages say why", file=sys.stderr)
            raise typer.Exit(1)
        finally:
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
