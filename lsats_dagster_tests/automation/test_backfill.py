"""Backfills: one source again, through to the merged tables, at any time, without a trace in the daily path."""

import os
import subprocess
import traceback
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.details import CALLS_PER_COMMIT
from lsats_dagster.transforms.verify import verify
from lsats_dagster_tests.automation.aids import Operation, failures, figures, job_process, kill, wait_until
from lsats_dagster_tests.conftest import new_database
from lsats_dagster_tests.hubs import FEW_TABLES, LSATS_OF_FEW

LIST, DETAIL, MERGED = "bronze/tdx_departments", "enriched/tdx_department_details", "silver/departments"
TABLES = {
    "tdx": {LIST, DETAIL, "silver/tdx_departments", MERGED},
    "umich_api": {"bronze/umapi_departments", "silver/umapi_departments", MERGED},
}
KEPT = {
    "runs": "select count(*) from meta.ingestion_runs",
    "fetches": "select count(*) from meta.detail_fetches",
    "windows": "select * from meta.call_windows order by 1",
}


def detail_calls(operation: Operation) -> int:
    """Detail calls that were answered or met a fault, since the count began."""
    return sum(operation.campus.calls().get("tdx/accounts/{id}", {}).values())


def backfill(operation: Operation, source: str, **config: object) -> dict[str, dict[str, object]]:
    """A backfill that must succeed: its figures per table."""
    operation.campus.reset_calls()
    result = operation.run(f"{source}_backfill", config)
    assert result.success, failures(result)
    return figures(result)


def keys(operation: Operation, stream: str) -> list[str]:
    return sorted(operation.campus.truth(stream))


def assert_daily_run_is_quiet(operation: Operation) -> None:
    """A daily run finds nothing to do, and every watermark is right: incremental and full tables agree."""
    before = operation.contents()
    operation.campus.reset_calls()
    result = operation.run("hub_daily")
    assert result.success, failures(result)
    moved = {table: row for table, row in figures(result).items() if row["created"] or row["updated"] or row["removed"]}
    assert (moved, detail_calls(operation)) == ({}, 0)
    assert operation.contents() == before
    database = Database(operation.url)
    assert [verdict for verdict in verify(database, FEW_TABLES, lock_wait_seconds=10) if not verdict.equal] == []
    database.dispose()


@pytest.mark.parametrize("source", TABLES)
def test_a_backfill_brings_a_source_through_to_the_merged_table(operation: Operation, source: str) -> None:
    found = backfill(operation, source)
    assert found.keys() == TABLES[source]
    assert all(row["created"] for row in found.values())
    assert_daily_run_is_not_hindered(operation)


def assert_daily_run_is_not_hindered(operation: Operation) -> None:
    assert operation.run("hub_daily").success
    assert_daily_run_is_quiet(operation)


def test_full_fetches_every_detail_again_and_changes_nothing(filled: Operation) -> None:
    everything = len(keys(filled, "tdx/department"))
    before = filled.contents()
    # What is due is nothing, so an ordinary backfill makes no call.
    backfill(filled, "tdx")
    assert detail_calls(filled) == 0
    found = backfill(filled, "tdx", full=True)
    assert detail_calls(filled) == everything
    assert found[DETAIL]["skipped"] == found[DETAIL]["processed"] == everything
    assert {row["mode"] for table, row in found.items() if table != LIST} == {"full"}
    assert filled.contents() == before
    assert_daily_run_is_quiet(filled)


@pytest.mark.budget(6, "five backfills and two nights")
def test_a_budget_is_kept_to_the_call_and_the_next_run_goes_on(filled: Operation) -> None:
    everything = len(keys(filled, "tdx/department"))
    (before,) = filled.sql("select max(fetched_at) from meta.detail_fetches")
    left = everything
    for budget in (7, 50):
        found = backfill(filled, "tdx", full=True, budget=budget)
        left -= budget
        assert (detail_calls(filled), found[DETAIL]["remaining"]) == (budget, left)
        # What is left is left to the backfill: the daily run does not fetch it.
        filled.campus.reset_calls()
        assert filled.run("hub_daily").success
        assert detail_calls(filled) == 0
    found = backfill(filled, "tdx", full=True)
    assert (detail_calls(filled), found[DETAIL]["remaining"]) == (left, 0)
    again = filled.sql("select external_id from meta.detail_fetches where fetched_at > :before", before=before[0])
    assert Counter(row[0] for row in again) == Counter(keys(filled, "tdx/department"))
    # It came to its end: the next full one begins anew.
    backfill(filled, "tdx", full=True, budget=3)
    assert detail_calls(filled) == 3
    # No budget at all means no call at all.
    backfill(filled, "tdx", full=True, budget=0)
    assert detail_calls(filled) == 0


@pytest.mark.budget(8, "a process of its own, and a table computed in full")
def test_a_killed_backfill_goes_on_where_it_stopped(shared: Operation) -> None:
    assert shared.run("hub_daily").success
    everything = len(keys(shared, "tdx/department"))
    fetched = (
        "select count(*) from meta.detail_fetches join meta.ingestion_runs using (run_id) where status = 'running'"
    )
    shared.campus.fault("tdx/accounts/{id}", "hang", after=CALLS_PER_COMMIT + 5, times=None)
    with job_process("tdx_backfill", {"full": True}) as process:
        wait_until(lambda: shared.sql(fetched) == [(CALLS_PER_COMMIT,)], "a commit of fetched details")
        kill(process)
    shared.campus.clear_faults()
    found = backfill(shared, "tdx", full=True)
    assert detail_calls(shared) == everything - CALLS_PER_COMMIT
    assert found[DETAIL]["remaining"] == 0
    assert_daily_run_is_quiet(shared)


