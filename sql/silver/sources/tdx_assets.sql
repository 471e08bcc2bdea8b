/*
row = "One asset of TeamDynamix, whatever its status."
description = """
From the asset search (bronze.tdx_assets); each field is taken from the newer of search and detail that has it, attributes and
attachments from the detail (enriched.tdx_asset_details). All statuses are read: an asset that TeamDynamix no longer lists is gone,
and stands with is_present = false. The columns attr_... are custom attributes, found by name whatever its case; the financial
owner by its number first.
"""
key = ["tdx_asset_id"]
classes = ["tag"]
indexes = [
    "form_name", "owning_department_id", "owning_customer_id", "attr_financial_owner_uid", "serial_number_norm", "mac_addresses",
]
retained = [
    "attributes", "attr_mac_address", "attr_operating_system_name", "attr_last_inventoried_date", "attr_purchase_shortcode",
    "attr_function_name", "attr_financial_owner_uid", "attr_support_groups_text",
]

[columns]
tdx_asset_id = ["integer", "ID of the asset"]
name = ["text", "Name; else the tag, else asset- and the ID, which is flagged"]
tag = ["text", "Inventory tag; blank is NULL"]
uri = ["text", "Path of the record in TeamDynamix"]
external_id = ["text", "Names elsewhere"]
serial_number = ["text", "Serial number as it stands"]
serial_number_norm = ["text", "Serial number as machines are matched by it; what stands for none is NULL"]
app_id = ["integer", "Application"]
app_name = ["text", "Name of the application"]
form_id = ["integer", "Form, which says of what kind it is"]
form_name = ["text", "Name of the form"]
status_id = ["integer", "Status"]
status_name = ["text", "Name of the status"]
parent_id = ["integer", "Asset above it"]
parent_tag = ["text", "Tag of the asset above it"]
parent_name = ["text", "Name of the asset above it"]
parent_serial_number = ["text", "Serial number of the asset above it"]
configuration_item_id = ["integer", "Configuration item behind it"]
location_id = ["integer", "Building"]
location_name = ["text", "Name of the building"]
location_room_id = ["integer", "Room"]
location_room_name = ["text", "Name of the room"]
owning_customer_id = ["uuid", "UID of the owner"]
owning_customer_name = ["text", "Name of the owner"]
owning_department_id = ["integer", "Account of the owner"]
owning_department_name = ["text", "Name of the account"]
requesting_customer_id = ["uuid", "UID of who asked for it"]
requesting_customer_name = ["text", "Name of who asked for it"]
requesting_department_id = ["integer", "Account that asked for it"]
requesting_department_name = ["text", "Name of the account that asked for it"]
purchase_cost = ["numeric", "Price; NULL where it is 0, which TeamDynamix writes for none"]
acquisition_date = ["timestamp with time zone", "When it was bought"]
expected_replacement_date = ["timestamp with time zone", "When it should be replaced"]
manufacturer_id = ["integer", "Manufacturer"]
manufacturer_name = ["text", "Name of the manufacturer"]
product_model_id = ["integer", "Product model"]
product_model_name = ["text", "Name of the model"]
supplier_id = ["integer", "Supplier"]
supplier_name = ["text", "Name of the supplier"]
maintenance_schedule_id = ["integer", "Maintenance schedule"]
maintenance_schedule_name = ["text", "Name of the schedule"]
external_source_id = ["integer", "Source that it was taken over from"]
external_source_name = ["text", "Name of that source"]
created_uid = ["uuid", "UID of who made the record"]
created_full_name = ["text", "Name of who made the record"]
created_date = ["timestamp with time zone", "When the record was made"]
modified_uid = ["uuid", "UID of who changed it, as of the last change of content"]
modified_full_name = ["text", "Name of who changed it, as of the last change of content"]
modified_date = ["timestamp with time zone", "When it was changed, as of the last change of content"]
attr_mac_address = ["text", "MAC addresses as typed"]
mac_addresses = ["text[]", "MAC addresses, each twelve hexadecimal digits"]
attr_ip_address = ["text", "Reserved IP addresses as typed"]
ip_addresses = ["text[]", "Valid IP addresses"]
attr_operating_system_id = ["integer", "Operating system, as its choice"]
attr_operating_system_name = ["text", "Operating system"]
attr_last_inventoried_date = ["timestamp with time zone", "When it was last inventoried"]
attr_purchase_shortcode = ["text", "Shortcode that paid for it"]
attr_function_id = ["integer", "Function, as its choice"]
attr_function_name = ["text", "Function"]
attr_financial_owner_uid = ["uuid", "UID of who answers for the money"]
attr_financial_owner_name = ["text", "Name of who answers for the money"]
attr_support_groups_ids = ["integer[]", "Support groups, as their choices"]
attr_support_groups_text = ["text", "Support groups"]
attr_memory = ["text", "Memory, free text"]
attr_storage = ["text", "Storage, free text"]
attr_processor_count = ["text", "Processors, free text"]
attributes = ["jsonb", "Custom attributes from the detail, without their choice lists"]
attachments = ["jsonb", "Attachments from the detail"]
is_enriched = ["boolean", "Whether the detail has been fetched"]
detail_raw_id = ["uuid", "Bronze row of the detail"]

[inputs."bronze.tdx_assets"]

[inputs."enriched.tdx_asset_details"]
*/
with newest as not materialized (
    select
        l.external_id,
        l.raw_id,
        l.first_seq,
        l.first_seen_at,
        l.is_present,
        l.removed_at,
        d.raw_id as detail_raw_id,
        clean.with_detail(l.payload, l.live_seq, d.payload, d.live_seq) as payload,
        clean.field_with_detail(l.payload -> 'Tag', l.live_seq, d.payload -> 'Tag', d.live_seq) as raw_tag
    from bronze.tdx_assets l
    -- One that was removed keeps its last detail: its own call is answered "not there" because it is gone.
    left join enriched.tdx_asset_details d on l.external_id = d.external_id and (d.is_present or not l.is_present)
    where cast(:keys as text[]) is null or l.external_id = any(cast(:keys as text[]))
),

