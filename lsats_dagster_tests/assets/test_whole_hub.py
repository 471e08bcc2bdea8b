"""The whole hub, once: every table is filled, every check can be asked for alone, and looking changes nothing."""

from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from lsats_dagster.definitions import build_definitions
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import Definition
from lsats_dagster_tests.assets.conftest import (
    NUMBERS,
    Dagster,
    failures,
    materializations,
    observations,
    values,
)
from lsats_dagster_tests.assets.test_checks import RUN_ROWS, run_alone
from lsats_dagster_tests.conftest import DEFINITIONS
from lsats_dagster_tests.hubs import WHOLE_KEYS


@pytest.mark.budget(15, "the whole hub, which one test runs for each question about it")
def test_every_table_is_filled_and_looked_at(dagster: Dagster) -> None:
    hub = replace(dagster, definitions=build_definitions(), tables=DEFINITIONS)
    result = hub.run("hub_daily")
    assert result.success, failures(result)
    every_table_is_filled(hub, result)
    hub.campus.live_one_day()
    hub.campus.reset_calls()
    before = hub.state(), hub.sql(RUN_ROWS)
    every_check_stands(hub, result)
    assert hub.campus.calls() == {}
    a_dry_run_is_observed(hub)
    assert (hub.state(), hub.sql(RUN_ROWS)) == before


def every_table_is_filled(hub: Dagster, result: dg.ExecuteInProcessResult) -> None:
    """With what its source has, with all its figures, and with checks that are green."""
    found = materializations(result)
    assert found.keys() == set(WHOLE_KEYS)
    for stream in STREAMS:
        told = values(found[stream.label])
        everything = len(hub.campus.truth(stream.name))
        assert told["lsats/created"] == told["dagster/row_count"] == everything > 0
        # What a source calls no record by its own rule was skipped.
        assert told["lsats/processed"] == told["lsats/created"] + told["lsats/skipped"]
    for key, entry in found.items():
        told = values(entry)
        wanted = NUMBERS | ({"lsats/quality_mean"} if key.startswith("silver/") else set())
        assert wanted <= told.keys(), key
        assert [
            name for name in wanted if isinstance(told[name], bool) or not isinstance(told[name], int | float)
        ] == []
        assert told["lsats/watermark"] > 0
        # What Dagster's automation compares is the watermark, which moves only with new data.
        assert entry.tags is not None
        assert entry.tags["dagster/data_version"] == str(told["lsats/watermark"])
    graph = hub.definitions.resolve_asset_graph()
    for definition in hub.tables:
        told = values(found[definition.name.replace(".", "/")])
        assert "dagster/column_lineage" in told
        check_lineage(definition, told["dagster/column_lineage"], graph)
    evaluations = result.get_asset_check_evaluations()
    assert [(e.asset_key, e.check_name, e.description) for e in evaluations if not e.passed] == []
    assert {evaluation.asset_key.to_user_string() for evaluation in evaluations} == set(WHOLE_KEYS)


def check_lineage(definition: Definition, lineage: dg.TableColumnLineage, graph: Any) -> None:
    """It is told of every column that the SELECT gives, and what it is made from are columns of tables of the hub."""
    assert lineage.deps_by_column.keys() == set(definition.selected)
    deps = [dep for found in lineage.deps_by_column.values() for dep in found]
    assert deps
    for dep in deps:
        schema = graph.get(dep.asset_key).metadata["dagster/column_schema"]
        assert dep.column_name in {column.name for column in schema.columns}, dep


def every_check_stands(hub: Dagster, whole: dg.ExecuteInProcessResult) -> None:
    """Asked for alone, each is as the whole run found it, and nothing is materialized."""
    alone = run_alone(hub, dg.AssetSelection.all_asset_checks())
    assert alone.success, failures(alone)
    assert found_by(alone) == found_by(whole)
    assert materializations(alone) == {}


def found_by(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], tuple[bool, dict[str, object]]]:
    """What each check found."""
    return {
        (found.asset_key.to_user_string(), found.check_name): (found.passed, values(found))
        for found in result.get_asset_check_evaluations()
    }


def a_dry_run_is_observed(hub: Dagster) -> None:
    """Lists that ask for nothing else at least: what stands after a table that was not really read has nothing new to see."""
    result = hub.run("hub_daily", {key: {"dry_run": True} for key in WHOLE_KEYS})
    assert result.success, failures(result)
    assert materializations(result) == {}
    lists = {stream.label for stream in STREAMS if isinstance(stream, ListStream) and stream.parent is None}
    assert lists <= observations(result).keys()
