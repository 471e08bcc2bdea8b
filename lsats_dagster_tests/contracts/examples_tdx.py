"""Every example value and edge case that silver_source_tables.md names for people and assets of TeamDynamix (4.1, 4.3)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from lsats_dagster_tests.contracts.examples import ROLE, UNIQUE, Example, moment
from lsats_dagster_tests.contracts.records import NOBODY, NOT_SET, attribute
from lsats_dagster_tests.contracts.shapes import ABSENT, LONG

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
    Example(
        {"AlternateID": "twin", "UserName": "third@example.edu"}, {"uniqname": "twin"},
        ("duplicate_uniqname", "username_mismatch", "uniqname_of_another"),
    ),
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
    Example({"IsConfidential": "true"}, {"is_confidential": True}),
    Example({"IsConfidential": "who knows"}, {"is_confidential": True}),
    Example({"IsConfidential": None}, {"is_confidential": None}),
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
