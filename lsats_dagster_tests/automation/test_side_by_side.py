"""Which jobs of a source fetch its details side by side, and which within a budget of minutes."""

import dagster as dg

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
