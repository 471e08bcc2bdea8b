/*
row = "One person of TeamDynamix, active or not."
description = """
From the people search (bronze.tdx_users); each field is taken from the newer of search and detail that has it, collections from
the detail (enriched.tdx_user_details). A person whom TeamDynamix no longer has stands with is_present = false, whatever
is_active said last: who asks for active people asks for both. Two people may share a uniqname; both stand, flagged.
"""
key = ["tdx_user_uid"]
classes = ["uniqname"]
dangling = ["unknown_account"]
indexes = ["external_id", "default_account_id", "department_id", "reports_to_uid", "group_ids"]
retained = ["attributes", "group_ids"]

[columns]
tdx_user_uid = ["uuid", "UID of the person"]
uniqname = ["text", "Login name in lower case; may stand on several rows, which are flagged"]
external_id = ["text", "Employee ID (UMID) as sent, leading zeros kept"]
username = ["text", "Login, usually like a mail address"]
first_name = ["text", "First name"]
middle_name = ["text", "Middle name"]
last_name = ["text", "Last name"]
full_name = ["text", "Last, First Middle, from the parts"]
preferred_name = ["text", "Name as TeamDynamix shows it"]
nickname = ["text", "Nickname"]
primary_email = ["text", "Mail address"]
alternate_email = ["text", "Second mail address"]
alert_email = ["text", "Mail address for notices"]
work_phone = ["text", "Work phone"]
mobile_phone = ["text", "Mobile phone"]
home_phone = ["text", "Home phone"]
fax = ["text", "Fax"]
other_phone = ["text", "Other phone"]
pager = ["text", "Pager"]
im_provider = ["text", "Messenger"]
im_handle = ["text", "Name in the messenger"]
work_address = ["text", "Work address"]
work_city = ["text", "City"]
work_state = ["text", "State"]
work_zip = ["text", "Postal code, a text"]
work_country = ["text", "Country"]
title = ["text", "Title"]
job_title = ["text", "The same as title"]
company = ["text", "Company"]
default_account_id = ["integer", "Account of the person; NULL for none"]
tdx_account_id = ["integer", "The same as default_account_id"]
default_account_name = ["text", "Name of the account"]
department_id = ["text", "Department code of the account"]
location_id = ["integer", "Building"]
location_name = ["text", "Name of the building"]
location_room_id = ["integer", "Room"]
location_room_name = ["text", "Name of the room"]
reports_to_uid = ["uuid", "UID of the manager"]
reports_to_full_name = ["text", "Name of the manager"]
is_active = ["boolean", "Whether the person is active; true where TeamDynamix does not say, NULL where it cannot be read"]
is_employee = ["boolean", "Whether TeamDynamix calls the person an employee"]
is_confidential = ["boolean", "Whether the person is confidential; true where TeamDynamix says what cannot be read"]
authentication_provider_id = ["integer", "Provider of the login"]
authentication_user_name = ["text", "Name at the provider of the login"]
security_role_id = ["uuid", "Security role"]
security_role_name = ["text", "Name of the security role"]
beid = ["text", "Organization in TeamDynamix"]
beid_int = ["integer", "Number of the organization"]
default_priority_id = ["integer", "Priority of requests"]
default_priority_name = ["text", "Name of the priority"]
should_report_time = ["boolean", "Whether time is reported"]
is_capacity_managed = ["boolean", "Whether capacity is managed"]
default_rate = ["numeric", "Rate; 0 is one"]
cost_rate = ["numeric", "Cost rate; 0 is one"]
primary_client_portal_application_id = ["integer", "Client portal"]
technician_signature = ["text", "Signature, which may be HTML"]
profile_image_file_name = ["text", "File of the picture"]
apply_technician_signature_to_replies = ["boolean", "Whether replies are signed"]
apply_technician_signature_to_updates_and_comments = ["boolean", "Whether comments are signed"]
end_date = ["timestamp with time zone", "When it ends"]
report_time_after_date = ["timestamp with time zone", "From when on time is reported"]
attributes = ["jsonb", "Custom attributes without their choice lists, from the detail"]
applications = ["jsonb", "Applications, from the detail"]
org_applications = ["jsonb", "Applications with their roles, from the detail"]
group_ids = ["jsonb", "Groups, from the detail"]
permissions = ["jsonb", "Permissions, from the detail"]
is_enriched = ["boolean", "Whether the detail has been fetched"]
detail_raw_id = ["uuid", "Bronze row of the detail"]

[inputs."bronze.tdx_users"]

[inputs."enriched.tdx_user_details"]

[inputs."silver.tdx_departments"]
joined = "default_account_id = tdx_id"
*/
with newest as (
    select
        l.external_id,
        l.raw_id,
        l.first_seq,
        l.first_seen_at,
        l.is_present,
        l.removed_at,
        d.raw_id as detail_raw_id,
        clean.with_detail(l.payload, l.live_seq, d.payload, d.live_seq) as payload
    from bronze.tdx_users l
    -- One that was removed keeps its last detail: its own call is answered "not there" because it is gone.
    left join enriched.tdx_user_details d on l.external_id = d.external_id and (d.is_present or not l.is_present)
    where cast(:keys as text[]) is null or l.external_id = any(cast(:keys as text[]))
    offset '0' -- put together once, however often the payload is used
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
        f."AlternateID" as raw_uniqname,
        clean.uniqname(f."AlternateID") as uniqname,
        f."ExternalID" as raw_external_id,
        clean.code(f."ExternalID") as employee_id,
        clean.text(f."UserName") as username,
        clean.text(f."FirstName") as first_name,
        clean.text(f."MiddleName") as middle_name,
        clean.text(f."LastName") as last_name,
        clean.text(f."FullName") as preferred_name,
        clean.text(f."Nickname") as nickname,
        clean.email(f."PrimaryEmail") as primary_email,
        clean.email(f."AlternateEmail") as alternate_email,
        clean.email(f."AlertEmail") as alert_email,
        clean.text(f."WorkPhone") as work_phone,
        clean.text(f."MobilePhone") as mobile_phone,
        clean.text(f."HomePhone") as home_phone,
        clean.text(f."Fax") as fax,
        clean.text(f."OtherPhone") as other_phone,
        clean.text(f."Pager") as pager,
        clean.text(f."IMProvider") as im_provider,
        clean.text(f."IMHandle") as im_handle,
        clean.text(f."WorkAddress") as work_address,
        clean.text(f."WorkCity") as work_city,
        clean.text(f."WorkState") as work_state,
        clean.text(f."WorkZip") as work_zip,
        clean.text(f."WorkCountry") as work_country,
        clean.text(f."Title") as title,
        clean.text(f."Company") as company,
        f."DefaultAccountID" as raw_default_account_id,
        clean.reference(f."DefaultAccountID") as default_account_id,
        clean.tdx_text(f."DefaultAccountName") as default_account_name,
        f."LocationID" as raw_location_id,
        clean.reference(f."LocationID") as location_id,
        clean.tdx_text(f."LocationName") as location_name,
        f."LocationRoomID" as raw_location_room_id,
        clean.reference(f."LocationRoomID") as location_room_id,
        clean.tdx_text(f."LocationRoomName") as location_room_name,
        f."ReportsToUID" as raw_reports_to_uid,
        clean.uuid(f."ReportsToUID") as reports_to_uid,
        clean.text(f."ReportsToFullName") as reports_to_full_name,
        n.payload -> 'IsActive' is null or clean.boolean(f."IsActive") as is_active,
        clean.boolean(f."IsEmployee") as is_employee,
        clean.privacy(f."IsConfidential") as is_confidential,
        f."AuthenticationProviderID" as raw_authentication_provider_id,
        clean.reference(f."AuthenticationProviderID") as authentication_provider_id,
        clean.text(f."AuthenticationUserName") as authentication_user_name,
        f."SecurityRoleID" as raw_security_role_id,
        clean.uuid(f."SecurityRoleID") as security_role_id,
        clean.text(f."SecurityRoleName") as security_role_name,
        clean.text(f."BEID") as beid,
        f."BEIDInt" as raw_beid_int,
        clean.integer(f."BEIDInt") as beid_int,
        f."DefaultPriorityID" as raw_default_priority_id,
        clean.reference(f."DefaultPriorityID") as default_priority_id,
        clean.tdx_text(f."DefaultPriorityName") as default_priority_name,
        clean.boolean(f."ShouldReportTime") as should_report_time,
        clean.boolean(f."IsCapacityManaged") as is_capacity_managed,
        f."DefaultRate" as raw_default_rate,
        clean.decimal(f."DefaultRate") as default_rate,
        f."CostRate" as raw_cost_rate,
        clean.decimal(f."CostRate") as cost_rate,
        f."PrimaryClientPortalApplicationID" as raw_primary_client_portal_application_id,
        clean.reference(f."PrimaryClientPortalApplicationID") as primary_client_portal_application_id,
        clean.text(f."TechnicianSignature") as technician_signature,
        clean.text(f."ProfileImageFileName") as profile_image_file_name,
        clean.boolean(f."ApplyTechnicianSignatureToReplies") as apply_technician_signature_to_replies,
        clean.boolean(f."ApplyTechnicianSignatureToUpdatesAndComments") as apply_technician_signature_to_updates_and_comments,
        f."EndDate" as raw_end_date,
        clean.tdx_time(f."EndDate") as end_date,
        f."ReportTimeAfterDate" as raw_report_time_after_date,
        clean.tdx_time(f."ReportTimeAfterDate") as report_time_after_date,
        -- Searches have none of these: they are left out of bronze.
        clean.list(f."Attributes") as attributes,
        clean.list(f."Applications") as applications,
        clean.list(f."OrgApplications") as org_applications,
        clean.list(f."GroupIDs") as group_ids,
        clean.list(f."Permissions") as permissions
    from newest n
    cross join lateral jsonb_to_record(n.payload) f (
        "AlternateID" jsonb,
        "ExternalID" jsonb,
        "UserName" jsonb,
        "FirstName" jsonb,
        "MiddleName" jsonb,
        "LastName" jsonb,
        "FullName" jsonb,
        "Nickname" jsonb,
        "PrimaryEmail" jsonb,
        "AlternateEmail" jsonb,
        "AlertEmail" jsonb,
        "WorkPhone" jsonb,
        "MobilePhone" jsonb,
        "HomePhone" jsonb,
        "Fax" jsonb,
        "OtherPhone" jsonb,
        "Pager" jsonb,
        "IMProvider" jsonb,
        "IMHandle" jsonb,
        "WorkAddress" jsonb,
        "WorkCity" jsonb,
        "WorkState" jsonb,
        "WorkZip" jsonb,
        "WorkCountry" jsonb,
        "Title" jsonb,
        "Company" jsonb,
        "DefaultAccountID" text,
        "DefaultAccountName" jsonb,
        "LocationID" text,
        "LocationName" jsonb,
        "LocationRoomID" text,
        "LocationRoomName" jsonb,
        "ReportsToUID" text,
        "ReportsToFullName" jsonb,
        "IsActive" text,
        "IsEmployee" text,
        "IsConfidential" text,
        "AuthenticationProviderID" text,
        "AuthenticationUserName" jsonb,
        "SecurityRoleID" text,
        "SecurityRoleName" jsonb,
        "BEID" jsonb,
        "BEIDInt" text,
        "DefaultPriorityID" text,
        "DefaultPriorityName" jsonb,
        "ShouldReportTime" text,
        "IsCapacityManaged" text,
        "DefaultRate" text,
        "CostRate" text,
        "PrimaryClientPortalApplicationID" text,
        "TechnicianSignature" jsonb,
        "ProfileImageFileName" jsonb,
        "ApplyTechnicianSignatureToReplies" text,
        "ApplyTechnicianSignatureToUpdatesAndComments" text,
        "EndDate" text,
        "ReportTimeAfterDate" text,
        "Attributes" jsonb,
        "Applications" jsonb,
        "OrgApplications" jsonb,
        "GroupIDs" jsonb,
        "Permissions" jsonb
    )
    offset '0' -- each value is cleaned once, however often it is used
),

