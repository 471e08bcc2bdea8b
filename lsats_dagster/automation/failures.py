"""Runs that failed, and runs in which what had failed works again, as alerts."""

from collections.abc import Iterator

import dagster as dg

from lsats_dagster.assets.common import ERROR_KIND, key_of
from lsats_dagster.automation.alerts import Alert
from lsats_dagster.automation.arrivals import outlook

FAILURE = "failure:"
# Dagster marks the failed attempt of a run that it means to start again; the second attempt speaks for both.
WILL_RETRY_TAG = "dagster/will_retry"


def is_started_again(run: dg.DagsterRun) -> bool:
    """Whether Dagster starts a failed run again: it cannot, where it does not know from where the run came."""
    return run.tags.get(WILL_RETRY_TAG) == "true" and run.remote_job_origin is not None


def failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Alert:
    """The alert of one failed run: its job and steps, and what our own errors said.

    Errors of another kind are another alert: a refused login must not hide behind an interrupt of the hour before.
    """
    stories, kinds = {}, set()
    for table, event in failed_steps(instance, run):
        said = event.step_failure_data.user_failure_data
        error = event.step_failure_data.error
        kind = said.metadata.get(ERROR_KIND) if said else None
        kinds.add(str(kind.value) if kind else (error.cls_name if error else None) or "")
        # What other code raised may quote rows; its place in the log is the run's page.
        stories[table] = (said.description if said else None) or "see the run's page"
    lines = [f"{table}: {story}" for table, story in stories.items()] or ["it failed before or between its steps"]
    return Alert(
        f"{FAILURE}{run.job_name}:{','.join(sorted(kinds))}:{','.join(sorted(stories))}"[:1000],
        f"{job_title(run)} failed",
        "\n".join(filter(None, [*lines, outlook(instance, run), f"Run {run.run_id}"])),
        cause=run.run_id,
        page=f"/runs/{run.run_id}",
        run_id=run.run_id,
    )


def job_title(run: dg.DagsterRun) -> str:
    """The job as people know it; Dagster's own name for one that was made of a selection begins with underscores."""
    return "a run of selected assets" if run.job_name.startswith("__") else run.job_name


def failed_steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[tuple[str, dg.DagsterEvent]]:
    """The steps of a run that failed, by the asset key as people read it."""
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        if event.step_key:
            yield key_of(event.step_key), event


def works_again(instance: dg.DagsterInstance, record: dg.RunRecord, told: dict[str, str | None]) -> list[Alert]:
    """Of the failures that were told (key -> failed run), those after which this run materialized all that had failed.

    A failure without a step is over when the job succeeds.
    """
    run, alerts = record.dagster_run, []
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION) if told else []
    made = {key_of(entry.get_dagster_event().step_key) for entry in events}
    for key, cause in told.items():
        before = next(iter(instance.get_run_records(dg.RunsFilter(run_ids=[cause]))), None) if cause else None
        if before is None or (before.end_time or 0) >= (record.end_time or 0):
            continue
        failed = {table for table, _ in failed_steps(instance, before.dagster_run)}
        same_job = run.job_name == before.dagster_run.job_name and run.status == dg.DagsterRunStatus.SUCCESS
        if failed <= made if failed else same_job:
            what = ", ".join(sorted(failed)) or run.job_name
            alerts.append(
                Alert(
                    key,
                    f"{job_title(before.dagster_run)}: works again",
                    f"{what} succeeded after the failed run {cause}.\nRun {run.run_id}",
                    page=f"/runs/{run.run_id}",
                    run_id=run.run_id,
                )
            )
    return alerts
