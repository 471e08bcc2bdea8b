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
from lsats_dagster_tests.contracts.readings_directories import DIRECTORY_READINGS
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
    "tdx_users": {
        "uniqname": ("AlternateID", readings.uniqname, "invalid_uniqname"),
        "external_id": ("ExternalID", readings.code, "bad_code"),
        "username": ("UserName", readings.text, None),
        "first_name": ("FirstName", readings.text, None),
        "middle_name": ("MiddleName", readings.text, None),
        "last_name": ("LastName", readings.text, None),
        "preferred_name": ("FullName", readings.text, None),
        "nickname": ("Nickname", readings.text, None),
        "primary_email": ("PrimaryEmail", readings.email, None),
        "alternate_email": ("AlternateEmail", readings.email, None),
        "alert_email": ("AlertEmail", readings.email, None),
        "work_phone": ("WorkPhone", readings.text, None),
        "mobile_phone": ("MobilePhone", readings.text, None),
        "home_phone": ("HomePhone", readings.text, None),
        "fax": ("Fax", readings.text, None),
        "other_phone": ("OtherPhone", readings.text, None),
        "pager": ("Pager", readings.text, None),
        "im_provider": ("IMProvider", readings.text, None),
        "im_handle": ("IMHandle", readings.text, None),
        "work_address": ("WorkAddress", readings.text, None),
        "work_city": ("WorkCity", readings.text, None),
        "work_state": ("WorkState", readings.text, None),
        "work_zip": ("WorkZip", readings.text, None),
        "work_country": ("WorkCountry", readings.text, None),
        "title": ("Title", readings.text, None),
        "job_title": ("Title", readings.text, None),
        "company": ("Company", readings.text, None),
        "default_account_id": ("DefaultAccountID", readings.reference, "bad_integer"),
        "tdx_account_id": ("DefaultAccountID", readings.reference, None),
        "default_account_name": ("DefaultAccountName", readings.tdx_text, None),
        "location_id": ("LocationID", readings.reference, "bad_integer"),
        "location_name": ("LocationName", readings.tdx_text, None),
        "location_room_id": ("LocationRoomID", readings.reference, "bad_integer"),
        "location_room_name": ("LocationRoomName", readings.tdx_text, None),
        "reports_to_uid": ("ReportsToUID", readings.uuid, "bad_uuid"),
        "reports_to_full_name": ("ReportsToFullName", readings.text, None),
        "is_active": ("IsActive", readings.is_active, None),
        "is_employee": ("IsEmployee", readings.boolean, None),
        "is_confidential": ("IsConfidential", readings.privacy, None),
        "authentication_provider_id": ("AuthenticationProviderID", readings.reference, "bad_integer"),
        "authentication_user_name": ("AuthenticationUserName", readings.text, None),
        "security_role_id": ("SecurityRoleID", readings.uuid, "bad_uuid"),
        "security_role_name": ("SecurityRoleName", readings.text, None),
        "beid": ("BEID", readings.text, None),
        "beid_int": ("BEIDInt", readings.integer, "bad_integer"),
        "default_priority_id": ("DefaultPriorityID", readings.reference, "bad_integer"),
        "default_priority_name": ("DefaultPriorityName", readings.tdx_text, None),
        "should_report_time": ("ShouldReportTime", readings.boolean, None),
        "is_capacity_managed": ("IsCapacityManaged", readings.boolean, None),
        "default_rate": ("DefaultRate", readings.decimal, "bad_decimal"),
        "cost_rate": ("CostRate", readings.decimal, "bad_decimal"),
        "primary_client_portal_application_id": ("PrimaryClientPortalApplicationID", readings.reference, "bad_integer"),
        "technician_signature": ("TechnicianSignature", readings.text, None),
        "profile_image_file_name": ("ProfileImageFileName", readings.text, None),
        "apply_technician_signature_to_replies": ("ApplyTechnicianSignatureToReplies", readings.boolean, None),
        "apply_technician_signature_to_updates_and_comments": (
            "ApplyTechnicianSignatureToUpdatesAndComments",
            readings.boolean,
            None,
        ),
        "end_date": ("EndDate", readings.tdx_time, "bad_date"),
        "report_time_after_date": ("ReportTimeAfterDate", readings.tdx_time, "bad_date"),
    },
    "tdx_assets": {
        "tag": ("Tag", readings.code, "bad_code"),
        "uri": ("Uri", readings.text, None),
        "external_id": ("ExternalID", readings.text, None),
        "serial_number": ("SerialNumber", readings.tdx_text, None),
        "app_id": ("AppID", readings.integer, "bad_integer"),
        "app_name": ("AppName", readings.tdx_text, None),
        "form_id": ("FormID", readings.integer, "bad_integer"),
        "form_name": ("FormName", readings.code, "bad_code"),
        "status_id": ("StatusID", readings.integer, "bad_integer"),
        "status_name": ("StatusName", readings.tdx_text, None),
        "parent_id": ("ParentID", readings.reference, "bad_integer"),
        "parent_tag": ("ParentTag", readings.tdx_text, None),
        "parent_name": ("ParentName", readings.tdx_text, None),
        "parent_serial_number": ("ParentSerialNumber", readings.tdx_text, None),
        "configuration_item_id": ("ConfigurationItemID", readings.integer, "bad_integer"),
        "location_id": ("LocationID", readings.reference, "bad_integer"),
        "location_name": ("LocationName", readings.tdx_text, None),
        "location_room_id": ("LocationRoomID", readings.reference, "bad_integer"),
        "location_room_name": ("LocationRoomName", readings.tdx_text, None),
        "owning_customer_id": ("OwningCustomerID", readings.uuid, "bad_uuid"),
        "owning_customer_name": ("OwningCustomerName", readings.tdx_text, None),
        "owning_department_id": ("OwningDepartmentID", readings.reference, "bad_integer"),
        "owning_department_name": ("OwningDepartmentName", readings.tdx_text, None),
        "requesting_customer_id": ("RequestingCustomerID", readings.uuid, "bad_uuid"),
        "requesting_customer_name": ("RequestingCustomerName", readings.tdx_text, None),
        "requesting_department_id": ("RequestingDepartmentID", readings.reference, "bad_integer"),
        "requesting_department_name": ("RequestingDepartmentName", readings.tdx_text, None),
        "purchase_cost": ("PurchaseCost", readings.price, "bad_decimal"),
        "acquisition_date": ("AcquisitionDate", readings.tdx_time, "bad_date"),
        "expected_replacement_date": ("ExpectedReplacementDate", readings.tdx_time, "bad_date"),
        "manufacturer_id": ("ManufacturerID", readings.reference, "bad_integer"),
        "manufacturer_name": ("ManufacturerName", readings.tdx_text, None),
        "product_model_id": ("ProductModelID", readings.reference, "bad_integer"),
        "product_model_name": ("ProductModelName", readings.tdx_text, None),
        "supplier_id": ("SupplierID", readings.reference, "bad_integer"),
        "supplier_name": ("SupplierName", readings.tdx_text, None),
        "maintenance_schedule_id": ("MaintenanceScheduleID", readings.reference, "bad_integer"),
        "maintenance_schedule_name": ("MaintenanceScheduleName", readings.tdx_text, None),
        "external_source_id": ("ExternalSourceID", readings.reference, "bad_integer"),
        "external_source_name": ("ExternalSourceName", readings.tdx_text, None),
        "created_uid": ("CreatedUid", readings.uuid, "bad_uuid"),
        "created_full_name": ("CreatedFullName", readings.text, None),
        "created_date": ("CreatedDate", readings.tdx_time, "bad_date"),
        "modified_uid": ("ModifiedUid", readings.uuid, "bad_uuid"),
        "modified_full_name": ("ModifiedFullName", readings.text, None),
        "modified_date": ("ModifiedDate", readings.tdx_time, "bad_date"),
    },
    "umapi_employees": {
        "uniqname": ("UniqName", readings.uniqname, "invalid_uniqname"),
        "first_name": ("FirstName", readings.text, None),
        "last_name": ("LastName", readings.text, None),
        "full_name": ("Name", readings.text, None),
        "department_id": ("DepartmentId", readings.department_code, "bad_code"),
        "dept_description": ("Dept_Description", readings.text, None),
        "supervisor_id": ("SupervisorId", readings.code, "bad_code"),
        "jobcode": ("Jobcode", readings.text, None),
        "university_job_title": ("UniversityJobTitle", readings.text, None),
        "job_title": ("UniversityJobTitle", readings.text, None),
        "department_job_title": ("DepartmentJobTitle", readings.text, None),
        "dept_job_title": ("DepartmentJobTitle", readings.text, None),
        "work_address_line1": ("Work_Address1", readings.text, None),
        "work_address_line2": ("Work_Address2", readings.text, None),
        "work_city": ("Work_City", readings.text, None),
        "work_state": ("Work_State", readings.text, None),
        "work_postal_code": ("Work_Postal", readings.text, None),
        "work_country": ("Work_Country", readings.text, None),
        "work_phone": ("Work_Phone", readings.text, None),
    },
    "lab_awards": {
        "project_grant_id": ("Project/Grant", readings.text, None),
        "award_title": ("Award Title", readings.text, None),
        "award_class": ("Award Class", readings.text, None),
        "award_total_dollars": ("Award Total Dollars", readings.money, "unparsed_amount"),
        "award_direct_dollars": ("Award Direct Dollars", readings.money, "unparsed_amount"),
        "award_indirect_dollars": ("Award Indirect Dollars", readings.money, "unparsed_amount"),
        "facilities_admin_rate": ("Facilities & Admin Rate (%)", readings.percent, "bad_decimal"),
        "award_start_date": ("Award Project Start Date", readings.day, "bad_day"),
        "award_end_date": ("Award Project End Date", readings.day, "bad_day"),
        "pre_nce_end_date": ("Pre NCE Project End Date", readings.day, "bad_day"),
        "award_publish_date": ("Award Publish Date", readings.day, "bad_day"),
        "direct_sponsor_name": ("Direct Sponsor Name", readings.text, None),
        "direct_sponsor_category": ("Direct Sponsor Category", readings.text, None),
        "direct_sponsor_subcategory": ("Direct Sponsor Subcategory", readings.text, None),
        "direct_sponsor_reference": (
            "Direct Sponsor Award Reference Number (Current Budget Period)",
            readings.text,
            None,
        ),
        "prime_sponsor_name": ("Prime Sponsor Name", readings.text, None),
        "prime_sponsor_category": ("Prime Sponsor Category", readings.text, None),
        "prime_sponsor_subcategory": ("Prime Sponsor Subcategory", readings.text, None),
        "prime_sponsor_reference": ("Prime Sponsor Award Reference Number", readings.text, None),
        "award_admin_department": ("Award Admin Department", readings.text, None),
        "award_admin_school_college": ("Award Admin School/College", readings.text, None),
        "person_first_name": ("Person First Name", readings.text, None),
        "person_last_name": ("Person Last Name", readings.text, None),
        "person_appt_department": ("Person Appt Department", readings.text, None),
        "person_appt_school_college": ("Person Appt School/College", readings.text, None),
    },
    **DIRECTORY_READINGS,
}
# Flags that a value raises because it cannot be read; a day that is none is flagged as other times are.
UNREADABLE = ("bad_", "invalid_", "unparsed_")
RAISED_AS = {"bad_day": "bad_date", "bad_directory_date": "bad_date"}
# Of more than one field: examples tell them.
OF_SEVERAL = {"bad_dn", "bad_code:computer_name"}
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
        check_readings(fuzzed, table, columns)


