"""The campus as a process: one line of JSON when it is ready; it ends when its standard input closes."""

import argparse
import asyncio
import json
import os
import secrets
import shutil
import sys
import threading
from pathlib import Path

from lsats_dagster.demo.campus.server import serve_campus
from lsats_dagster.demo.campus.simulation import Simulation
from lsats_dagster.demo.campus.sizes import SIZES
from lsats_dagster.demo.campus.state import StateError


def main() -> None:
    """Parse the arguments, build the campus and serve it."""
    parser = argparse.ArgumentParser(prog="python -m lsats_dagster.demo.campus")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--day", type=int, default=0, help="the day to begin with, where no state is kept yet")
    parser.add_argument("--state", type=Path, help="file that keeps the campus between two starts")
    parser.add_argument("--exports", type=Path, required=True, help="folder into which exports are dropped")
    parser.add_argument("--passing", type=Path, required=True, help="folder for what goes with the process")
    options = parser.parse_args()
    threading.Thread(target=_end_with_standard_input, args=(options.passing,), daemon=True).start()
    try:
        simulation = Simulation(
            options.seed,
            options.size,
            options.exports,
            options.passing / "authority.pem",
            day=options.day,
            state=options.state,
        )
    except StateError as error:
        parser.error(str(error))
    admin_token = secrets.token_urlsafe(24)

    def ready(port: int, admin_port: int) -> None:
        line = {
            "environment": simulation.environment(port),
            "admin_url": f"http://127.0.0.1:{admin_port}",
            "admin_token": admin_token,
            "exports": str(simulation.folder.path),
        }
        print(json.dumps(line), flush=True)

    asyncio.run(serve_campus(simulation, admin_token, ready))


def _end_with_standard_input(passing: Path) -> None:
    """Whoever started us holds the other end: it closes when they end, in whatever way they do."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    # Who made the folder may be gone without having removed it.
    shutil.rmtree(passing, ignore_errors=True)
    # At once: open connections may hang for ever on purpose, and what is worth keeping is in the state file.
    os._exit(0)


if __name__ == "__main__":
    main()
