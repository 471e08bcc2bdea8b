"""Sensors: silver follows its inputs, dead runs are closed, and what is wrong is told to people.

Each tick makes a few cheap queries. What they find is kept in the hub's database, not in sensor cursors, except the
position in Dagster's own list of finished runs, and which files lay there.
"""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from lsats_dagster.automation.alerts import Alert, notify, notify_over, standing_alerts
from lsats_dagster.automation.arrivals import arrivals
from lsats_dagster.automation.failures import FAILURE, failure, is_started_again, works_again
from lsats_dagster.automation.findings import CHECK, LATE, UNSET, findings, over
from lsats_dagster.resources import HubDatabase
from lsats_dagster.runs import close_dead_runs, runs_at_work, status
from lsats_dagster.settings import load_settings
from lsats_dagster.source import Source, none_set_up, set_up
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.watched import watched

# What a tick may answer; Dagster's reaction to a run has no public name.
TickResult = list[Any] | dg.SkipReason
FINISHED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
# A step that waits for its next try is silent for at most four minutes; one that waits for a lock comes on top.
SILENCE = timedelta(minutes=10)
LOOK_BACK = timedelta(days=1)

silver_follows_inputs = dg.AutomationConditionSensorDefinition(
    "silver_follows_inputs",
    # Dagster shows people a selection in this form as it stands, and one that is made of calls as Python.
    target='key:"silver/*"',
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
    settings = load_settings()
    database = hub.open(settings)
    closed = close_dead_runs(database)
    with database.transaction() as connection:
        at_work = runs_at_work(connection)
    silence = SILENCE + timedelta(seconds=settings.lock_wait_seconds)
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
    description="Tells of failed runs, once per job, steps and kind of error within the window, and when they work again.",
)
def failure_alerts(context: dg.SensorEvaluationContext, hub: HubDatabase) -> TickResult:
    since = float(context.cursor) if context.cursor else (datetime.now(UTC) - LOOK_BACK).timestamp()
    records = context.instance.get_run_records(
        dg.RunsFilter(statuses=FINISHED, updated_after=datetime.fromtimestamp(since, UTC)),
        order_by="update_timestamp",
        ascending=True,
        limit=50,
    )
    settings = load_settings()
    database = hub.open(settings)
    sent: list[Alert] = []
    failed = 0
    for record in records:
        run = record.dagster_run
        told = standing_alerts(database, FAILURE)
        sent += notify_over(database, settings, works_again(context.instance, record, told))
        if run.status == dg.DagsterRunStatus.FAILURE and not is_started_again(run):
            failed += 1
            sent += notify(database, settings, [failure(context.instance, run)])
        since = record.update_timestamp.timestamp()
    context.update_cursor(str(since))
    return told_of(context, sent, f"{failed} failed runs, {len(sent)} alerts")


def finding_alerts(sources: Sequence[Source], tables: Sequence[Definition]) -> dg.SensorDefinition:
    """The sensor that tells of failed checks, late tables and lost settings, and of what recovered."""

    @dg.sensor(
        name="finding_alerts",
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of failed checks, of tables that are late by their cadence, and of what recovered.",
    )
    def tell_findings(context: dg.SensorEvaluationContext, hub: HubDatabase) -> TickResult:
        settings, at_work = load_settings(), set_up(sources)
        database, watch = hub.open(settings), watched(at_work, tables)
        with database.transaction() as connection:
            rows = status(connection)
        unset = [source for source in sources if source not in at_work]
        found = findings(rows, watch, unset, datetime.now(UTC))
        told = [key for kind in (CHECK, LATE, UNSET) for key in standing_alerts(database, kind)]
        sent = notify(database, settings, found)
        sent += notify_over(database, settings, over(told, found, watch, sources))
        said = f"{len(found)} findings, {len(sent)} alerts"
        return told_of(context, sent, said if at_work else "; ".join(filter(None, [said, none_set_up(sources)])))

    return tell_findings


def told_of(context: dg.SensorEvaluationContext, sent: Sequence[Alert], sentence: str) -> TickResult:
    """What a tick answers: one that told something is a success with the runs that it was about, any other is skipped.

    Dagster has no success without a run. Where it does not know the run, the sentence names what was sent.
    """
    context.log.info(sentence)
    ids = {alert.run_id: None for alert in sent if alert.run_id}
    runs = [run for run_id in ids if (run := context.instance.get_run_by_id(run_id)) is not None]
    said = "; ".join([sentence, *(f"sent: {alert.subject}" for alert in sent)])
    return [reaction(run) for run in runs] or dg.SkipReason(said)


def reaction(run: dg.DagsterRun) -> Any:
    """That a sensor acted on a run, as Dagster's own sensors of failed runs say it. The class has no public name; the form in
    which Dagster stores it does not change.
    """
    stored = {"__class__": "PipelineRunReaction", "pipeline_run": json.loads(dg.serialize_value(run)), "error": None}
    return dg.deserialize_value(json.dumps(stored))


def build_sensors(sources: Sequence[Source], tables: Sequence[Definition]) -> list[dg.SensorDefinition]:
    """Every sensor."""
    dropped = [arrivals(source) for source in sources if source.arrivals is not None]
    return [silver_follows_inputs, dead_runs, failure_alerts, finding_alerts(sources, tables), *dropped]