def test_a_dry_run_writes_nothing_and_calls_for_no_detail(filled: Operation) -> None:
    filled.campus.live_one_day()
    before = filled.contents(), {name: filled.sql(statement) for name, statement in KEPT.items()}
    materialized = len(filled.instance.get_runs())
    for source in TABLES:
        found = backfill(filled, source, dry_run=True, full=True)
        assert found
        assert detail_calls(filled) == 0
    assert (filled.contents(), {name: filled.sql(statement) for name, statement in KEPT.items()}) == before
    for run in filled.instance.get_runs()[:-materialized]:
        events = filled.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        assert not events


def refused(operation: Operation, source: str, number: int) -> tuple[str, list[str]]:
    """So many entities vanish; the read of the list that refuses to remove them, and their keys."""
    stream = f"{source}/department"
    gone = keys(operation, stream)[:number]
    for key in gone:
        operation.campus.delete(stream, key)
    (listed,) = (table for table in TABLES[source] if table.startswith("bronze/"))
    result = operation.materialize(listed)
    assert result.success, failures(result)
    run_id = str(figures(result)[listed]["ingestion_run_id"])
    kept = operation.sql("select external_id from meta.refused_removals where run_id = cast(:run as uuid)", run=run_id)
    assert sorted(row[0] for row in kept) == gone
    return run_id, gone


def removed(operation: Operation, source: str) -> list[str]:
    rows = operation.sql(
        "select external_id from bronze.current_entities where removed_at is not null "
        "and source_system = :source and entity_type = 'department'",
        source=source,
    )
    return sorted(row[0] for row in rows)


def test_an_approval_removes_exactly_the_refused(filled: Operation) -> None:
    stream = "umich_api/department"
    run_id, gone = refused(filled, "umich_api", 12)
    assert removed(filled, "umich_api") == []
    # As many again that nobody has looked at.
    for key in keys(filled, stream)[:12]:
        filled.campus.delete(stream, key)
    backfill(filled, "umich_api", approve_removals=run_id)
    assert removed(filled, "umich_api") == gone
    away = filled.sql("select dept_id from silver.umapi_departments where not is_present")
    assert sorted(row[0] for row in away) == gone


def test_an_approval_of_one_stream_is_none_of_another(filled: Operation) -> None:
    run_id, _ = refused(filled, "umich_api", 12)
    tdx_run, gone = refused(filled, "tdx", 12)
    # Equal ids, in the list that was refused to the other stream.
    filled.sql(
        "insert into meta.refused_removals select cast(:other as uuid), external_id from meta.refused_removals "
        "where run_id = cast(:run as uuid)",
        other=run_id, run=tdx_run,
    )  # fmt: skip
    backfill(filled, "tdx", approve_removals=run_id)
    assert removed(filled, "tdx") == []
    backfill(filled, "tdx", approve_removals=tdx_run)
    assert removed(filled, "tdx") == gone


@pytest.mark.budget(12, "a process of its own, and a second hub to compare with")
def test_a_backfill_beside_the_daily_run(
    shared: Operation, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both end well, and the hub is as if they had run one after the other."""
    assert shared.run("hub_daily").success
    for source in TABLES:
        stream = f"{source}/department"
        shared.campus.delete(stream, keys(shared, stream)[0])
        shared.campus.add(stream)
        shared.campus.put(
            stream, keys(shared, stream)[3], {"Name": "Renamed"} if source == "tdx" else {"DeptGroup": "R"}
        )
    # A process of its own, as in production: Dagster's logging does not stand two runs in one.
    with subprocess.Popen(
        [*LSATS_OF_FEW, "run", "hub_daily"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LSATS_HOME": str(tmp_path), "DAGSTER_HOME": ""},
    ) as daily:
        assert shared.run("tdx_backfill", {"full": True}).success
        assert daily.wait(120) == 0
    assert_daily_run_is_quiet(shared)

    url = new_database(server)
    monkeypatch.setenv("DATABASE_URL", url)
    with dg.DagsterInstance.ephemeral() as instance:
        other = Operation(instance, shared.campus, url)
        shared.campus.limit("tdx", 100_000, 60)
        assert other.run("hub_daily").success
        # The two began with different days of the campus: what is present now is what they share.
        assert present(other) == present(shared)


def present(operation: Operation) -> dict[str, list[object]]:
    """What stands in the hub now, without its history."""
    return {
        "bronze": operation.sql(
            "select source_system, entity_type, external_id, entity_hash from bronze.current_entities "
            "where removed_at is null order by 1, 2, 3"
        ),
        "silver": operation.sql(
            "select dept_id, entity_hash, quality_flags, field_sources from silver.departments "
            "where is_present order by 1"
        ),
    }


@pytest.mark.parametrize(
    ("config", "word"), [({"fll": True}, "fll"), ({"budget": -1}, "budget"), ({"full": "perhaps"}, "full")]
)
def test_config_that_cannot_be_meant_is_refused_at_once(
    operation: Operation, config: dict[str, object], word: str
) -> None:
    with pytest.raises(dg.DagsterError) as raised:
        operation.run("tdx_backfill", config)
    # Dagster shows the causes, too.
    assert word in "".join(traceback.format_exception(raised.value)).replace("tdx_backfill", "")
    assert operation.sql("select count(*) from meta.ingestion_runs") == [(0,)]


def test_an_approval_that_is_no_run_id_is_named(operation: Operation) -> None:
    try:
        result = operation.run("umich_api_backfill", {"approve_removals": "all of them"})
    except dg.DagsterError as error:
        said = str(error)
    else:
        said = " ".join(failures(result).values())
    assert "approve_removals" in said
