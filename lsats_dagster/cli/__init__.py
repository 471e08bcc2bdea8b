"""The `lsats` command. Exit codes: 0 done, 1 a run failed, 2 wrong use or unusable configuration."""

import logging
import sys

import typer

from lsats_dagster.settings import ConfigurationError, load_settings

# Packages that only some commands need are imported by these, so that `--help` answers at once.
app = typer.Typer(
    help="The LSATS data hub: people, departments, computers and labs of five sources in one Postgres.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
WRONG_USE = 2


def main() -> None:
    """Entry point: what users can mend is one sentence and exit code 2, never a traceback."""
    from lsats_dagster.cli import backfill, database, demo, dev, doctor, explain, quarantine, reports, run

    for module in (demo, dev, run, backfill, reports, doctor, explain, quarantine, database):
        module.register(app)
    try:
        log_to_stderr(load_settings().log_level)
        app()
    except Exception as error:
        if not isinstance(error, _mendable()):
            raise
        print(f"❌ {error}", file=sys.stderr)
        sys.exit(WRONG_USE)


def log_to_stderr(level: str) -> None:
    """The hub's log lines on stderr. On the hub's own logger, so that they come before Dagster adds its run to them."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logger = logging.getLogger("lsats_dagster")
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False


def _mendable() -> tuple[type[Exception], ...]:
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
