"""docs/adding_a_stream.md does what it says: followed word for word, it gives a stream that lacks nothing."""

import json

import pytest
from sqlalchemy import text

from lsats_dagster.database import Database
from lsats_dagster.demo.campus import Campus
from lsats_dagster_tests.docs.guide import Checkout

GRAPH = """
import json
from lsats_dagster.definitions import build_definitions
definitions = build_definitions()
asset = definitions.resolve_asset_graph().get({key!r})
jobs = [job.name for job in definitions.resolve_all_job_defs() if {key!r} in job.asset_layer.executable_asset_keys]
print(json.dumps({{
    "group": asset.group_name,
    "description": asset.description,
    "owners": list(asset.owners),
    "checks": sorted(check.name for check in asset.check_keys),
    "parents": sorted(key.to_user_string() for key in asset.parent_keys),
    "columns": {{c.name: c.description for c in asset.metadata["dagster/column_schema"].columns}},
    "jobs": sorted(name for name in jobs if not name.startswith("__")),
}}))
"""


def asset(checkout: Checkout, key: str) -> dict[str, object]:
    """What Dagster, loaded anew from the copy, says of one asset."""
    program = "import dagster as dg\n" + GRAPH.format(key="KEY").replace("'KEY'", f"dg.AssetKey({key.split('/')})")
    found: dict[str, object] = json.loads(checkout.run("python", "-c", program))
    return found


@pytest.fixture
def followed(checkout: Checkout) -> Checkout:
    checkout.follow("adding_a_stream.md")
    return checkout


@pytest.mark.budget(15, "each command of the guide is a process that loads Dagster")
def test_the_guide_adds_a_stream(followed: Checkout, campus: Campus) -> None:
    # One method of the client, one declaration, and nothing else.
    assert list(dict.fromkeys(followed.written)) == ["lsats_dagster/clients/tdx.py", "lsats_dagster/sources/tdx.py"]

    active = {key: account for key, account in campus.truth("tdx/department").items() if account["IsActive"]}
    database = Database(followed.environment["DATABASE_URL"])
    with database.transaction() as connection:
        shown = connection.execute(text("select external_id, payload from bronze.tdx_active_departments")).all()
        runs = connection.execute(text("select entity_type, status, records_created from meta.ingestion_runs")).all()
    database.dispose()
    assert {row.external_id: row.payload["Name"] for row in shown} == {k: a["Name"] for k, a in active.items()}
    assert all("Attributes" not in row.payload for row in shown)
    # The dry run left no row.
    assert runs == [("active_department", "completed", len(active))]
    assert "bronze/tdx_active_departments" in followed.said["lsats status"]

    found = asset(followed, "bronze/tdx_active_departments")
    assert found["group"] == "tdx"
    assert str(found["description"]).startswith("One active TeamDynamix account")
    assert found["owners"] == ["team:lsats"]
    assert found["checks"] == ["integrity", "removal_guard", "volume"]
    assert isinstance(found["columns"], dict)
    assert {"external_id", "payload", "is_present"} <= found["columns"].keys()
    assert all(found["columns"].values())
    assert found["jobs"] == ["hub_daily", "tdx_backfill", "tdx_ingest"]