cleaned as (
    select
        n.external_id,
        n.raw_id,
        n.first_seq,
        n.first_seen_at,
        n.is_present,
        n.removed_at,
        n.detail_raw_id,
        f."Tag" as raw_tag,
        clean.code(f."Tag") as tag,
        clean.text(f."Name") as said_name,
        clean.text(f."Uri") as uri,
        clean.text(f."ExternalID") as external_id_text,
        clean.tdx_text(f."SerialNumber") as serial_number,
        clean.code(f."SerialNumber") as serial_code,
        f."AppID" as raw_app_id,
        clean.integer(f."AppID") as app_id,
        clean.tdx_text(f."AppName") as app_name,
        f."FormID" as raw_form_id,
        clean.integer(f."FormID") as form_id,
        f."FormName" as raw_form_name,
        clean.code(f."FormName") as form_name,
        f."StatusID" as raw_status_id,
        clean.integer(f."StatusID") as status_id,
        clean.tdx_text(f."StatusName") as status_name,
        f."ParentID" as raw_parent_id,
        clean.reference(f."ParentID") as parent_id,
        clean.tdx_text(f."ParentTag") as parent_tag,
        clean.tdx_text(f."ParentName") as parent_name,
        clean.tdx_text(f."ParentSerialNumber") as parent_serial_number,
        f."ConfigurationItemID" as raw_configuration_item_id,
        clean.integer(f."ConfigurationItemID") as configuration_item_id,
        f."LocationID" as raw_location_id,
        clean.reference(f."LocationID") as location_id,
        clean.tdx_text(f."LocationName") as location_name,
        f."LocationRoomID" as raw_location_room_id,
        clean.reference(f."LocationRoomID") as location_room_id,
        clean.tdx_text(f."LocationRoomName") as location_room_name,
        f."OwningCustomerID" as raw_owning_customer_id,
        clean.uuid(f."OwningCustomerID") as owning_customer_id,
        clean.tdx_text(f."OwningCustomerName") as owning_customer_name,
        f."OwningDepartmentID" as raw_owning_department_id,
        clean.reference(f."OwningDepartmentID") as owning_department_id,
        clean.tdx_text(f."OwningDepartmentName") as owning_department_name,
        f."RequestingCustomerID" as raw_requesting_customer_id,
        clean.uuid(f."RequestingCustomerID") as requesting_customer_id,
        clean.tdx_text(f."RequestingCustomerName") as requesting_customer_name,
        f."RequestingDepartmentID" as raw_requesting_department_id,
        clean.reference(f."RequestingDepartmentID") as requesting_department_id,
        clean.tdx_text(f."RequestingDepartmentName") as requesting_department_name,
        f."PurchaseCost" as raw_purchase_cost,
        clean.decimal(f."PurchaseCost") as purchase_cost,
        f."AcquisitionDate" as raw_acquisition_date,
        clean.tdx_time(f."AcquisitionDate") as acquisition_date,
        f."ExpectedReplacementDate" as raw_expected_replacement_date,
        clean.tdx_time(f."ExpectedReplacementDate") as expected_replacement_date,
        f."ManufacturerID" as raw_manufacturer_id,
        clean.reference(f."ManufacturerID") as manufacturer_id,
        clean.tdx_text(f."ManufacturerName") as manufacturer_name,
        f."ProductModelID" as raw_product_model_id,
        clean.reference(f."ProductModelID") as product_model_id,
        clean.tdx_text(f."ProductModelName") as product_model_name,
        f."SupplierID" as raw_supplier_id,
        clean.reference(f."SupplierID") as supplier_id,
        clean.tdx_text(f."SupplierName") as supplier_name,
        f."MaintenanceScheduleID" as raw_maintenance_schedule_id,
        clean.reference(f."MaintenanceScheduleID") as maintenance_schedule_id,
        clean.tdx_text(f."MaintenanceScheduleName") as maintenance_schedule_name,
        f."ExternalSourceID" as raw_external_source_id,
        clean.reference(f."ExternalSourceID") as external_source_id,
        clean.tdx_text(f."ExternalSourceName") as external_source_name,
        f."CreatedUid" as raw_created_uid,
        clean.uuid(f."CreatedUid") as created_uid,
        clean.text(f."CreatedFullName") as created_full_name,
        f."CreatedDate" as raw_created_date,
        clean.tdx_time(f."CreatedDate") as created_date,
        f."ModifiedUid" as raw_modified_uid,
        clean.uuid(f."ModifiedUid") as modified_uid,
        clean.text(f."ModifiedFullName") as modified_full_name,
        f."ModifiedDate" as raw_modified_date,
        clean.tdx_time(f."ModifiedDate") as modified_date,
        -- Searches have none of these: they are left out of bronze.
        clean.list(f."Attributes") as attributes,
        clean.list(f."Attachments") as attachments
    from newest n
    cross join lateral jsonb_to_record(n.payload) f (
        "Tag" jsonb,
        "Name" jsonb,
        "Uri" jsonb,
        "ExternalID" jsonb,
        "SerialNumber" jsonb,
        "AppID" text,
        "AppName" jsonb,
        "FormID" text,
        "FormName" jsonb,
        "StatusID" text,
        "StatusName" jsonb,
        "ParentID" text,
        "ParentTag" jsonb,
        "ParentName" jsonb,
        "ParentSerialNumber" jsonb,
        "ConfigurationItemID" text,
        "LocationID" text,
        "LocationName" jsonb,
        "LocationRoomID" text,
        "LocationRoomName" jsonb,
        "OwningCustomerID" text,
        "OwningCustomerName" jsonb,
        "OwningDepartmentID" text,
        "OwningDepartmentName" jsonb,
        "RequestingCustomerID" text,
        "RequestingCustomerName" jsonb,
        "RequestingDepartmentID" text,
        "RequestingDepartmentName" jsonb,
        "PurchaseCost" text,
        "AcquisitionDate" text,
        "ExpectedReplacementDate" text,
        "ManufacturerID" text,
        "ManufacturerName" jsonb,
        "ProductModelID" text,
        "ProductModelName" jsonb,
        "SupplierID" text,
        "SupplierName" jsonb,
        "MaintenanceScheduleID" text,
        "MaintenanceScheduleName" jsonb,
        "ExternalSourceID" text,
        "ExternalSourceName" jsonb,
        "CreatedUid" text,
        "CreatedFullName" jsonb,
        "CreatedDate" text,
        "ModifiedUid" text,
        "ModifiedFullName" jsonb,
        "ModifiedDate" text,
        "Attributes" jsonb,
        "Attachments" jsonb
    )
    offset '0' -- each value is cleaned once, however often it is used
),

