"""Which jobs of a source fetch its details side by side, and which within a budget of minutes."""

import dagster as dg

from lsats_dagster.assets.common import step_of
from lsats_dagster.definitions import build_definitions
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.sources import SOURCES

DETAILS = {
    source.name: [stream.label for stream in source.streams if isinstance(stream, DetailStream)] for source in SOURCES
}


def test_jobs_of_a_source_with_several_detail_streams_run_as_many_steps_at_a_time() -> None:
    jobs = {job.name: job for job in build_definitions().resolve_all_job_defs()}
    for source, details in DETAILS.items():
        for name in {f"{source}_ingest", f"{source}_details", f"{source}_backfill"} & jobs.keys():
            executor = jobs[name].executor_def
            several = executor.name == dg.multiprocess_executor.name
            assert several == (len(details) > 1), name
            if several:
                (given,) = dg.validate_run_config(jobs[name], None)["execution"].values()
                assert given["max_concurrent"] == len(details)
    assert jobs["hub_daily"].executor_def.name == dg.in_process_executor.name


def test_a_backfill_goes_on_until_nothing_is_due_and_other_runs_keep_their_minutes() -> None:
    definitions = build_definitions()
    for source, details in DETAILS.items():
        steps = [step_of(label) for label in details]
        asked = dg.validate_run_config(definitions.resolve_job_def(f"{source}_backfill"), {})["ops"]
        assert [step for step in steps if (asked[step]["config"].get("minutes") or 0) < 10_000] == []
        if details:
            asked = dg.validate_run_config(definitions.resolve_job_def(f"{source}_details"), {})["ops"]
            assert [asked[step]["config"].get("minutes") for step in steps] == [None] * len(steps)
