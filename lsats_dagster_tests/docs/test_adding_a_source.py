"""docs/adding_a_source.md does what it says: followed word for word, it gives a source that lacks nothing."""

import pytest
from sqlalchemy import text

from lsats_dagster.database import Database
from lsats_dagster_tests.docs.guide import Checkout
from lsats_dagster_tests.docs.test_adding_a_stream import asset


@pytest.mark.budget(15, "each command of the guide is a process that loads Dagster")
def test_the_guide_adds_a_source(checkout: Checkout) -> None:
    checkout.follow("adding_a_source.md")
    # One file and its name, and what a person sets up.
    assert list(dict.fromkeys(checkout.written)) == [
        "lsats_dagster/sources/facilities.py", "lsats_dagster/sources/__init__.py", "buildings.json", ".env"
    ]  # fmt: skip

    database = Database(checkout.environment["DATABASE_URL"])
    with database.transaction() as connection:
        shown = connection.execute(text("select external_id, payload ->> 'name' from bronze.buildings order by 1")).all()
        runs = connection.execute(text("select entity_type, status, records_created from meta.ingestion_runs")).all()
    database.dispose()
    assert shown == [("1000001", "Angell Hall"), ("1000002", "Lorch Hall")]
    # The dry run left no row.
    assert runs == [("building", "completed", 2)]
    assert "bronze/buildings" in checkout.said["lsats status"]
    assert "\nFACILITIES_FILE=\n" in (checkout.folder / ".env.example").read_text(encoding="utf-8")

    found = asset(checkout, "bronze/buildings")
    assert found["group"] == "facilities"
    assert found["checks"] == ["integrity", "removal_guard", "volume"]
    assert found["jobs"] == ["facilities_backfill", "facilities_ingest", "hub_daily"]