attributed as (
    select
        c.*,
        clean.serial(c.serial_code) as serial_number_norm,
        clean.named(p.names, p.members, 'mac address(es)') -> 'Value' as cards,
        clean.named(p.names, p.members, 'reserved ip address(es)') -> 'Value' as addresses,
        clean.named(p.names, p.members, 'operating system') -> 'Value' as system,
        clean.named(p.names, p.members, 'operating system') -> 'ValueText' as system_name,
        clean.tdx_text(clean.named(p.names, p.members, 'last inventoried date') -> 'Value') as raw_inventoried,
        clean.named(p.names, p.members, 'purchase shortcode') -> 'Value' as shortcode,
        clean.named(p.names, p.members, 'function') -> 'Value' as function,
        clean.named(p.names, p.members, 'function') -> 'ValueText' as function_name,
        clean.named(p.names, p.members, 'financial owner/responsible') -> 'Value' as owner,
        clean.named(p.names, p.members, 'financial owner/responsible') -> 'ValueText' as owner_name,
        clean.named(p.names, p.members, 'support group(s)') -> 'Value' as groups,
        clean.named(p.names, p.members, 'support group(s)') -> 'ValueText' as groups_text,
        clean.named(p.names, p.members, 'memory') -> 'Value' as memory,
        clean.named(p.names, p.members, 'storage') -> 'Value' as storage,
        clean.named(p.names, p.members, 'processor(s)') -> 'Value' as processors
    from cleaned c
    cross join lateral clean.attributes(c.attributes) p
    offset '0' -- each attribute is looked for once
),

