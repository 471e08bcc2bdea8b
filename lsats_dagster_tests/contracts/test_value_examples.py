"""Every example value and every edge case that silver_source_tables.md names for people, assets, appointments, the inventory and
awards (4.1, 4.3, 4.5, 4.12, 4.13), row by row; then what only a sequence of reads shows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.shapes import ABSENT, LONG, NOBODY, NOT_SET, SHAPES, attribute, mac, uid
from lsats_dagster_tests.contracts.table_checks import check_rules

UNIQUE = "7c1e0a52-33b4-4d0f-9d0e-5b1f6c2a9e10"
ROLE = "1fd2b6f0-0b1a-4a55-9f11-0d5f3a7f1c22"
PI, PERSONNEL = "UM Principal Investigator", "UM Key Personnel"
DEPARTMENT, USER, USER_DETAIL = "tdx/department", "tdx/user", "tdx/user_detail"
ASSET, ASSET_DETAIL, APPOINTMENT = "tdx/asset", "tdx/asset_detail", "umich_api/user"
AWARD, CARD, USAGE = "lab_awards/lab_award", "key_client/computer", "key_client/computer_usage"
# table -> the stream that keys it, and the one that says more of the same records.
READ_FROM = {
    "tdx_users": (USER, USER_DETAIL), "tdx_assets": (ASSET, ASSET_DETAIL), "umapi_employees": (APPOINTMENT,),
    "lab_awards": (AWARD,), "keyconfigure_computers": (CARD, USAGE),
}  # fmt: skip


def moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@dataclass(frozen=True)
class Example:
    """One record: what it says unlike an ordinary one, and what the row must hold. An ordinary one has no flags.

    more: what the second stream says unlike the first; None: it has no such record. key: where it is told by its key.
    """

    said: Mapping[str, Any]
    expected: Mapping[str, Any]
    flags: tuple[str, ...] = ()
    more: Mapping[str, Any] | None = field(default_factory=dict)
    key: str = ""


# Names of fields as TeamDynamix has them -> value -> column -> value.
WHOLE_USER = Example(
    {
        "AlternateID": "jrivers", "ExternalID": "10234567", "UserName": "jrivers@example.edu", "FirstName": "Jamie",
        "MiddleName": "Lee", "LastName": "Rivers", "FullName": "Jamie Rivers", "Nickname": "JR",
        "PrimaryEmail": " JRivers@example.edu ", "AlternateEmail": "Jamie@example.org", "AlertEmail": "jrivers@example.edu",
        "WorkPhone": "734-555-0142", "MobilePhone": "734-555-0199", "HomePhone": None, "Fax": "", "OtherPhone": " ",
        "Pager": ABSENT, "IMProvider": None, "IMHandle": None, "WorkAddress": "1234 Example Hall", "WorkCity": "Ann Arbor",
        "WorkState": "MI", "WorkZip": "48109", "WorkCountry": "USA", "Title": "Lab Manager", "Company": "Example University",
        "DefaultAccountID": 1, "DefaultAccountName": "Example Biology", "ReportsToUID": None, "ReportsToFullName": "Pat Stone",
        "IsActive": True, "IsEmployee": True, "IsConfidential": False, "AuthenticationProviderID": 12,
        "AuthenticationUserName": "jrivers", "SecurityRoleID": ROLE, "SecurityRoleName": "Technician", "BEID": None,
        "BEIDInt": None, "DefaultPriorityID": 0, "DefaultPriorityName": "None", "ShouldReportTime": False,
        "IsCapacityManaged": False, "DefaultRate": 0.0, "CostRate": "0.00", "PrimaryClientPortalApplicationID": 48,
        "TechnicianSignature": "<p> Jamie </p>", "ProfileImageFileName": None, "ApplyTechnicianSignatureToReplies": False,
        "ApplyTechnicianSignatureToUpdatesAndComments": None, "EndDate": NOT_SET, "ReportTimeAfterDate": "0001-01-01T00:00:00",
    },
    {
        "uniqname": "jrivers", "external_id": "10234567", "username": "jrivers@example.edu", "first_name": "Jamie",
        "middle_name": "Lee", "last_name": "Rivers", "full_name": "Rivers, Jamie Lee", "preferred_name": "Jamie Rivers",
        "nickname": "JR", "primary_email": "jrivers@example.edu", "alternate_email": "jamie@example.org",
        "alert_email": "jrivers@example.edu", "work_phone": "734-555-0142", "mobile_phone": "734-555-0199", "home_phone": None,
        "fax": None, "other_phone": None, "pager": None, "im_provider": None, "im_handle": None,
        "work_address": "1234 Example Hall", "work_city": "Ann Arbor", "work_state": "MI", "work_zip": "48109",
        "work_country": "USA", "title": "Lab Manager", "job_title": "Lab Manager", "company": "Example University",
        "default_account_id": 1, "tdx_account_id": 1, "default_account_name": "Example Biology", "department_id": "100001",
        "location_id": 77, "location_name": "Example Hall", "location_room_id": 910, "location_room_name": "0123B",
        "reports_to_uid": None, "reports_to_full_name": "Pat Stone", "is_active": True, "is_employee": True,
        "is_confidential": False, "authentication_provider_id": 12, "authentication_user_name": "jrivers",
        "security_role_id": UUID(ROLE), "security_role_name": "Technician", "beid": None, "beid_int": None,
        "default_priority_id": None, "default_priority_name": None, "should_report_time": False, "is_capacity_managed": False,
        "default_rate": Decimal(0), "cost_rate": Decimal(0), "primary_client_portal_application_id": 48,
        "technician_signature": "<p> Jamie </p>", "profile_image_file_name": None,
        "apply_technician_signature_to_replies": False, "apply_technician_signature_to_updates_and_comments": None,
        "end_date": None, "report_time_after_date": None, "attributes": [{"Name": "Institutional Role", "Value": "3"}],
        "applications": ["TDAssets"], "org_applications": [{"ID": 48, "Name": "Assets"}], "group_ids": [101, 202],
        "permissions": [], "is_enriched": True, "source_systems": ["tdx"], "data_quality_score": Decimal("1.00"),
    },
    more={
        "Attributes": [{"Name": "Institutional Role", "Value": "3", "Choices": [{"ID": 3}]}], "Applications": ["TDAssets"],
        "OrgApplications": [{"ID": 48, "Name": "Assets"}], "GroupIDs": [101, 202], "Permissions": [], "LocationID": 77,
        "LocationName": "Example Hall", "LocationRoomID": 910, "LocationRoomName": "0123B",
    },
)  # fmt: skip
USERS = [
    WHOLE_USER,
    Example({"AlternateID": None}, {"uniqname": None, "data_quality_score": Decimal("0.70")}, ("missing_uniqname",)),
    Example({"AlternateID": ""}, {"uniqname": None}, ("missing_uniqname",)),
    Example(
        {"AlternateID": "jrivers@example.edu"}, {"uniqname": None, "data_quality_score": Decimal("0.65")},
        ("missing_uniqname", "invalid_uniqname:uniqname"),
    ),
    Example({"AlternateID": " JStone ", "UserName": "jstone@example.edu"}, {"uniqname": "jstone"}),
    Example({"AlternateID": "jstone7", "UserName": "other@example.edu"}, {"uniqname": "jstone7"}, ("username_mismatch",)),
    Example({"AlternateID": "twin", "UserName": None}, {"uniqname": "twin"}, ("duplicate_uniqname",)),
    Example({"AlternateID": "TWIN", "UserName": None}, {"uniqname": "twin"}, ("duplicate_uniqname",)),
    Example({"ExternalID": "00012345"}, {"external_id": "00012345"}),
    Example({"ExternalID": ABSENT}, {"external_id": None}),
    Example({"ExternalID": LONG}, {"external_id": None}, ("bad_code:external_id",)),
    Example(
        {
            "DefaultAccountID": 0, "DefaultAccountName": "None", "ReportsToUID": NOBODY, "AuthenticationProviderID": 0,
            "SecurityRoleID": f"{{{NOBODY}}}", "DefaultPriorityID": "0", "PrimaryClientPortalApplicationID": 0.0,
        },
        {
            "default_account_id": None, "tdx_account_id": None, "department_id": None, "default_account_name": None,
            "reports_to_uid": None, "authentication_provider_id": None, "security_role_id": None,
            "default_priority_id": None, "primary_client_portal_application_id": None, "location_id": None,
            "location_name": None, "data_quality_score": Decimal("0.80"),
        },
        ("missing_department",), more={"LocationID": 0, "LocationName": "None"},
    ),
    Example({"DefaultAccountID": "2.0"}, {"default_account_id": 2, "department_id": "100002"}),
    Example({"DefaultAccountID": 9_999}, {"default_account_id": 9_999, "department_id": None}, ("unknown_account",)),
    Example({"IsActive": ABSENT}, {"is_active": True}),
    Example({"IsActive": None}, {"is_active": None}),
    Example({"IsActive": "No", "IsEmployee": "f"}, {"is_active": False, "is_employee": False}),
    Example(
        {},
        {"attributes": [], "applications": [], "org_applications": [], "group_ids": [], "permissions": [], "is_enriched": True},
        more={"Attributes": None, "Applications": ABSENT, "OrgApplications": "none", "GroupIDs": None, "Permissions": {}},
    ),
    Example({}, {"attributes": [], "group_ids": [], "is_enriched": False, "detail_raw_id": None}, ("no_detail_variant",), None),
    Example(
        {"BEIDInt": 2**31, "EndDate": "soon", "ReportsToUID": "Pat Stone", "CostRate": "free", "SecurityRoleID": "x"},
        {"beid_int": None, "end_date": None, "reports_to_uid": None, "cost_rate": None, "security_role_id": None},
        ("bad_integer:beid_int", "bad_date:end_date", "bad_uuid:reports_to_uid", "bad_decimal:cost_rate",
         "bad_uuid:security_role_id"),
    ),
    Example({"EndDate": "2026-08-31T04:00:00Z"}, {"end_date": moment(2026, 8, 31, 4)}),
    Example({"MiddleName": None}, {"full_name": "Last{n}, First{n}"}),
    Example({"FirstName": " ", "MiddleName": ""}, {"first_name": None, "full_name": "Last{n}"}),
    Example(
        {"FirstName": None, "MiddleName": None, "LastName": None, "FullName": ""}, {"full_name": None, "preferred_name": None},
    ),
    Example({"LastName": None}, {"full_name": "First{n} Middle"}),
    Example({"PrimaryEmail": ""}, {"primary_email": None, "data_quality_score": Decimal("0.80")}, ("missing_email",)),
    Example({"Title": [" ", "Keeper"], "WorkPhone": 5550100}, {"title": "Keeper", "work_phone": "5550100"}),
    Example({"Company": LONG}, {"company": LONG}),
]  # fmt: skip
WHOLE_ASSET = Example(
    {
        "Tag": "LSA-004512", "Name": "BIO-PC-017", "Uri": "api/48/assets/1", "ExternalID": "", "SerialNumber": "5CG0000XYZ",
        "AppID": 48, "AppName": "Example Assets/CIs", "FormID": 2448, "FormName": "Computer Form", "StatusID": 31,
        "StatusName": "In Use", "ParentID": 0, "ParentTag": None, "ParentName": "None", "ParentSerialNumber": "",
        "ConfigurationItemID": 98012, "LocationID": 77, "LocationName": "Example Hall", "LocationRoomID": 910,
        "LocationRoomName": "0123B", "OwningCustomerID": UNIQUE, "OwningCustomerName": "Jamie Rivers", "OwningDepartmentID": 41,
        "OwningDepartmentName": "Example Biology", "RequestingCustomerID": NOBODY, "RequestingCustomerName": "None",
        "RequestingDepartmentID": 0, "RequestingDepartmentName": "None", "PurchaseCost": 1249.00,
        "AcquisitionDate": "2023-08-15T04:00:00Z", "ExpectedReplacementDate": "2028-08-15T04:00:00Z", "ManufacturerID": 15,
        "ManufacturerName": "ExampleCorp", "ProductModelID": 220, "ProductModelName": "EC-9000", "SupplierID": 0,
        "SupplierName": "None", "MaintenanceScheduleID": 0, "MaintenanceScheduleName": "None", "ExternalSourceID": 0,
        "ExternalSourceName": "None", "CreatedUid": ROLE, "CreatedFullName": "Pat Stone",
        "CreatedDate": "2023-08-16T13:00:00Z", "ModifiedUid": ROLE, "ModifiedFullName": "Pat Stone",
        "ModifiedDate": "2025-05-02T18:31:05.623Z",
    },
    {
        "tag": "LSA-004512", "name": "BIO-PC-017", "uri": "api/48/assets/1", "external_id": None,
        "serial_number": "5CG0000XYZ", "serial_number_norm": "5CG0000XYZ", "app_id": 48, "app_name": "Example Assets/CIs",
        "form_id": 2448, "form_name": "Computer Form", "status_id": 31, "status_name": "In Use", "parent_id": None,
        "parent_tag": None, "parent_name": None, "parent_serial_number": None, "configuration_item_id": 98012,
        "location_id": 77, "location_name": "Example Hall", "location_room_id": 910, "location_room_name": "0123B",
        "owning_customer_id": UUID(UNIQUE), "owning_customer_name": "Jamie Rivers", "owning_department_id": 41,
        "owning_department_name": "Example Biology", "requesting_customer_id": None, "requesting_customer_name": None,
        "requesting_department_id": None, "requesting_department_name": None, "purchase_cost": Decimal("1249.00"),
        "acquisition_date": moment(2023, 8, 15, 4), "expected_replacement_date": moment(2028, 8, 15, 4), "manufacturer_id": 15,
        "manufacturer_name": "ExampleCorp", "product_model_id": 220, "product_model_name": "EC-9000", "supplier_id": None,
        "supplier_name": None, "maintenance_schedule_id": None, "maintenance_schedule_name": None, "external_source_id": None,
        "external_source_name": None, "created_uid": UUID(ROLE), "created_full_name": "Pat Stone",
        "created_date": moment(2023, 8, 16, 13), "modified_uid": UUID(ROLE), "modified_full_name": "Pat Stone",
        "modified_date": moment(2025, 5, 2, 18, 31, 5, 623_000), "attr_mac_address": "AA:BB:CC:00:11:22, AABBCC001123",
        "mac_addresses": ["AABBCC001122", "AABBCC001123"], "attr_ip_address": "192.0.2.10,192.0.2.11",
        "ip_addresses": ["192.0.2.10", "192.0.2.11"], "attr_operating_system_id": 2204,
        "attr_operating_system_name": "Windows 11", "attr_last_inventoried_date": moment(2025, 1, 20, 5),
        "attr_purchase_shortcode": "123456", "attr_function_id": 3301, "attr_function_name": "Research",
        "attr_financial_owner_uid": UUID(UNIQUE), "attr_financial_owner_name": "Jamie Rivers",
        "attr_support_groups_ids": [2364, 5176], "attr_support_groups_text": "Example Desktop, Example Servers",
        "attr_memory": "16GB", "attr_storage": "1TB", "attr_processor_count": "Example i7 @ 2.6GHz", "attachments": [],
        "is_enriched": True, "source_systems": ["tdx"], "data_quality_score": Decimal("1.00"),
    },
    more={
        "Attributes": [
            attribute(1, "MAC Address(es)", "AA:BB:CC:00:11:22, AABBCC001123"),
            attribute(2, "Reserved IP Address(es)", "192.0.2.10,192.0.2.11"),
            attribute(3, "Operating System", "2204", "Windows 11"),
            attribute(4, "Last Inventoried Date", "2025-01-20T05:00:00Z"),
            attribute(5, "Purchase Shortcode", "123456"), attribute(6, "Function", 3301, "Research"),
            attribute(10896, "Financial Owner/Responsible", UNIQUE, "Jamie Rivers"),
            attribute(7, "Support Group(s)", "2364,5176", "Example Desktop, Example Servers"), attribute(8, "Memory", "16GB"),
            attribute(9, "Storage", "1TB"), attribute(10, "Processor(s)", "Example i7 @ 2.6GHz"),
        ],
        "Attachments": [],
    },
)  # fmt: skip


def with_attributes(
    *given: dict[str, Any], flags: tuple[str, ...] = (), said: Mapping[str, Any] | None = None, **expected: Any
) -> Example:
    """An asset with these custom attributes and no others."""
    return Example(said or {}, expected, flags, more={"Attributes": list(given)})


ASSETS = [
    WHOLE_ASSET,
    Example({"Tag": " ", "Name": "A"}, {"tag": None}),
    Example({"Tag": "", "Name": "B"}, {"tag": None}),
    Example({"Tag": "TWICE"}, {"tag": "TWICE"}, ("duplicate_tag",)),
    Example({"Tag": " TWICE "}, {"tag": "TWICE"}, ("duplicate_tag",)),
    Example({"Tag": LONG}, {"tag": None}, ("bad_code:tag",)),
    Example({"Name": " "}, {"name": "EX-{n}"}, ("missing_name",)),
    Example({"Name": None, "Tag": None}, {"name": "asset-{n}", "data_quality_score": Decimal("0.90")}, ("missing_name",)),
    Example({"SerialNumber": "None"}, {"serial_number": None, "serial_number_norm": None}, ("missing_serial",)),
    Example({"SerialNumber": "0000"}, {"serial_number": "0000", "serial_number_norm": None}, ("missing_serial",)),
    Example(
        {"SerialNumber": "To be filled by O.E.M."}, {"serial_number_norm": None, "data_quality_score": Decimal("0.80")},
        ("missing_serial",),
    ),
    Example({"SerialNumber": " 5cg 000 "}, {"serial_number": "5cg 000", "serial_number_norm": "5CG000"}),
    Example({"SerialNumber": LONG}, {"serial_number": LONG, "serial_number_norm": None}, ("missing_serial",)),
    Example({"LocationName": "None", "StatusName": "None"}, {"location_name": None, "status_name": None}),
    Example(
        {"OwningCustomerID": NOBODY, "OwningCustomerName": "None"},
        {"owning_customer_id": None, "owning_customer_name": None, "data_quality_score": Decimal("0.85")}, ("missing_owner",),
    ),
    Example(
        {"OwningDepartmentID": 0, "OwningDepartmentName": "None"},
        {"owning_department_id": None, "owning_department_name": None, "data_quality_score": Decimal("0.85")},
        ("missing_department",),
    ),
    Example({"PurchaseCost": 0}, {"purchase_cost": None}),
    Example({"PurchaseCost": "0.1"}, {"purchase_cost": Decimal("0.1")}),
    Example({"PurchaseCost": "free"}, {"purchase_cost": None}, ("bad_decimal:purchase_cost",)),
    Example(
        {"AcquisitionDate": NOT_SET, "ExpectedReplacementDate": None},
        {"acquisition_date": None, "expected_replacement_date": None},
    ),
    Example({"StatusID": "x", "FormID": None}, {"status_id": None, "form_id": None}, ("bad_integer:status_id",)),
    Example({}, {"is_enriched": False, "attributes": [], "mac_addresses": [], "attr_memory": None, "attr_support_groups_ids": [],
                 "data_quality_score": Decimal("0.80")}, ("no_detail_variant",), None),
    Example({}, {"attributes": [], "attachments": [], "is_enriched": True}, more={"Attributes": None, "Attachments": None}),
    with_attributes(attribute(1, " memory ", " 8 GB "), attr_memory="8 GB", attr_storage=None),
    with_attributes(attribute(1, "Memory", "first"), attribute(2, "MEMORY", "second"), attr_memory="first"),
    with_attributes(
        attribute(1, "Financial Owner/Responsible", UNIQUE, "By name"), attribute(10896, "Renamed", ROLE, "By number"),
        attr_financial_owner_uid=UUID(ROLE), attr_financial_owner_name="By number",
    ),
    with_attributes(
        attribute(1, "financial owner/responsible", UNIQUE, "By name"),
        attr_financial_owner_uid=UUID(UNIQUE), attr_financial_owner_name="By name",
    ),
    with_attributes(
        attribute(1, "Financial Owner/Responsible", "nobody", "None"), attr_financial_owner_uid=None,
        attr_financial_owner_name=None, flags=("bad_uuid:attr_financial_owner_uid",),
    ),
    with_attributes(
        attribute(1, "MAC Address(es)", "00-1A-2B-3C-4D-5E; 00 1a 2b 3c 4d 5f\n001A.2B3C.4D60, none"),
        mac_addresses=["001A2B3C4D5E", "001A2B3C4D5F", "001A2B3C4D60"],
    ),
    with_attributes(
        attribute(1, "MAC Address(es)", "00:00:00:00:00:00"), attr_mac_address="00:00:00:00:00:00", mac_addresses=[],
        flags=("invalid_mac",),
    ),
    with_attributes(attribute(1, "MAC Address(es)", "None"), attr_mac_address=None, mac_addresses=[]),
    with_attributes(attribute(1, "Reserved IP Address(es)", "192.0.2.300, 192.0.2.9/24"), ip_addresses=["192.0.2.9"]),
    with_attributes(attribute(1, "Support Group(s)", 77, "One"), attr_support_groups_ids=[77]),
    with_attributes(attribute(1, "Support Group(s)", "", ""), attr_support_groups_ids=[], attr_support_groups_text=None),
    with_attributes(
        attribute(1, "Support Group(s)", "77, x,81,0"), attr_support_groups_ids=[77, 81],
        flags=("bad_integer:attr_support_groups_ids",),
    ),
    with_attributes(attribute(1, "Last Inventoried Date", "1/20/2025"), attr_last_inventoried_date=moment(2025, 1, 20, 5)),
    with_attributes(
        attribute(1, "Last Inventoried Date", "last week"), attr_last_inventoried_date=None,
        flags=("bad_date:attr_last_inventoried_date",),
    ),
    with_attributes(
        attribute(1, "Operating System", 0, "None"), attribute(2, "Function", "x", "Research"), attr_operating_system_id=None,
        attr_operating_system_name=None, attr_function_id=None, attr_function_name="Research",
        flags=("bad_integer:attr_function_id",),
    ),
    with_attributes({"Name": None, "Value": "x"}, {"ID": 1}, attr_memory=None),
]  # fmt: skip
LOCATION = {
    "address1": "1234 Example Hall", "address2": None, "address3": None, "city": "Ann Arbor", "state": "MI",
    "postal": "48109", "country": "USA", "phone": "734-555-0142", "phone_extension": None,
}  # fmt: skip
EMPLOYEES = [
    Example(
        {
            "UniqName": "JRIVERS", "FirstName": "Jamie", "LastName": " Rivers", "Name": "Rivers,Jamie Lee",
            "DepartmentId": "175000", "Dept_Description": "Example Biology", "SupervisorId": "10111222", "Jobcode": "102945",
            "DepartmentJobTitle": "Lab Manager", "UniversityJobTitle": "Research Lab Specialist",
            "Work_Address1": "1234 Example Hall", "Work_Address2": " ", "Work_Address3": None, "Work_City": "Ann Arbor",
            "Work_State": "MI", "Work_Postal": "48109", "Work_Country": "USA", "Work_Phone": "734-555-0142",
            "Work_Phone_Extension": "",
        },
        {
            "empl_id": "10234567", "empl_rcd": 0, "uniqname": "jrivers", "first_name": "Jamie", "last_name": "Rivers",
            "full_name": "Rivers,Jamie Lee", "preferred_name": "Jamie Rivers", "department_id": "175000",
            "dept_description": "Example Biology", "supervisor_id": "10111222", "jobcode": "102945",
            "department_job_title": "Lab Manager", "dept_job_title": "Lab Manager",
            "university_job_title": "Research Lab Specialist", "job_title": "Research Lab Specialist",
            "work_location": LOCATION, "work_phone": "734-555-0142", "work_city": "Ann Arbor", "work_state": "MI",
            "work_postal_code": "48109", "work_country": "USA", "work_address_line1": "1234 Example Hall",
            "work_address_line2": None, "is_primary": True, "source_systems": ["umich_api"],
            "data_quality_score": Decimal("1.00"),
        },
        key="10234567:0",
    ),
    Example(
        {}, {"empl_id": "10234567", "empl_rcd": 511, "is_primary": False}, ("uniqname_on_two_employee_ids",),
        key="10234567:511",
    ),
    Example(
        {"EmplRcd": " 2.0 ", "UniqName": None}, {"empl_rcd": 2, "is_primary": True}, ("missing_uniqname",), key="04512987:2",
    ),
    Example({"UniqName": " "}, {"uniqname": None, "data_quality_score": Decimal("0.70")}, ("missing_uniqname",)),
    Example({"UniqName": "averylonguniqname"}, {"uniqname": "averylonguniqname"}),
    Example({"UniqName": "no name"}, {"uniqname": None}, ("missing_uniqname", "invalid_uniqname:uniqname")),
    Example({"SupervisorId": ""}, {"supervisor_id": None, "data_quality_score": Decimal("0.85")}, ("missing_supervisor",)),
    Example({"Work_Phone": None}, {"work_phone": None, "data_quality_score": Decimal("0.85")}, ("missing_work_phone",)),
    Example({"Work_Postal": ""}, {"data_quality_score": Decimal("0.80")}, ("incomplete_work_location",)),
    Example({"Work_Country": ""}, {"work_country": None, "data_quality_score": Decimal("1.00")}),
    Example({"Jobcode": None}, {"data_quality_score": Decimal("0.90")}, ("missing_jobcode",)),
    Example({"Jobcode": "001234"}, {"jobcode": "001234"}),
    Example({"UniversityJobTitle": "x" * 611}, {"university_job_title": "x" * 611}),
    Example(
        {"UniversityJobTitle": ""}, {"job_title": None, "data_quality_score": Decimal("0.90")},
        ("missing_university_job_title",),
    ),
    Example({"FirstName": None}, {"preferred_name": "Last{n}", "data_quality_score": Decimal("1.00")}, ("missing_first_name",)),
    Example({"FirstName": "", "LastName": None}, {"preferred_name": "Last{n},First{n}"}, ("missing_first_name",)),
    Example({"DepartmentId": None}, {"department_id": None}, ("missing_department",)),
    Example({"DepartmentId": 4100}, {"department_id": "004100"}),
    Example(
        dict.fromkeys(SHAPES[APPOINTMENT].fields), {"data_quality_score": Decimal("0.00"), "full_name": None},
        ("missing_uniqname", "missing_supervisor", "missing_work_phone", "incomplete_work_location", "missing_jobcode",
         "missing_university_job_title", "missing_first_name", "missing_department"),
    ),
    Example({"UniqName": "SHARED"}, {"is_primary": True}, ("uniqname_on_two_employee_ids",)),
    Example({"UniqName": "shared "}, {"is_primary": True}, ("uniqname_on_two_employee_ids",)),
]  # fmt: skip
# Its ordinary login name is that of another employee ID.
EMPLOYEES.append(Example({"UniqName": "PERSON10234567"}, {}, ("uniqname_on_two_employee_ids",)))
AWARDS = [
    Example(
        {
            "Person Uniqname": " JRivers ", "Project/Grant": "F012345", "Award Title": "Example structures in example cells",
            "Award Class": "Grant", "Award Total Dollars": "$60,000", "Award Direct Dollars": "40000.00",
            "Award Indirect Dollars": " $20,000.00 ", "Facilities & Admin Rate (%)": "56%",
            "Award Project Start Date": "9/22/2023", "Award Project End Date": "8/31/2026 12:00:00 AM",
            "Pre NCE Project End Date": "", "Award Publish Date": "2023-10-01", "Prime Sponsor Name": " ",
            "Prime Sponsor Category": "", "Prime Sponsor Subcategory": "", "Prime Sponsor Award Reference Number": "",
            "Person First Name": "Jamie", "Person Last Name": "Rivers", "Person Appt Department Id": "175000.0",
        },
        {
            "award_id": "AWD000123", "person_uniqname": "jrivers", "person_role": PI, "is_pi_role": True,
            "project_grant_id": "F012345", "award_title": "Example structures in example cells", "award_class": "Grant",
            "award_total_dollars": Decimal("60000.00"), "award_direct_dollars": Decimal("40000.00"),
            "award_indirect_dollars": Decimal("20000.00"), "facilities_admin_rate": Decimal("56"),
            "award_start_date": date(2023, 9, 22), "award_end_date": date(2026, 8, 31), "pre_nce_end_date": None,
            "award_publish_date": date(2023, 10, 1), "direct_sponsor_name": "Example Science Foundation",
            "direct_sponsor_category": "Federal", "direct_sponsor_subcategory": "Example Agency",
            "direct_sponsor_reference": "ESF-99-0001", "prime_sponsor_name": None, "prime_sponsor_category": None,
            "prime_sponsor_subcategory": None, "prime_sponsor_reference": None, "award_admin_department": "Example Biology",
            "award_admin_school_college": "College of Examples", "person_first_name": "Jamie", "person_last_name": "Rivers",
            "person_appt_department": "Example Biology", "person_appt_department_id": "175000",
            "person_appt_school_college": "College of Examples", "source_systems": ["lab_awards"],
            "data_quality_score": Decimal("1.00"),
        },
        key=f"AWD000123-jrivers-175000-{PI}",
    ),
    Example({}, {"person_role": PERSONNEL, "is_pi_role": False}, key=f"AWD000123-jrivers-175000-{PERSONNEL}"),
    Example({}, {"person_appt_department_id": "175001"}, key=f"AWD000123-jrivers-175001-{PI}"),
    Example(
        {"Person Appt Department Id": "4100.0"}, {"person_appt_department_id": "004100"},
        key=f"AWD000124-jrivers-004100-{PI}",
    ),
    Example({"Person Appt Department Id": "0"}, {"person_appt_department_id": "000000"}, key=f"AWD000125-jrivers-000000-{PI}"),
    Example({"Person Role": " "}, {"person_role": None, "is_pi_role": False}, key="AWD000126-jrivers-175000-"),
    Example(
        {"Person Uniqname": "j_rivers"}, {"person_uniqname": None}, ("invalid_uniqname:person_uniqname",),
        key=f"AWD000127-j_rivers-175000-{PI}",
    ),
    Example({"Award Total Dollars": "($1,234)"}, {"award_total_dollars": Decimal("-1234.00")}),
    Example({"Award Total Dollars": "-1234.5"}, {"award_total_dollars": Decimal("-1234.50")}),
    Example(
        {"Award Total Dollars": "about 5"}, {"award_total_dollars": None, "data_quality_score": Decimal("0.75")},
        ("missing_amount", "unparsed_amount:award_total_dollars"),
    ),
    Example(
        {"Award Total Dollars": ""}, {"award_total_dollars": None, "data_quality_score": Decimal("0.80")}, ("missing_amount",),
    ),
    Example({"Award Project End Date": "8/31/68"}, {"award_end_date": date(2068, 8, 31)}),
    Example({"Award Project Start Date": "9/22/69"}, {"award_start_date": date(1969, 9, 22)}),
    Example({"Award Project End Date": ""}, {"award_end_date": None, "data_quality_score": Decimal("0.80")}, ("missing_dates",)),
    Example(
        {"Award Project Start Date": "2/30/2023"}, {"award_start_date": None},
        ("missing_dates", "bad_date:award_start_date"),
    ),
    Example(
        {"Award Project End Date": "8/31/2020"}, {"award_end_date": date(2020, 8, 31), "data_quality_score": Decimal("0.70")},
        ("end_before_start",),
    ),
    Example({"Facilities & Admin Rate (%)": "0.56"}, {"facilities_admin_rate": Decimal("0.56")}, ("rate_below_one",)),
    Example({"Facilities & Admin Rate (%)": "0"}, {"facilities_admin_rate": Decimal(0)}),
    Example({"Facilities & Admin Rate (%)": "half"}, {"facilities_admin_rate": None}, ("bad_decimal:facilities_admin_rate",)),
    Example({"Award Title": LONG}, {"award_title": LONG}),
    Example({"Award Title": ""}, {"award_title": None}),
    Example({"Award Direct Dollars": "1"}, {}, ("amounts_differ",), key=f"AWD000200-one-175000-{PI}"),
    Example({}, {}, ("amounts_differ",), key=f"AWD000200-two-175000-{PI}"),
]  # fmt: skip
COMPUTERS = [
    Example(
        {
            "Name": " bio-pc-017", "OEM SN": "5cg0000xyz ", "CPU": "Example i7", "#": "8", "Sockets": "1", "Mhz": "2600",
            "RAM": "16384", "Disk": "476.94", "OS": "Windows 11", "OS Family": "Windows", "OS vers": "10.0.22631", "OS SN": "",
            "OS Install Date": "2024-07-18T14:14:17Z", "Owner": "Example Biology", "Client": "7.9.1",
        },
        {
            "computer_id": "BIO-PC-017-5CG0000XYZ", "computer_name": "bio-pc-017", "oem_serial_number": "5cg0000xyz",
            "primary_mac_address": "020000000001", "mac_addresses": ["020000000001", "020000000002"],
            "ip_addresses": ["192.0.2.10", "192.0.2.11"], "nic_count": 2, "cpu": "Example i7", "cpu_cores": 8,
            "cpu_sockets": 1, "clock_speed_mhz": 2600, "ram_mb": 16384, "disk_gb": Decimal("476.94"),
            "disk_free_gb": Decimal("210.50"), "os": "Windows 11", "os_family": "Windows", "os_version": "10.0.22631",
            "os_serial_number": None, "os_install_date": moment(2024, 7, 18, 14, 14, 17), "last_user": "jrivers",
            "last_user_uniqname": "jrivers", "owner": "Example Biology", "login_type": "console",
            "last_session": moment(2025, 4, 23, 0, 1, 21), "last_startup": moment(2025, 4, 22, 12),
            "last_audit": moment(2025, 4, 23, 1), "base_audit": moment(2023, 1, 10, 9),
            "keyconfigure_client_version": "7.9.1", "source_systems": ["key_client"], "data_quality_score": Decimal("1.00"),
            "source_keys": {"bronze.keyconfigure_computers": [mac(1), mac(2)], "bronze.keyconfigure_usage": [mac(1), mac(2)]},
        },
        more={
            "Free": "210.50", "Last Addr": "192.0.2.10", "Last User": "jrivers", "Login": "console",
            "Last Session": "2025-04-22 20:01:21", "Last Startup": "4/22/2025 8:00 AM", "Last Audit": "2025-04-22 21:00:00",
            "Base Audit": "2023-01-11 04:00:00",
        },
    ),
    # Its second card: an earlier session, no serial number, another spelling.
    Example(
        {"Name": "BIO-PC-017", "OEM SN": "", "CPU": "Other", "Owner": "Other"}, {"cpu": "Example i7", "nic_count": 2},
        more={
            "Last Session": "4/21/2025", "Last Addr": "192.0.2.11/24, 192.0.2.10, 192.0.2.300", "Last User": "other",
            "Base Audit": "1/10/2023 4:00 AM", "Last Startup": "",
        },
    ),
    Example({"OEM SN": "N/A"}, {"computer_id": "EX-PC-{n}", "oem_serial_number": "N/A"}, ("missing_serial",)),
    Example(
        {"OEM SN": " unknown"}, {"computer_id": "EX-PC-{n}", "data_quality_score": Decimal("0.80")}, ("missing_serial",),
    ),
    Example({"OEM SN": "0000"}, {"computer_id": "EX-PC-{n}-0000"}, ("missing_serial",)),
    Example({"OEM SN": "12345.0"}, {"computer_id": "EX-PC-{n}-12345", "oem_serial_number": "12345"}),
    Example({"Name": ""}, {"computer_id": "SERIAL{n}", "computer_name": None}, ("missing_name",)),
    Example({"Name": "", "OEM SN": ""}, {"computer_id": mac(8)}, ("missing_name", "missing_serial")),
    Example({"Name": LONG}, {"computer_id": "SERIAL{n}", "computer_name": None}, ("missing_name", "bad_code:computer_name")),
    # Two machines of one name, and a card that may be of either.
    Example({"Name": "TWIN", "OEM SN": "FIRST1"}, {"computer_id": "TWIN-FIRST1"}, ("name_on_many_serials",)),
    Example({"Name": "twin", "OEM SN": "SECOND1"}, {"computer_id": "TWIN-SECOND1"}, ("name_on_many_serials",)),
    Example({"Name": "TWIN", "OEM SN": None}, {"computer_id": "TWIN"}, ("name_on_many_serials", "missing_serial")),
    Example({"#": "8.0", "Sockets": " ", "RAM": ""}, {"cpu_cores": 8, "cpu_sockets": None, "ram_mb": None}),
    Example(
        {"#": "many", "Disk": "big", "OS Install Date": "8"}, {"cpu_cores": None, "disk_gb": None, "os_install_date": None},
        ("bad_integer:cpu_cores", "bad_decimal:disk_gb", "bad_date:os_install_date"),
    ),
    Example({}, {"last_session": None, "last_audit": None}, ("bad_date:last_session",), {"Last Session": "8", "Last Audit": ""}),
    Example({}, {"last_user": "EXAMPLE\\JRivers", "last_user_uniqname": "jrivers"}, more={"Last User": "EXAMPLE\\JRivers"}),
    Example(
        {}, {"last_user": "Jamie Rivers", "last_user_uniqname": None}, ("invalid_uniqname:last_user_uniqname",),
        {"Last User": "Jamie Rivers"},
    ),
    Example({}, {"last_session": moment(2025, 1, 1, 5)}, ("stale_session",), {"Last Session": "1/1/2025"}),
    Example({}, {"last_user": None, "ip_addresses": [], "last_session": None, "nic_count": 1}, more=None),
    Example(
        {}, {"primary_mac_address": None, "mac_addresses": [], "nic_count": 0, "data_quality_score": Decimal("0.70")},
        ("no_valid_mac",), key="00:00:00:00:00:00",
    ),
    # The first card that means one card is the primary one.
    Example(
        {"Name": "DOCKED", "OEM SN": "DOCKED1"}, {"primary_mac_address": "020000000016", "nic_count": 1},
        key="ff:ff:ff:ff:ff:ff",
    ),
    Example({"Name": "DOCKED", "OEM SN": "DOCKED1"}, {"nic_count": 1}),
]  # fmt: skip
EXAMPLES = {
    "tdx_users": USERS, "tdx_assets": ASSETS, "umapi_employees": EMPLOYEES, "lab_awards": AWARDS,
    "keyconfigure_computers": COMPUTERS,
}  # fmt: skip


@pytest.fixture
def world(shared_world: World) -> World:
    return shared_world.reset()


def changes(stream: str, key: str, said: Mapping[str, Any]) -> Iterator[Change]:
    yield Change(stream, key)
    yield from (
        Change(stream, key, name, value) for name, value in said.items() if name in SHAPES[stream].ordinary(key)
    )


def row(world: World, table: str, key: str) -> Any:
    """The row that is made of the record with this key."""
    definition = world.definition(table)
    if definition.kind == "source":
        condition = (
            f"{definition.scope} = :key" if definition.scope != definition.key[0] else f"({definition.key_text}) = :key"
        )
    else:
        condition = "source_keys -> 'bronze.keyconfigure_computers' ? :key"
    (found,) = world.rows(f"select * from {definition.name} where {condition}", key=key)
    return found


@pytest.mark.parametrize("table", EXAMPLES)
def test_examples(world: World, table: str) -> None:
    """Each value as it is said beside what must stand in the table, with exactly these flags."""
    first, *others = READ_FROM[table]
    keys = [example.key or SHAPES[first].number(n) for n, example in enumerate(EXAMPLES[table], start=1)]
    world.apply(*(Change(DEPARTMENT, str(n)) for n in range(1, len(keys) + 1)))
    for key, example in zip(keys, EXAMPLES[table], strict=True):
        world.apply(*changes(first, key, example.said))
        for stream in others:
            world.apply(Change(stream, key, None))
            if example.more is not None:
                world.apply(*changes(stream, key, {**example.said, **example.more}))
    for stream in (DEPARTMENT, first, *others):
        world.read(stream)
    for name in ("tdx_departments", table):
        world.refresh(name)
    check_rules(world, world.definition(table))
    unlike = {}
    for n, (key, example) in enumerate(zip(keys, EXAMPLES[table], strict=True), start=1):
        found = row(world, table, key)
        expected = {
            name: value.replace("{n}", str(n)) if isinstance(value, str) else value
            for name, value in example.expected.items()
        }
        shown = {name: getattr(found, name) for name in expected}
        if (shown, set(found.quality_flags)) != (expected, set(example.flags)):
            wrong = {name: (shown[name], value) for name, value in expected.items() if shown[name] != value}
            unlike[n, key, str(example.said)[:80]] = (wrong, set(found.quality_flags) ^ set(example.flags))
    assert not unlike, f"(is, should be), and flags that only one of both has: {unlike}"


def live(world: World, *events: Change, streams: tuple[str, ...]) -> None:
    """Something happens and is read; the tables that these streams reach are refreshed incrementally, and are what a full
    refresh gives.
    """
    world.apply(*events)
    for stream in streams:
        world.read(stream)
    reached = [table for table, read in READ_FROM.items() if {*read} & {*streams}]
    for table in ("tdx_departments", *reached):
        world.refresh(table)
    for table in reached:
        check_rules(world, world.definition(table))


def test_a_search_that_is_newer_than_the_detail_takes_nothing_from_it(world: World) -> None:
    """TU-1, TA-1: what only the detail shows stays, what both show is as the newer one says."""
    read = (DEPARTMENT, USER, USER_DETAIL, ASSET, ASSET_DETAIL)
    live(world, Change(DEPARTMENT, "1"), Change(USER, uid(1)), Change(ASSET, "1"), streams=read)
    before = [row(world, "tdx_users", uid(1)), row(world, "tdx_assets", "1")]
    moved = [Change(USER, uid(1), "MobilePhone", "555-0199"), Change(ASSET, "1", "StatusName", "Retired")]
    live(world, *moved, streams=(USER, ASSET))
    user, asset = row(world, "tdx_users", uid(1)), row(world, "tdx_assets", "1")
    assert (user.mobile_phone, asset.status_name) == ("555-0199", "Retired")
    kept = ("group_ids", "attributes", "applications", "location_name", "detail_raw_id", "is_enriched")
    assert [getattr(user, name) for name in kept] == [getattr(before[0], name) for name in kept]
    assert [value for name, value in asset._mapping.items() if name.startswith(("attr", "detail", "mac", "ip"))] == [
        value for name, value in before[1]._mapping.items() if name.startswith(("attr", "detail", "mac", "ip"))
    ]
    world.apply(Change(USER_DETAIL, uid(1), "MobilePhone", "555-0111"))
    world.read(USER_DETAIL, "full")
    live(world, streams=(USER,))
    assert row(world, "tdx_users", uid(1)).mobile_phone == "555-0111"


def test_who_is_gone_shares_nothing_any_more(world: World) -> None:
    """TU-8, TA-8: gone is is_present = false; who stays is no longer flagged, who comes back is again."""
    both = [Change(USER, uid(1)), Change(USER, uid(2)), Change(USER, uid(2), "AlternateID", "Person1 "),
            Change(ASSET, "1"), Change(ASSET, "2"), Change(ASSET, "2", "Tag", "EX-1")]  # fmt: skip
    live(world, Change(DEPARTMENT, "1"), *both, streams=(DEPARTMENT, USER, ASSET))
    shared = "duplicate_uniqname", "duplicate_tag"

    def flagged() -> list[bool]:
        found = [row(world, "tdx_users", uid(n)) for n in (1, 2)] + [row(world, "tdx_assets", n) for n in "12"]
        return [bool({*shared} & set(one.quality_flags)) for one in found]

    assert flagged() == [True] * 4
    live(world, Change(USER, uid(2), None), Change(ASSET, "2", None), streams=(USER, ASSET))
    assert flagged() == [False] * 4
    user, asset = row(world, "tdx_users", uid(2)), row(world, "tdx_assets", "2")
    assert (user.is_present, user.is_active, asset.is_present) == (False, True, False)
    assert None not in (user.removed_at, asset.removed_at)
    live(world, Change(USER, uid(2)), Change(ASSET, "2"), streams=(USER, ASSET))
    assert flagged() == [True] * 4


def test_a_person_follows_the_code_of_their_account(world: World) -> None:
    """TU-7: an account that changes its code, or goes, moves the people of it, who have not changed."""
    live(world, Change(DEPARTMENT, "1"), Change(DEPARTMENT, "2"), Change(USER, uid(1)), streams=(DEPARTMENT, USER))
    assert row(world, "tdx_users", uid(1)).department_id == "100001"
    live(world, Change(DEPARTMENT, "1", "Code", "100099"), streams=(DEPARTMENT, USER))
    assert row(world, "tdx_users", uid(1)).department_id == "100099"
    live(world, Change(DEPARTMENT, "1", "Code", " "), streams=(DEPARTMENT, USER))
    codeless = row(world, "tdx_users", uid(1))
    assert (codeless.department_id, "unknown_account" in codeless.quality_flags) == (None, False)
    live(world, Change(DEPARTMENT, "1", None), streams=(DEPARTMENT, USER))
    gone = row(world, "tdx_users", uid(1))
    assert (gone.department_id, gone.default_account_id, "unknown_account" in gone.quality_flags) == (None, 1, True)


def test_an_ended_appointment_is_never_the_first(world: World) -> None:
    """UE-7: 0 ended, 1 alive; then another comes, and 0 comes back."""
    keys = [f"00000001:{n}" for n in range(3)]
    live(world, Change(APPOINTMENT, keys[0]), Change(APPOINTMENT, keys[1]), streams=(APPOINTMENT,))

    def primary() -> list[str]:
        found = world.rows("select empl_rcd::text from silver.umapi_employees where is_primary order by 1")
        return [number for (number,) in found]

    assert primary() == ["0"]
    live(world, Change(APPOINTMENT, keys[0], None), Change(APPOINTMENT, keys[2]), streams=(APPOINTMENT,))
    assert primary() == ["1"]
    live(world, Change(APPOINTMENT, keys[0]), Change(APPOINTMENT, keys[1], None), streams=(APPOINTMENT,))
    assert primary() == ["0"]
    live(
        world,
        *(Change(APPOINTMENT, key, None) for key in keys),
        Change(APPOINTMENT, "00000002:5"),
        streams=(APPOINTMENT,),
    )
    assert primary() == ["5"]


def test_an_employee_id_may_hold_a_colon(world: World) -> None:
    """The record number is what stands behind the last one."""
    world.apply(Change(APPOINTMENT, "00000001:0"), Change(APPOINTMENT, "00000001:0", "EmplId", "a:5"))
    world.read(APPOINTMENT)
    world.refresh("umapi_employees")
    (found,) = world.rows("select empl_id, empl_rcd from silver.umapi_employees")
    assert tuple(found) == ("a:5", 0)


def computers(world: World, *columns: str) -> dict[str, tuple[Any, ...]]:
    """computer_id -> whether it is there, and these columns."""
    found = world.rows(
        f"select {', '.join(('computer_id', 'is_present', *columns))} from silver.keyconfigure_computers"
    )
    return {computer: tuple(rest) for computer, *rest in found}


def test_a_card_stands_with_one_computer(world: World) -> None:
    """KC-1, KC-3: a card that moves, and a machine that is renamed, leave nothing behind; one that is gone keeps what it had."""
    read = (CARD, USAGE)
    docked = [Change(stream, mac(n)) for stream in read for n in (1, 2, 3)]
    docked += [Change(CARD, mac(2), "Name", "EX-PC-1"), Change(CARD, mac(2), "OEM SN", "SERIAL1")]
    live(world, *docked, streams=read)
    one, three = "EX-PC-1-SERIAL1", "EX-PC-3-SERIAL3"
    assert computers(world, "nic_count") == {one: (True, 2), three: (True, 1)}
    # The dock goes to the other machine.
    moved = [Change(CARD, mac(2), "Name", "EX-PC-3"), Change(CARD, mac(2), "OEM SN", "SERIAL3")]
    live(world, *moved, streams=read)
    assert computers(world, "nic_count", "mac_addresses") == {
        one: (True, 1, ["020000000001"]), three: (True, 2, ["020000000002", "020000000003"]),
    }  # fmt: skip
    live(world, Change(CARD, mac(1), "Name", "RENAMED"), streams=read)
    assert computers(world, "nic_count") == {one: (False, 1), three: (True, 2), "RENAMED-SERIAL1": (True, 1)}
    # One card less, then none: the last values are those of the cards that were there last.
    live(world, *(Change(stream, mac(2), None) for stream in read), streams=read)
    assert computers(world, "nic_count")[three] == (True, 1)
    last = row(world, "keyconfigure_computers", mac(3))
    live(world, *(Change(stream, mac(3), None) for stream in read), streams=read)
    gone = row(world, "keyconfigure_computers", mac(3))
    assert (gone.is_present, gone.entity_hash) == (False, last.entity_hash)
    (removed_at,) = world.rows(
        "select removed_at from bronze.keyconfigure_computers where external_id = :key", key=mac(3)
    )[0]
    assert gone.removed_at == removed_at
    live(world, *(Change(stream, mac(3)) for stream in read), streams=read)
    assert computers(world, "nic_count")[three] == (True, 1)


def test_a_card_without_serial_number_follows_its_name(world: World) -> None:
    """KC-4: it belongs to the only machine of its name, as long as there is only one in the newest export."""
    lone = [
        Change(CARD, mac(1)),
        Change(CARD, mac(2)),
        Change(CARD, mac(2), "Name", "ex-pc-1"),
        Change(CARD, mac(2), "OEM SN", ""),
    ]
    live(world, *lone, streams=(CARD,))
    assert computers(world, "nic_count") == {"EX-PC-1-SERIAL1": (True, 2)}
    twin = [Change(CARD, mac(3)), Change(CARD, mac(3), "Name", "EX-PC-1")]
    live(world, *twin, streams=(CARD,))
    assert computers(world, "nic_count") == {
        "EX-PC-1-SERIAL1": (True, 1), "EX-PC-1-SERIAL3": (True, 1), "EX-PC-1": (True, 1),
    }  # fmt: skip
    live(world, Change(CARD, mac(1), None), streams=(CARD,))
    assert computers(world, "nic_count") == {
        "EX-PC-1-SERIAL1": (False, 1), "EX-PC-1-SERIAL3": (True, 2), "EX-PC-1": (False, 1),
    }  # fmt: skip
    live(world, Change(CARD, mac(3), None), Change(CARD, mac(4)), streams=(CARD,))
    assert computers(world)["EX-PC-1"] == (True,)


def test_the_latest_session_speaks(world: World) -> None:
    """The card with it, then the one with the latest audit, then the first by MAC; what is newest is so over all cards."""
    for n in (1, 2, 3):
        world.apply(
            Change(CARD, mac(n), "Name", "PC"),
            Change(CARD, mac(n), "OEM SN", "SERIAL"),
            Change(CARD, mac(n), "CPU", str(n)),
        )

    def speaks(number: int, **usage: str) -> str:
        events = [Change(USAGE, mac(number), name.replace("_", " "), value) for name, value in usage.items()]
        live(world, *events, streams=(CARD, USAGE))
        return str(computers(world, "cpu")["PC-SERIAL"][1])

    assert speaks(3, Login="console") == "3", "the others have none"
    world.apply(Change(USAGE, mac(1)), Change(USAGE, mac(2)))
    assert speaks(2, Login="console") == "1"
    assert speaks(2, Last_Audit="2025-04-22 21:00:01") == "2"
    assert speaks(3, Last_Session="2025-04-22 20:01:22") == "3"
    assert speaks(3, Last_Audit="") == "3"
    found = row(world, "keyconfigure_computers", mac(1))
    assert found.mac_addresses == ["020000000003", "020000000002", "020000000001"]
    assert found.last_audit == moment(2025, 4, 23, 1, 0, 1)


def test_readers_see_an_award_once(world: World) -> None:
    """LA-3: summed over its rows, its money counts several times."""
    people = [
        f"AWD000001-{name}-175000-{role}" for name, role in (("one", PERSONNEL), ("two", PI), ("three", PERSONNEL))
    ]
    live(world, *(Change(AWARD, key) for key in people), Change(AWARD, f"AWD000002-one-175000-{PI}"), streams=(AWARD,))
    shown = "select award_id, award_total_dollars from silver.v_awards order by 1"
    assert [tuple(found) for found in world.rows(shown)] == [("AWD000001", 60_000), ("AWD000002", 60_000)]
    live(world, Change(AWARD, people[1], None), Change(AWARD, f"AWD000002-one-175000-{PI}", None), streams=(AWARD,))
    assert [award for award, _ in world.rows(shown)] == ["AWD000001"]
    gone = row(world, "lab_awards", people[1])
    assert (gone.is_present, gone.person_uniqname) == (False, "two")
