"""Bad values become flags and never fail: every field of every stream holds every hostile value once."""

from collections.abc import Callable
from typing import Any

import pytest

from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster_tests.contracts import readings
from lsats_dagster_tests.contracts import table_checks as checks
from lsats_dagster_tests.contracts.forms import SUITE_DEFINITIONS, SUITE_STREAMS
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.shapes import ABSENT, HOSTILE, SHAPES, UNSTORABLE

Reading = Callable[[Any], Any]
# table -> column -> (field of the payload, how it is read, flag of what cannot be read)
READINGS: dict[str, dict[str, tuple[str, Reading, str | None]]] = {
    "tdx_departments": {
        "dept_id": ("Code", readings.code, "bad_code"),
        "department_name": ("Name", readings.text, None),
        "dept_notes": ("Notes", readings.text, None),
        "is_active": ("IsActive", readings.is_active, None),
        "parent_id": ("ParentID", readings.reference, "bad_integer"),
        "manager_uid": ("ManagerUID", readings.uuid, "bad_uuid"),
        "tdx_created_date": ("CreatedDate", readings.tdx_time, "bad_date"),
        "tdx_modified_date": ("ModifiedDate", readings.tdx_time, "bad_date"),
    },
    "umapi_departments": {
        "department_name": ("DeptDescription", readings.text, None),
        "dept_group": ("DeptGroup", readings.code, "bad_code"),
        "dept_group_campus": ("DeptGroupCampus", readings.code, "bad_code"),
        "dept_group_vp_area": ("DeptGroupVPArea", readings.code, "bad_code"),
        "college_name": ("DeptGroupDescription", readings.text, None),
        "campus_name": ("DeptGroupCampusDescr", readings.text, None),
        "vp_area_name": ("DeptGroupVPAreaDescr", readings.text, None),
    },
}
# location_info of tdx_departments: its keys and the fields they come from.
LOCATION = {
    "address1": "Address1", "address2": "Address2", "address3": "Address3", "address4": "Address4", "city": "City",
    "state_abbr": "StateAbbr", "state_name": "StateName", "postal_code": "PostalCode", "country": "Country",
    "phone": "Phone", "fax": "Fax", "url": "Url",
}  # fmt: skip


@pytest.fixture(scope="module")
def fuzzed(suite_world: World) -> World:
    """A hub in which each stream has met every hostile value in every field, after one refresh of everything."""
    world = suite_world.reset()
    changes = [change for stream in SUITE_STREAMS for change in hostile_changes(stream)]
    for change in changes:
        # Ordinary at first, in every stream that keys this entity: then the newer one of list and detail is hostile.
        stream = world.streams[change.stream]
        lists = [stream.list_stream] if isinstance(stream, DetailStream) else []
        details = [other for other in SUITE_STREAMS if isinstance(other, DetailStream) and other.list_stream is stream]
        world.apply(*(Change(other.name, change.key) for other in (stream, *lists, *details)))
    world.read_all()
    for change in changes:
        # A volatile field alone would not make a new version.
        world.apply(change, Change(change.stream, change.key, "NotRead", "moved"))
    for stream in sorted(SUITE_STREAMS, key=lambda stream: isinstance(stream, DetailStream)):
        world.read(stream.name, "full")
    world.administer("analyze bronze.raw_entities, bronze.current_entities")
    world.refresh_all()
    return world


def hostile_changes(stream: StreamDeclaration) -> list[Change]:
    """Each hostile value in each field, all fields of an entity at once; those of details apart from those of lists.

    A value that keeps its record out of bronze has an entity of its own.
    """
    shape, first = SHAPES[stream.name], 100_001 if isinstance(stream, DetailStream) else 1
    storable = [value for value in HOSTILE if value not in UNSTORABLE]
    rows = [[storable[(number + 7 * place) % len(storable)] for place, _ in enumerate(shape.fields)]
            for number, _ in enumerate(storable)]  # fmt: skip
    records = [dict(zip(shape.fields, row, strict=True)) for row in rows]
    records += [{field: value} for field in shape.fields for value in UNSTORABLE]
    return [
        Change(stream.name, shape.number(number), field, value)
        for number, record in enumerate(records, start=first)
        for field, value in record.items()
    ]


def test_no_run_failed(fuzzed: World) -> None:
    assert fuzzed.rows("select 1 from meta.ingestion_runs where status <> 'completed'") == []


@pytest.mark.parametrize("definition", SUITE_DEFINITIONS, ids=lambda definition: definition.table)
def test_every_table_holds(fuzzed: World, definition: Any) -> None:
    checks.check_rules(fuzzed, definition)


def test_only_what_is_no_text_is_kept_aside(fuzzed: World) -> None:
    """A lone surrogate cannot be stored; everything else that is hostile can."""
    fields = sum(len(SHAPES[stream.name].fields) for stream in SUITE_STREAMS)
    aside = fuzzed.rows("select payload from meta.quarantine")
    assert len(aside) == fields * len(UNSTORABLE)
    assert all("\\ud800" in row.payload for row in aside)


def test_tables_of_one_source_read_as_specified(fuzzed: World) -> None:
    """Each typed column is what its text says; what cannot be read is NULL and flagged, and nothing else is flagged."""
    for table, columns in READINGS.items():
        rows = fuzzed.rows(f"select t.*, r.payloads from silver.{table} t {payloads_of(table)}")
        assert len(rows) >= len(HOSTILE) - len(UNSTORABLE)
        for row in rows:
            # What the newer one of search and detail lacks is as the older one says.
            payload = dict(item for document in row.payloads for item in readings.payload(document).items())
            bad = set()
            for column, (field, reading, flag) in columns.items():
                said = payload.get(field, ABSENT)
                should = reading(said)
                assert getattr(row, column) == should, (table, column, said)
                if flag and should is None and not readings.means_nothing(flag, said):
                    bad.add(f"{flag}:{column}")
            assert {name for name in row.quality_flags if name.startswith("bad_")} == bad, payload
            if table == "tdx_departments":
                location = {key: readings.text(payload.get(field)) for key, field in LOCATION.items()}
                assert row.location_info == {key: value for key, value in location.items() if value is not None}


def payloads_of(table: str) -> str:
    """The join to the payloads that a row is read from, the newest last."""
    columns = {column.name for d in SUITE_DEFINITIONS if d.table == table for column in d.columns}
    made_from = ", ".join(f"t.{name}" for name in ("raw_id", "detail_raw_id") if name in columns)
    versions = "select array_agg(raw_data::text order by seq) as payloads from bronze.raw_entities"
    return f"join lateral ({versions} where raw_id in ({made_from})) r on true"


def test_a_second_refresh_is_quiet(fuzzed: World) -> None:
    before = checks.dump(fuzzed)
    fuzzed.refresh_all(full=True)
    after = checks.dump(fuzzed)
    assert {name for name, rows in after.items() if rows != before[name]} == {"meta.ingestion_runs"}