assets as (
    select
        a.*,
        clean.tdx_text(a.cards) as attr_mac_address,
        clean.macs(a.cards) as mac_addresses,
        clean.tdx_text(a.addresses) as attr_ip_address,
        clean.ips(a.addresses) as ip_addresses,
        clean.tdx_text(a.system) as raw_operating_system_id,
        clean.tdx_text(a.system_name) as attr_operating_system_name,
        coalesce(clean.tdx_time(a.raw_inventoried), clean.local_time(a.raw_inventoried)) as attr_last_inventoried_date,
        clean.tdx_text(a.shortcode) as attr_purchase_shortcode,
        clean.tdx_text(a.function) as raw_function_id,
        clean.tdx_text(a.function_name) as attr_function_name,
        clean.tdx_text(a.owner) as raw_financial_owner_uid,
        clean.tdx_text(a.owner_name) as attr_financial_owner_name,
        clean.choices(a.groups) as group_choices,
        clean.tdx_text(a.groups_text) as attr_support_groups_text,
        clean.tdx_text(a.memory) as attr_memory,
        clean.tdx_text(a.storage) as attr_storage,
        clean.tdx_text(a.processors) as attr_processor_count
    from attributed a
    offset '0' -- each value is cleaned once
),

shared as (
    select o.tag
    from (
        select clean.code(n.raw_tag) as tag
        from newest n
        where n.is_present
        offset '0'
    ) o
    where o.tag is not null
    group by o.tag
    having count(*) > 1
)

