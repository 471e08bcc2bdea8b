"""A check that shows lost or wrong data is an error in Dagster, one that asks for a look is a warning."""

from dagster import AssetCheckSeverity

from lsats_dagster_tests.assets.conftest import Dagster

SEVERITIES = {
    "integrity": AssetCheckSeverity.ERROR,
    "removal_guard": AssetCheckSeverity.ERROR,
    "volume": AssetCheckSeverity.WARN,
}


def test_each_check_is_as_severe_as_what_it_finds(dagster: Dagster) -> None:
    assert dagster.run("umich_api_ingest").success
    campus, stream = dagster.campus, "umich_api/department"
    campus.poison(stream, [f'{{"DeptDescription": "Without code {number}"}}' for number in range(11)])
    campus.delete(stream, min(campus.truth(stream)))
    # As if the last run had seen far more.
    dagster.sql(
        "update meta.ingestion_runs set metadata = jsonb_set(metadata, '{row_count}', '10000') "
        "where entity_type = 'department'"
    )
    result = dagster.run("umich_api_ingest")
    assert result.success, "checks stop no run"
    found = {
        evaluation.check_name: evaluation
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.asset_key.to_user_string() == "bronze/umapi_departments"
    }
    assert {name: evaluation.severity for name, evaluation in found.items()} == SEVERITIES
    assert {name for name, evaluation in found.items() if not evaluation.passed} == SEVERITIES.keys()