shared as (
    select
        c.uniqname,
        count(*) filter (where c.is_present) as present
    from cleaned c
    where c.uniqname is not null
    group by c.uniqname
    having count(*) > 1
)

select
    c.external_id::uuid as tdx_user_uid,
    c.uniqname,
    c.employee_id as external_id,
    c.username,
    c.first_name,
    c.middle_name,
    c.last_name,
    nullif(concat_ws(', ', c.last_name, nullif(concat_ws(' ', c.first_name, c.middle_name), '')), '') as full_name,
    c.preferred_name,
    c.nickname,
    c.primary_email,
    c.alternate_email,
    c.alert_email,
    c.work_phone,
    c.mobile_phone,
    c.home_phone,
    c.fax,
    c.other_phone,
    c.pager,
    c.im_provider,
    c.im_handle,
    c.work_address,
    c.work_city,
    c.work_state,
    c.work_zip,
    c.work_country,
    c.title,
    c.title as job_title,
    c.company,
    c.default_account_id,
    c.default_account_id as tdx_account_id,
    c.default_account_name,
    a.dept_id as department_id,
    c.location_id,
    c.location_name,
    c.location_room_id,
    c.location_room_name,
    c.reports_to_uid,
    c.reports_to_full_name,
    c.is_active,
    c.is_employee,
    c.is_confidential,
    c.authentication_provider_id,
    c.authentication_user_name,
    c.security_role_id,
    c.security_role_name,
    c.beid,
    c.beid_int,
    c.default_priority_id,
    c.default_priority_name,
    c.should_report_time,
    c.is_capacity_managed,
    c.default_rate,
    c.cost_rate,
    c.primary_client_portal_application_id,
    c.technician_signature,
    c.profile_image_file_name,
    c.apply_technician_signature_to_replies,
    c.apply_technician_signature_to_updates_and_comments,
    c.end_date,
    c.report_time_after_date,
    c.attributes,
    c.applications,
    c.org_applications,
    c.group_ids,
    c.permissions,
    c.detail_raw_id is not null as is_enriched,
    c.detail_raw_id,
    c.raw_id,
    c.first_seq,
    array['tdx'] as source_systems,
    clean.flags(
        case when c.uniqname is null then 'missing_uniqname' end,
        case when c.primary_email is null then 'missing_email' end,
        case when c.default_account_id is null then 'missing_department' end,
        case when c.detail_raw_id is null then 'no_detail_variant' end,
        case when c.is_present and s.present > 1 then 'duplicate_uniqname' end,
        case when c.default_account_id is not null and a.tdx_id is null then 'unknown_account' end,
        case when split_part(lower(c.username), '@', 1) <> c.uniqname then 'username_mismatch' end,
        case
            when s.uniqname is not null and split_part(lower(c.username), '@', 1) <> c.uniqname then 'uniqname_of_another'
        end,
        case when c.uniqname is null then clean.invalid_uniqname('uniqname', c.raw_uniqname) end,
        case when c.employee_id is null then clean.bad_code('external_id', c.raw_external_id) end,
        case when c.default_account_id is null then clean.bad_integer('default_account_id', c.raw_default_account_id) end,
        case when c.location_id is null then clean.bad_integer('location_id', c.raw_location_id) end,
        case when c.location_room_id is null then clean.bad_integer('location_room_id', c.raw_location_room_id) end,
        case when c.reports_to_uid is null then clean.bad_uuid('reports_to_uid', c.raw_reports_to_uid) end,
        case
            when c.authentication_provider_id is null
                then clean.bad_integer('authentication_provider_id', c.raw_authentication_provider_id)
        end,
        case when c.security_role_id is null then clean.bad_uuid('security_role_id', c.raw_security_role_id) end,
        case when c.beid_int is null then clean.bad_integer('beid_int', c.raw_beid_int) end,
        case when c.default_priority_id is null then clean.bad_integer('default_priority_id', c.raw_default_priority_id) end,
        case when c.default_rate is null then clean.bad_decimal('default_rate', c.raw_default_rate) end,
        case when c.cost_rate is null then clean.bad_decimal('cost_rate', c.raw_cost_rate) end,
        case
            when c.primary_client_portal_application_id is null
                then clean.bad_integer('primary_client_portal_application_id', c.raw_primary_client_portal_application_id)
        end,
        case when c.end_date is null then clean.bad_tdx_time('end_date', c.raw_end_date) end,
        case
            when c.report_time_after_date is null
                then clean.bad_tdx_time('report_time_after_date', c.raw_report_time_after_date)
        end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
left join shared s on c.uniqname = s.uniqname
left join silver.tdx_departments a on c.default_account_id = a.tdx_id and a.is_present