select
    c.external_id::integer as tdx_asset_id,
    coalesce(c.said_name, c.tag, 'asset-' || c.external_id) as name,
    c.tag,
    c.uri,
    c.external_id_text as external_id,
    c.serial_number,
    c.serial_number_norm,
    c.app_id,
    c.app_name,
    c.form_id,
    c.form_name,
    c.status_id,
    c.status_name,
    c.parent_id,
    c.parent_tag,
    c.parent_name,
    c.parent_serial_number,
    c.configuration_item_id,
    c.location_id,
    c.location_name,
    c.location_room_id,
    c.location_room_name,
    c.owning_customer_id,
    c.owning_customer_name,
    c.owning_department_id,
    c.owning_department_name,
    c.requesting_customer_id,
    c.requesting_customer_name,
    c.requesting_department_id,
    c.requesting_department_name,
    nullif(c.purchase_cost, 0) as purchase_cost,
    c.acquisition_date,
    c.expected_replacement_date,
    c.manufacturer_id,
    c.manufacturer_name,
    c.product_model_id,
    c.product_model_name,
    c.supplier_id,
    c.supplier_name,
    c.maintenance_schedule_id,
    c.maintenance_schedule_name,
    c.external_source_id,
    c.external_source_name,
    c.created_uid,
    c.created_full_name,
    c.created_date,
    c.modified_uid,
    c.modified_full_name,
    c.modified_date,
    c.attr_mac_address,
    c.mac_addresses,
    c.attr_ip_address,
    c.ip_addresses,
    clean.reference(c.raw_operating_system_id) as attr_operating_system_id,
    c.attr_operating_system_name,
    c.attr_last_inventoried_date,
    c.attr_purchase_shortcode,
    clean.reference(c.raw_function_id) as attr_function_id,
    c.attr_function_name,
    clean.uuid(c.raw_financial_owner_uid) as attr_financial_owner_uid,
    c.attr_financial_owner_name,
    array_remove(c.group_choices, null) as attr_support_groups_ids,
    c.attr_support_groups_text,
    c.attr_memory,
    c.attr_storage,
    c.attr_processor_count,
    c.attributes,
    c.attachments,
    c.detail_raw_id is not null as is_enriched,
    c.detail_raw_id,
    c.raw_id,
    c.first_seq,
    array['tdx'] as source_systems,
    clean.flags(
        case when c.said_name is null then 'missing_name' end,
        case when c.serial_number_norm is null then 'missing_serial' end,
        case when c.owning_customer_id is null then 'missing_owner' end,
        case when c.owning_department_id is null then 'missing_department' end,
        case when c.detail_raw_id is null then 'no_detail_variant' end,
        case when c.is_present and s.tag is not null then 'duplicate_tag' end,
        case when c.attr_mac_address is not null and c.mac_addresses = '{}' then 'invalid_mac' end,
        case when c.tag is null then clean.bad_code('tag', c.raw_tag) end,
        case when c.form_name is null then clean.bad_code('form_name', c.raw_form_name) end,
        case when c.app_id is null then clean.bad_integer('app_id', c.raw_app_id) end,
        case when c.form_id is null then clean.bad_integer('form_id', c.raw_form_id) end,
        case when c.status_id is null then clean.bad_integer('status_id', c.raw_status_id) end,
        case when c.parent_id is null then clean.bad_integer('parent_id', c.raw_parent_id) end,
        case when c.configuration_item_id is null then clean.bad_integer('configuration_item_id', c.raw_configuration_item_id) end,
        case when c.location_id is null then clean.bad_integer('location_id', c.raw_location_id) end,
        case when c.location_room_id is null then clean.bad_integer('location_room_id', c.raw_location_room_id) end,
        case when c.owning_customer_id is null then clean.bad_uuid('owning_customer_id', c.raw_owning_customer_id) end,
        case when c.owning_department_id is null then clean.bad_integer('owning_department_id', c.raw_owning_department_id) end,
        case when c.requesting_customer_id is null then clean.bad_uuid('requesting_customer_id', c.raw_requesting_customer_id) end,
        case
            when c.requesting_department_id is null
                then clean.bad_integer('requesting_department_id', c.raw_requesting_department_id)
        end,
        case when c.purchase_cost is null then clean.bad_decimal('purchase_cost', c.raw_purchase_cost) end,
        case when c.acquisition_date is null then clean.bad_tdx_time('acquisition_date', c.raw_acquisition_date) end,
        case
            when c.expected_replacement_date is null
                then clean.bad_tdx_time('expected_replacement_date', c.raw_expected_replacement_date)
        end,
        case when c.manufacturer_id is null then clean.bad_integer('manufacturer_id', c.raw_manufacturer_id) end,
        case when c.product_model_id is null then clean.bad_integer('product_model_id', c.raw_product_model_id) end,
        case when c.supplier_id is null then clean.bad_integer('supplier_id', c.raw_supplier_id) end,
        case
            when c.maintenance_schedule_id is null
                then clean.bad_integer('maintenance_schedule_id', c.raw_maintenance_schedule_id)
        end,
        case when c.external_source_id is null then clean.bad_integer('external_source_id', c.raw_external_source_id) end,
        case when c.created_uid is null then clean.bad_uuid('created_uid', c.raw_created_uid) end,
        case when c.created_date is null then clean.bad_tdx_time('created_date', c.raw_created_date) end,
        case when c.modified_uid is null then clean.bad_uuid('modified_uid', c.raw_modified_uid) end,
        case when c.modified_date is null then clean.bad_tdx_time('modified_date', c.raw_modified_date) end,
        case
            when c.attr_last_inventoried_date is null
                then clean.bad_tdx_time('attr_last_inventoried_date', c.raw_inventoried)
        end,
        clean.bad_integer('attr_operating_system_id', c.raw_operating_system_id),
        clean.bad_integer('attr_function_id', c.raw_function_id),
        clean.bad_uuid('attr_financial_owner_uid', c.raw_financial_owner_uid),
        case when array_position(c.group_choices, null) is not null then 'bad_integer:attr_support_groups_ids' end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from assets c
left join shared s on c.tag = s.tag
