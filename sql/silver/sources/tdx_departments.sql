/*
row = "One TeamDynamix account (department), active or not."
description = """
From the account search (bronze.tdx_departments); each field is taken from the newer of search and detail that has it, the
custom attributes from the detail (enriched.tdx_department_details). dept_id joins to the HR departments and is not unique.
An account that TeamDynamix no longer lists stands with is_present = false.
"""
key = ["tdx_id"]
whole = true # some five thousand accounts, and a circle of parents is seen by looking at all of them
indexes = ["dept_id", "parent_id"]
dangling = ["unknown_parent"]
retained = ["attributes"]

[columns]
tdx_id = ["integer", "TeamDynamix account ID"]
dept_id = ["text", "Department code; NULL when the account has none"]
department_name = ["text", "Name"]
dept_notes = ["text", "Notes, free text"]
is_active = ["boolean", "Whether the account is active in TeamDynamix; true where it does not say"]
parent_id = ["integer", "Account ID of the parent; NULL at the top"]
manager_uid = ["uuid", "TeamDynamix UID of the manager; NULL when there is none"]
tdx_created_date = ["timestamp with time zone", "When the account was made in TeamDynamix"]
tdx_modified_date = ["timestamp with time zone", "When it was changed there, as of the last change of content"]
location_info = ["jsonb", "Address, phone, fax and URL, as far as filled"]
attributes = ["jsonb", "Custom attributes from the detail, without their choice lists"]
is_enriched = ["boolean", "Whether the detail has been fetched"]
detail_raw_id = ["uuid", "Bronze row of the detail"]

[inputs."bronze.tdx_departments"]

[inputs."enriched.tdx_department_details"]
*/
with recursive newest as (
    select
        l.external_id,
        l.raw_id,
        l.first_seq,
        l.first_seen_at,
        l.is_present,
        l.removed_at,
        d.raw_id as detail_raw_id,
        d.payload as detail_payload,
        clean.with_detail(l.payload, l.live_seq, d.payload, d.live_seq) as payload
    from bronze.tdx_departments l
    -- A removed account keeps its last detail: its own call is answered "not there" because it is gone.
    left join enriched.tdx_department_details d on l.external_id = d.external_id and (d.is_present or not l.is_present)
),

active_codes as (
    select clean.code(n.payload -> 'Code') as code
    from newest n
    where n.is_present and (n.payload -> 'IsActive' is null or clean.boolean(n.payload ->> 'IsActive'))
    group by 1
    having count(*) > 1
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
        n.detail_payload,
        clean.code(f."Code") as dept_id,
        clean.text(f."Name") as department_name,
        clean.text(f."Notes") as dept_notes,
        n.payload -> 'IsActive' is null or clean.boolean(f."IsActive") as is_active,
        clean.reference(f."ParentID") as parent_id,
        clean.uuid(f."ManagerUID") as manager_uid,
        clean.tdx_time(f."CreatedDate") as tdx_created_date,
        clean.tdx_time(f."ModifiedDate") as tdx_modified_date,
        jsonb_strip_nulls(jsonb_build_object(
            'address1', clean.text(f."Address1"),
            'address2', clean.text(f."Address2"),
            'address3', clean.text(f."Address3"),
            'address4', clean.text(f."Address4"),
            'city', clean.text(f."City"),
            'state_abbr', clean.text(f."StateAbbr"),
            'state_name', clean.text(f."StateName"),
            'postal_code', clean.text(f."PostalCode"),
            'country', clean.text(f."Country"),
            'phone', clean.text(f."Phone"),
            'fax', clean.text(f."Fax"),
            'url', clean.text(f."Url")
        )) as location_info,
        clean.flags(
            clean.bad_code('dept_id', f."Code"),
            clean.bad_integer('parent_id', f."ParentID"),
            clean.bad_uuid('manager_uid', f."ManagerUID"),
            clean.bad_tdx_time('tdx_created_date', f."CreatedDate"),
            clean.bad_tdx_time('tdx_modified_date', f."ModifiedDate")
        ) as unreadable
    from newest n
    cross join lateral jsonb_to_record(n.payload) f (
        "Code" jsonb,
        "Name" jsonb,
        "Notes" jsonb,
        "IsActive" text,
        "ParentID" text,
        "ManagerUID" text,
        "CreatedDate" text,
        "ModifiedDate" text,
        "Address1" jsonb,
        "Address2" jsonb,
        "Address3" jsonb,
        "Address4" jsonb,
        "City" jsonb,
        "StateAbbr" jsonb,
        "StateName" jsonb,
        "PostalCode" jsonb,
        "Country" jsonb,
        "Phone" jsonb,
        "Fax" jsonb,
        "Url" jsonb
    )
    offset '0' -- each value is cleaned once, however often it is used
),

-- Each account that has others below it, with all that is above it, as far as it is there; whoever comes back to itself
-- stands in a circle.
lines as (
    select
        c.external_id as account,
        c.parent_id as ancestor
    from cleaned c
    where c.is_present and c.external_id in (select o.parent_id::text from cleaned o)
    union
    select
        a.account,
        c.parent_id as ancestor
    from lines a
    inner join cleaned c on a.ancestor::text = c.external_id
    where c.is_present and a.account <> a.ancestor::text
),

circles as (
    select account from lines
    where account = ancestor::text
)

select
    c.external_id::integer as tdx_id,
    c.dept_id,
    c.department_name,
    c.dept_notes,
    c.is_active,
    c.parent_id,
    c.manager_uid,
    c.tdx_created_date,
    c.tdx_modified_date,
    c.location_info,
    clean.list(c.detail_payload -> 'Attributes') as attributes,
    c.detail_raw_id is not null as is_enriched,
    c.detail_raw_id,
    c.raw_id,
    c.first_seq,
    array['tdx'] as source_systems,
    clean.flags(
        case when c.dept_id is null then 'missing_dept_code' end,
        case when c.department_name is null then 'missing_dept_name' end,
        case when c.is_active is null then 'missing_active_status' end,
        case when c.detail_raw_id is null then 'not_enriched' end,
        case when c.tdx_modified_date < c.tdx_created_date then 'modified_before_created' end,
        case when c.location_info = '{}' then 'no_location_data' end,
        case when c.is_present and c.is_active and a.code is not null then 'duplicate_dept_code' end,
        case when c.parent_id is not null and p.external_id is null then 'unknown_parent' end,
        case when r.account is not null then 'parent_circle' end
    ) || c.unreadable as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
left join active_codes a on c.dept_id = a.code
left join bronze.tdx_departments p on c.parent_id::text = p.external_id and p.is_present
left join circles r on c.external_id = r.account
