"""`lsats quality` and its view: the flags that rows carry, and what became of them within a week."""

import json
from typing import Any

import pytest

from lsats_dagster.demo.campus import Campus
from lsats_dagster.resources import HubDatabase
from lsats_dagster_tests.automation.aids import Operation
from lsats_dagster_tests.cli.aids import Lsats, assert_wrong_use

CARRIED = (
    "select split_part(f, ':', 1) as flag, array_agg(dept_id) as keys from silver.departments, unnest(quality_flags) f "
    "where is_present group by 1"
)


def told(lsats: Lsats, *words: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(flag["table"], flag["flag"]): flag for flag in json.loads(lsats("quality", *words, "--json").stdout)}


@pytest.mark.budget(8, "two runs of all tables")
def test_flags_with_their_rows_examples_and_change(lsats: Lsats, operation: Operation, campus: Campus) -> None:
    assert "Nothing has run yet" in lsats("quality").stdout
    assert operation.run("hub_daily").success
    present = operation.sql("select count(*) from silver.departments where is_present")[0][0]
    carried = {row.flag: set(row.keys) for row in operation.sql(CARRIED)}
    known = operation.sql("select * from curated.flag_deductions where table_name = 'departments'")
    before = told(lsats, "departments")
    assert before.keys() == {("silver/departments", row.flag) for row in known}
    for row in known:
        flag, keys = before["silver/departments", row.flag], carried.get(row.flag, set())
        assert (flag["meaning"], flag["deduction"]) == (row.meaning, str(row.deduction))
        assert (flag["rows"], flag["present_rows"]) == (len(keys), present)
        assert float(flag["share"]) == pytest.approx(len(keys) / present, abs=1e-4)
        assert flag["examples"] == sorted({min(keys), max(keys)} if keys else ())
        assert flag["change"] is None

    said = lsats("quality").stdout
    assert "no run of any table is seven days old yet, so there is nothing to compare with" in said
    assert carried.keys() == {flag for table, flag in before if f" {flag} " in said and carried.get(flag)}
    only = lsats("quality", "department").stdout
    assert all(row.flag in only for row in known)
    assert "silver/tdx_departments" not in only
    assert_wrong_use(lsats("quality", "departmnts"), "departmnts", "did you mean silver/departments")

    # A week later three departments have left HR, and one run is too young to compare with.
    for days, gone in ((9, 0), (5, 2), (0, 3)):
        for key in sorted(campus.truth("umich_api/department"))[:gone]:
            campus.delete("umich_api/department", key)
        assert operation.run("hub_daily").success
        operation.sql(
            "update meta.ingestion_runs set completed_at = completed_at - make_interval(days => :days) "
            "where completed_at > now() - interval '1 hour'",
            days=days,
        )
    after = told(lsats, "departments")
    changed = {flag: found["change"] for (_, flag), found in after.items() if found["change"]}
    carried_now = {row.flag: set(row.keys) for row in operation.sql(CARRIED)}
    assert changed == {
        flag: len(carried_now.get(flag, ())) - len(carried.get(flag, ()))
        for flag in carried_now.keys() | carried
        if len(carried_now.get(flag, ())) != len(carried.get(flag, ()))
    }
    assert changed["no_umapi_data"] > 0
    said = lsats("quality", "departments").stdout
    assert f"{changed['no_umapi_data']:+d}" in said
    assert "since the newest run of each table that is at least seven days old" in said

    # Readers have the same numbers.
    frame = HubDatabase().query_to_dataframe("select * from silver.v_quality where table_name = 'departments'")
    assert {row.flag: row.flagged_rows for row in frame.itertuples()} == {
        flag: found["rows"] for (_, flag), found in after.items()
    }
    assert not frame.flagged_rows_before.isna().any()
