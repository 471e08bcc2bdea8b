"""Sensors: silver follows its inputs, dead runs are closed, and what is wrong is told to people.

Each tick makes a few cheap queries. What they find is kept in the hub's database, not in sensor cursors, except the
position in Dagster's own list of failed runs.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from lsats_dagster.automation.alerts import Alert, notify
from lsats_dagster.resources import HubDatabase
from lsats_dagster.runs import Status, close_dead_runs, runs_at_work, status
from lsats_dagster.settings import load, load_settings
from lsats_dagster.source import NIGHTLY, Cadence, Source
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import subject

# Dagster marks the failed attempt of a run that it means to start again; the second attempt speaks for both.
WILL_RETRY_TAG = "dagster/will_retry"
# A step that waits for its next try is silent for at most four minutes; one that waits for a lock comes on top.
SILENCE = timedelta(minutes=10)
LOOK_BACK = timedelta(days=1)

silver_follows_inputs = dg.AutomationConditionSensorDefinition(
    "silver_follows_inputs",
    target=dg.AssetSelection.key_prefixes("silver"),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Refreshes a silver table when the data of one of its inputs really changed.",
)


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Closes runs whose process has died: the row in meta.ingestion_runs, and Dagster's run once it is silent.",
)
def dead_runs(context: dg.SensorEvaluationContext, hub: HubDatabase) -> dg.SkipReason:
    database = hub.open()
    closed = close_dead_runs(database)
    with database.transaction() as connection:
        at_work = runs_at_work(connection)
    silence = SILENCE + timedelta(seconds=load_settings().lock_wait_seconds)
    begun = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    failed = 0
    # A run can die between its steps, or while one waits for its next try: then it has no open row that would tell.
    for run in context.instance.get_runs(dg.RunsFilter(statuses=begun)):
        if run.run_id in at_work:
            continue
        newest = context.instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
        if newest and time.time() - newest[0].timestamp > silence.total_seconds():
            context.instance.report_run_failed(run, "The process of this run has died.")
            failed += 1
    return dg.SkipReason(f"{closed} run rows and {failed} Dagster runs were closed")


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells of failed runs, once per job and set of steps within the window.",
)
def failure_alerts(context: dg.SensorEvaluationContext, hub: HubDatabase) -> dg.SensorResult:
    since = float(context.cursor) if context.cursor else (datetime.now(UTC) - LOOK_BACK).timestamp()
    records = context.instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=datetime.fromtimestamp(since, UTC)),
        order_by="update_timestamp",
        ascending=True,
        limit=50,
    )
    sent = 0
    for record in records:
        if not is_started_again(record.dagster_run):
            sent += notify(hub.open(), load_settings(), [failure(context.instance, record.dagster_run)])
        since = record.update_timestamp.timestamp()
    return dg.SensorResult(cursor=str(since), skip_reason=dg.SkipReason(f"{len(records)} failed runs, {sent} alerts"))


def is_started_again(run: dg.DagsterRun) -> bool:
    """Whether Dagster starts a failed run again: a run of the command line is marked for it too, and never is."""
    return run.tags.get(WILL_RETRY_TAG) == "true" and run.remote_job_origin is not None


def failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Alert:
    """The alert of one failed run: its job and steps, and what our own errors said."""
    stories = {}
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        said = event.step_failure_data.user_failure_data
        # What other code raised may quote rows; its place in the log is the run's page.
        stories[event.step_key] = (said.description if said else None) or "see the run's page"
    lines = [f"{step}: {story}" for step, story in stories.items()] or ["it failed before or between its steps"]
    steps = ",".join(sorted(filter(None, stories)))
    return Alert(
        f"failure:{run.job_name}:{steps}"[:500],
        f"{run.job_name} failed",
        "\n".join([*lines, f"Run {run.run_id}"]),
        cause=run.run_id,
    )


def finding_alerts(sources: Sequence[Source], tables: Sequence[Definition]) -> dg.SensorDefinition:
    """The sensor that tells of failed checks and late tables."""
    names = table_names(sources, tables)

    @dg.sensor(
        name="finding_alerts",
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of failed checks of the newest runs, and of tables that are late by their cadence.",
    )
    def tell_findings(context: dg.SensorEvaluationContext, hub: HubDatabase) -> dg.SkipReason:
        database = hub.open()
        with database.transaction() as connection:
            rows = status(connection)
        alerts = [*failed_checks(rows, names), *late_tables(rows, names, expected(sources, tables), datetime.now(UTC))]
        sent = notify(database, load_settings(), alerts)
        return dg.SkipReason(f"{len(alerts)} findings, {sent} alerts")

    return tell_findings


def table_names(sources: Sequence[Source], tables: Sequence[Definition]) -> dict[str, str]:
    """Name of the runs of a stream or table -> the `<layer>.<table>` that they write."""
    names = {stream.name: f"{stream.layer}.{stream.table}" for source in sources for stream in source.streams}
    return names | {subject(definition).name: definition.name for definition in tables}


def expected(sources: Sequence[Source], tables: Sequence[Definition]) -> dict[str, Cadence]:
    """Name of the runs -> their cadence, of everything that should run here."""
    wanted = {
        stream.name: source.cadence_of(stream)
        for source in sources
        if load(source.settings).is_set_up
        for stream in source.streams
    }
    return wanted | {subject(definition).name: NIGHTLY for definition in tables}


def failed_checks(rows: list[Status], names: Mapping[str, str]) -> list[Alert]:
    """One alert per failed check of the newest whole run of each stream and table."""
    return [
        Alert(f"check:{row.name}:{check}", f"{names.get(row.name, row.name)}: check {check} failed", description)
        for row in rows
        for check, description in row.failed_checks.items()
    ]


def late_tables(
    rows: list[Status], names: Mapping[str, str], expected: Mapping[str, Cadence], now: datetime
) -> list[Alert]:
    """One alert per stream or table whose last success is older than its cadence allows, or that never ran at all."""
    alerts = []
    begun = min((row.first_started_at for row in rows), default=now)
    for name in expected.keys() - {row.name for row in rows}:
        late_after = expected[name].late_after
        if now - begun > late_after:
            alerts.append(
                Alert(f"late:{name}", f"{names[name]} is late", f"It never ran; expected within {late_after}.")
            )
    for row in rows:
        table = names.get(row.name, row.name)
        late_after = expected.get(row.name, NIGHTLY).late_after
        # Before its first success a table has been waited for since its first run.
        if now - (row.last_success or row.first_started_at) > late_after:
            last = f"{row.last_success:%Y-%m-%d %H:%M} UTC" if row.last_success else "never"
            alerts.append(
                Alert(f"late:{row.name}", f"{table} is late", f"Last success: {last}; expected within {late_after}.")
            )
    return alerts


def build_sensors(sources: Sequence[Source], tables: Sequence[Definition]) -> list[dg.SensorDefinition]:
    """Every sensor."""
    return [silver_follows_inputs, dead_runs, failure_alerts, finding_alerts(sources, tables)]
