"""The `lsats` command. Exit codes: 0 done, 1 a run failed, 2 wrong use or unusable configuration."""

import importlib
import io
import logging
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from lsats_dagster.cli.countdown import Countdown
from lsats_dagster.local_time import local_fields

FAILED, WRONG_USE = 1, 2
JSON = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

# Command -> its module, and the line of `lsats --help`. Importing the modules costs a hundred times what that page costs.
COMMANDS = {
    "demo": ("demo", "Start a simulated campus, materialize everything, live a day, and show what the day changed."),
    "clean": (
        "demo",
        "Remove the embedded Postgres with all its data, and what the demo and Dagster keep in LSATS_HOME.",
    ),
    "dev": ("dev", "Open Dagster's UI on loopback and run its daemon: schedules and sensors work."),
    "run": ("run", "Materialize assets now."),
    "backfill": ("backfill", "Bring one source up to date, whatever its schedule."),
    "status": ("status", "Show how fresh and how good every table is, and what needs an answer."),
    "runs": ("status", "Show what ran, the newest first."),
    "verify": ("verify", "Prove that incremental and full refreshes give the same tables."),
    "doctor": ("doctor", "Look at configuration, database, rights, schema, alerts, and every source."),
    "explain": ("explain", "Show where every value of one row came from, what lost, and how its score came about."),
    "find": ("find", "Find people, departments and groups by name, login name, mail address or code."),
    "history": ("history", "Show what changed when of one row: each version of the records behind it."),
    "quality": ("quality", "Show what is wrong in the silver tables, flag by flag."),
    "report": (
        "report",
        "Write one static page: sources, freshness, findings, quality, conservation, agreement of sources.",
    ),
    "query": ("query", "Answer one SELECT over the views for readers, read only."),
    "quarantine": ("quarantine", "Records that could not be read, keyed or converted."),
    "db": ("database", "Upgrade the database, write its data dictionary."),
}


class Commands(TyperGroup):
    """The commands, each loaded when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update({name: TyperCommand(name, help=line) for name, (_, line) in COMMANDS.items()})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in COMMANDS:
            self.load(args[0])
        return super().resolve_command(ctx, args)

    def load(self, name: str) -> None:
        """Put the command itself, with its options, in the place of its line of help."""
        loaded = typer.Typer()
        importlib.import_module(f"{__name__}.{COMMANDS[name][0]}").register(loaded)
        self.commands.update(typer.main.get_group(loaded).commands)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def begin() -> None:
    """The LSATS data hub: people, departments, computers and labs of five sources in one Postgres."""
    from lsats_dagster.settings import load_settings

    log_to_stderr(load_settings().log_level)


class StorageError(Exception):
    """Dagster's own storage failed under a run. The message says what that means and what to do."""


def main() -> None:
    """Entry point: what users can fix is one sentence and exit code 2, never a traceback."""
    # Signs that the terminal's or file's encoding lacks are replaced.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # A shell starts background commands with these ignored, and Dagster's own children would inherit that: nothing could
    # stop them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except Exception as error:
        from lsats_dagster.database import LockTimeoutError

        if not isinstance(error, _fixable()):
            raise
        print(f"❌ {error}", file=sys.stderr)
        # That another run takes its time, or a server is lost, is nobody's mistake.
        sys.exit(FAILED if isinstance(error, LockTimeoutError | StorageError) else WRONG_USE)


def log_to_stderr(level: str) -> None:
    """The hub's log lines on stderr. On the hub's own logger, so that they come before Dagster adds its run to them."""
    handler = logging.StreamHandler()
    # On the handler too: Dagster puts a level of its own on the logger while a run lasts.
    handler.setLevel(level)
    formatter = logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    formatter.converter = local_fields
    handler.setFormatter(formatter)
    logger = logging.getLogger("lsats_dagster")
    if sys.stderr.isatty():
        # Before the other one, because it clears its line for it.
        logger.addHandler(Countdown(sys.stderr))
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
    from lsats_dagster.settings import ConfigurationError
    from lsats_dagster.transforms.definition import DefinitionError

    return (
        ConfigurationError,
        StorageError,
        DatabaseError,
        EmbeddedPostgresError,
        CampusError,
        MigrationError,
        DefinitionError,
    )
