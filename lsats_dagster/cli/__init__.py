"""The `lsats` command. Exit codes: 0 done, 1 a run failed, 2 wrong use or unusable configuration."""

import logging
import signal
import sys
from typing import Annotated

import typer

from lsats_dagster.settings import ConfigurationError, load_settings

# Packages that only some commands need are imported by these, so that `--help` answers at once.
app = typer.Typer(
    help="The LSATS data hub: people, departments, computers and labs of five sources in one Postgres.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
FAILED, WRONG_USE = 1, 2
JSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def main() -> None:
    """Entry point: what users can fix is one sentence and exit code 2, never a traceback."""
    from lsats_dagster.cli import backfill, database, demo, dev, doctor, explain, quarantine, reports, run
    from lsats_dagster.database import LockTimeoutError

    for module in (demo, dev, run, backfill, reports, doctor, explain, quarantine, database):
        module.register(app)
    # A shell starts background commands with these ignored, and Dagster's own children would inherit that: nothing could
    # stop them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        log_to_stderr(load_settings().log_level)
        app()
    except Exception as error:
        if not isinstance(error, _fixable()):
            raise
        print(f"❌ {error}", file=sys.stderr)
        # That another run takes its time is nobody's mistake.
        sys.exit(FAILED if isinstance(error, LockTimeoutError) else WRONG_USE)


def log_to_stderr(level: str) -> None:
    """The hub's log lines on stderr. On the hub's own logger, so that they come before Dagster adds its run to them."""
    handler = logging.StreamHandler()
    # On the handler too: Dagster puts a level of its own on the logger while a run lasts.
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logger = logging.getLogger("lsats_dagster")
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    # What other libraries write to the root logger has no reader here; their errors reach us as exceptions.
    logging.getLogger().addHandler(logging.NullHandler())


def _fixable() -> tuple[type[Exception], ...]:
    """Errors whose message says what the user can do."""
    from lsats_dagster.database import DatabaseError
    from lsats_dagster.demo.campus import CampusError
    from lsats_dagster.demo.postgres import EmbeddedPostgresError
    from lsats_dagster.migrations import MigrationError
    from lsats_dagster.transforms.definition import DefinitionError

    return (
        ConfigurationError,
        DatabaseError,
        EmbeddedPostgresError,
        CampusError,
        MigrationError,
        DefinitionError,
    )
