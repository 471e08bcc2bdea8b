"""docs/adding_a_table.md does what it says: followed word for word, it gives a table that lacks nothing."""

import re
from collections import Counter

import pytest
from sqlalchemy import text

from lsats_dagster.database import READER, Database
from lsats_dagster.demo.campus import Campus
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.runs import Origin
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster.transforms.engine import refresh
from lsats_dagster.transforms.verify import verify
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.docs.guide import Checkout
from lsats_dagster_tests.docs.test_adding_a_stream import asset
from lsats_dagster_tests.hubs import FEW, FEW_STREAMS, made_of

ADDED = ("colleges", "tdx_account_contacts", "college_departments", "department_twins")
COUNTS = "select college_code, department_count from silver.v_colleges"


def tables(checkout: Checkout) -> tuple[Definition, ...]:
    """What the copy makes of departments."""
    return made_of(FEW, load_definitions(checkout.folder / "sql"))


def live(hub: Hub, checkout: Checkout) -> None:
    """Read the lists of departments and refresh every table that the copy makes of them."""
    for stream in (stream for stream in FEW_STREAMS if isinstance(stream, ListStream)):
        hub.run(stream)
    for definition in tables(checkout):
        refresh(hub.database, definition, origin=Origin(), lock_wait_seconds=10)


@pytest.mark.budget(15, "each command of the guide is a process that loads Dagster")
def test_the_guide_adds_a_table(checkout: Checkout, campus: Campus) -> None:
    url = checkout.environment["DATABASE_URL"]
    hub = Hub(Database(url), campus)
    # The guide is for a hub that has its inputs.
    live(hub, checkout)
    checkout.follow("adding_a_table.md")
    # The definitions, their deductions, a view, and nothing else.
    assert checkout.written == [
        "sql/silver/entities/colleges.sql", "sql/silver/sources/tdx_account_contacts.sql",
        "sql/silver/helpers/college_departments.sql", "sql/silver/helpers/department_twins.sql",
        "sql/curated/flag_deductions.csv", "sql/views/v_colleges.sql",
    ]  # fmt: skip

    departments = campus.truth("umich_api/department").values()
    colleges = Counter(str(row["DeptGroup"]).strip() for row in departments if str(row["DeptGroup"] or "").strip())
    reader = Database(url, role=READER, read_only=True)
    with reader.transaction() as connection:
        rows = connection.execute(text(COUNTS)).all()
    reader.dispose()
    assert dict(map(tuple, rows)) == colleges
    assert len(colleges) > 3

    assert hub.rows(
        "select count(*) from silver.colleges where (college_name is null) <> (data_quality_score <= 0.5)"
    ) == [(0,)]
    assert hub.rows(
        "select count(*) from silver.colleges "
        "where jsonb_array_length(source_keys -> 'silver.departments') <> cardinality(dept_ids)"
    ) == [(0,)]
    [(comment,)] = hub.rows("select obj_description('silver.colleges'::regclass)")
    assert comment.startswith("One college, by college code")

    verdicts = re.findall(r"^(\S+) silver/(\w+): \d+ rows, (.*)$", checkout.said["lsats verify"], re.MULTILINE)
    assert {("✅", table, "0 differing, 0 missing, 0 lingering") for table in ADDED} <= set(verdicts)
    page = (checkout.folder / "docs" / "tables" / "colleges.md").read_text(encoding="utf-8")
    assert "| `college_code` | text | College code" in page
    assert "| `several_names` | 0.05 |" in page
    assert "(colleges.md)" in (checkout.folder / "docs" / "tables" / "README.md").read_text(encoding="utf-8")

    found = asset(checkout, "silver/colleges")
    assert found["group"] == "silver_entities"
    assert found["parents"] == ["silver/departments"]
    assert found["checks"] == ["integrity", "quality", "volume"]
    assert isinstance(found["columns"], dict)
    assert found["columns"]["college_code"] == "College code, as in departments.dept_group"
    assert found["jobs"] == ["hub_daily", "silver_refresh", "tdx_backfill", "umich_api_backfill"]

    # A day later, an incremental refresh reaches what changed, and still gives what the whole would.
    key, department = next((key, row) for key, row in campus.truth("umich_api/department").items() if row["DeptGroup"])
    other = next(code for code in colleges if code != str(department["DeptGroup"]).strip())
    campus.put("umich_api/department", key, {"DeptGroup": other})
    live(hub, checkout)
    modes = dict(map(tuple, hub.rows(
        "select distinct on (entity_type) entity_type, mode from meta.ingestion_runs order by entity_type, run_seq desc"
    )))  # fmt: skip
    assert {table: modes[table] for table in ADDED} == dict.fromkeys(ADDED, "incremental") | {"department_twins": "full"}
    assert dict(map(tuple, hub.rows(COUNTS)))[other] == colleges[other] + 1
    verdicts = verify(hub.database, tables(checkout), lock_wait_seconds=10)
    assert [verdict.table for verdict in verdicts if not verdict.equal] == []
    hub.database.dispose()