def check_readings(world: World, table: str, columns: dict[str, tuple[str, Reading, str | None]]) -> None:
    """Every row of one table is what its payload says."""
    rows = world.rows(f"select t.*, r.payloads from silver.{table} t {payloads_of(world, table)}")
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
                bad.add(f"{RAISED_AS.get(flag, flag)}:{column}")
        raised = {name for name in row.quality_flags if name.startswith(UNREADABLE)} - OF_SEVERAL
        assert raised == bad, (table, payload)
        if table == "tdx_departments":
            location = {key: readings.text(payload.get(field)) for key, field in LOCATION.items()}
            assert row.location_info == {key: value for key, value in location.items() if value is not None}


def payloads_of(world: World, table: str) -> str:
    """The join to the payloads that a row is read from, the newest last."""
    columns = {column.name for column in world.definition(table).columns}
    made_from = ", ".join(f"t.{name}" for name in ("raw_id", "detail_raw_id") if name in columns)
    versions = "select array_agg(raw_data::text order by seq) as payloads from bronze.raw_entities"
    return f"join lateral ({versions} where raw_id in ({made_from})) r on true"


def test_a_second_refresh_is_quiet(fuzzed: World) -> None:
    before = checks.dump(fuzzed)
    fuzzed.refresh_all(full=True)
    after = checks.dump(fuzzed)
    assert {name for name, rows in after.items() if rows != before[name]} == {"meta.ingestion_runs"}
