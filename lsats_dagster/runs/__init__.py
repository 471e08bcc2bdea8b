"""meta.ingestion_runs: every materialization opens a row and closes it, whatever happens."""

from lsats_dagster.runs.exclusive import alone
from lsats_dagster.runs.protocol import DIED, Work, reap, running, sole_writer
from lsats_dagster.runs.records import (
    STOPPED,
    Check,
    Counts,
    Mode,
    Origin,
    Run,
    Subject,
    close_run,
    describe_error,
    newest_run,
    open_run,
    record_failure,
    summary,
)
from lsats_dagster.runs.state import (
    Status,
    close_dead_runs,
    last_metadata,
    runs_at_work,
    standing_checks,
    status,
    volume_check,
)

__all__ = [
    "DIED",
    "STOPPED",
    "Check",
    "Counts",
    "Mode",
    "Origin",
    "Run",
    "Status",
    "Subject",
    "Work",
    "alone",
    "close_dead_runs",
    "close_run",
    "describe_error",
    "last_metadata",
    "newest_run",
    "open_run",
    "reap",
    "record_failure",
    "running",
    "runs_at_work",
    "sole_writer",
    "standing_checks",
    "status",
    "summary",
    "volume_check",
]
