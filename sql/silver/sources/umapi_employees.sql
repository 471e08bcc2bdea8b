/*
row = "One appointment of an employee; a person with several has several rows."
description = """
From the UMich API gateway (bronze.umapi_employees). An appointment that is no longer sent has ended and stands with
is_present = false: it makes nobody an employee. is_primary marks the lowest present record number of an employee, so that an
ended one is never the first.
"""
key = ["empl_id", "empl_rcd"]
scope = "empl_id || ':' || empl_rcd::text"
classes = ["empl_id", "uniqname"]
indexes = ["supervisor_id", "department_id"]

[columns]
empl_id = ["text", "Employee ID (UMID) as sent, leading zeros kept"]
empl_rcd = ["integer", "Number of the appointment; 0 is the first"]
uniqname = ["text", "Login name in lower case; NULL for more than a quarter"]
first_name = ["text", "First name"]
last_name = ["text", "Last name"]
full_name = ["text", "Name as HR writes it: Last,First Middle"]
preferred_name = ["text", "First and last name; else the one that there is, else the name as HR writes it"]
department_id = ["text", "Department code; joins to umapi_departments.dept_id"]
dept_description = ["text", "Name of the department"]
supervisor_id = ["text", "Employee ID of the supervisor"]
jobcode = ["text", "Job code, zeros kept"]
university_job_title = ["text", "Title as the university has it"]
job_title = ["text", "The same as university_job_title"]
department_job_title = ["text", "Title as the department has it"]
dept_job_title = ["text", "The same as department_job_title"]
work_location = ["jsonb", "Address and phone: nine keys, each a text or null"]
work_address_line1 = ["text", "First line of the address"]
work_address_line2 = ["text", "Second line of the address"]
work_city = ["text", "City"]
work_state = ["text", "State"]
work_postal_code = ["text", "Postal code, a text"]
work_country = ["text", "Country"]
work_phone = ["text", "Phone without its extension, which stands in work_location"]
is_primary = ["boolean", "Whether it is the lowest present record number of the employee"]

[inputs."bronze.umapi_employees"]
*/
with cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        regexp_replace(d.external_id, ':[0-9]+$', '') as empl_id,
        substring(d.external_id from '[0-9]+$')::integer as empl_rcd,
        f."UniqName" as raw_uniqname,
        clean.uniqname(f."UniqName") as uniqname,
        clean.text(f."FirstName") as first_name,
        clean.text(f."LastName") as last_name,
        clean.text(f."Name") as full_name,
        f."DepartmentId" as raw_department_id,
        clean.department_code(f."DepartmentId") as department_id,
        clean.text(f."Dept_Description") as dept_description,
        f."SupervisorId" as raw_supervisor_id,
        clean.code(f."SupervisorId") as supervisor_id,
        clean.text(f."Jobcode") as jobcode,
        clean.text(f."UniversityJobTitle") as university_job_title,
        clean.text(f."DepartmentJobTitle") as department_job_title,
        clean.text(f."Work_Address1") as address1,
        clean.text(f."Work_Address2") as address2,
        clean.text(f."Work_Address3") as address3,
        clean.text(f."Work_City") as city,
        clean.text(f."Work_State") as state,
        clean.text(f."Work_Postal") as postal,
        clean.text(f."Work_Country") as country,
        clean.text(f."Work_Phone") as phone,
        clean.text(f."Work_Phone_Extension") as phone_extension
    from bronze.umapi_employees d
    cross join lateral jsonb_to_record(d.payload) f (
        "UniqName" jsonb,
        "FirstName" jsonb,
        "LastName" jsonb,
        "Name" jsonb,
        "DepartmentId" jsonb,
        "Dept_Description" jsonb,
        "SupervisorId" jsonb,
        "Jobcode" jsonb,
        "UniversityJobTitle" jsonb,
        "DepartmentJobTitle" jsonb,
        "Work_Address1" jsonb,
        "Work_Address2" jsonb,
        "Work_Address3" jsonb,
        "Work_City" jsonb,
        "Work_State" jsonb,
        "Work_Postal" jsonb,
        "Work_Country" jsonb,
        "Work_Phone" jsonb,
        "Work_Phone_Extension" jsonb
    )
    where cast(:keys as text[]) is null or d.external_id = any(cast(:keys as text[]))
    offset '0' -- each value is cleaned once, however often it is used
),

compared as (
    select
        c.external_id,
        min(c.empl_rcd) filter (where c.is_present) over (partition by c.empl_id) as first_record,
        c.uniqname is not null
        and min(c.empl_id) filter (where c.is_present) over (partition by c.uniqname)
        <> max(c.empl_id) filter (where c.is_present) over (partition by c.uniqname) as shares_uniqname
    from cleaned c
)

select
    c.empl_id,
    c.empl_rcd,
    c.uniqname,
    c.first_name,
    c.last_name,
    c.full_name,
    coalesce(nullif(concat_ws(' ', c.first_name, c.last_name), ''), c.full_name) as preferred_name,
    c.department_id,
    c.dept_description,
    c.supervisor_id,
    c.jobcode,
    c.university_job_title,
    c.university_job_title as job_title,
    c.department_job_title,
    c.department_job_title as dept_job_title,
    jsonb_build_object(
        'address1', c.address1,
        'address2', c.address2,
        'address3', c.address3,
        'city', c.city,
        'state', c.state,
        'postal', c.postal,
        'country', c.country,
        'phone', c.phone,
        'phone_extension', c.phone_extension
    ) as work_location,
    c.address1 as work_address_line1,
    c.address2 as work_address_line2,
    c.city as work_city,
    c.state as work_state,
    c.postal as work_postal_code,
    c.country as work_country,
    c.phone as work_phone,
    c.is_present and c.empl_rcd = o.first_record as is_primary,
    c.raw_id,
    c.first_seq,
    array['umich_api'] as source_systems,
    clean.flags(
        case when c.uniqname is null then 'missing_uniqname' end,
        case when c.supervisor_id is null then 'missing_supervisor' end,
        case when c.phone is null then 'missing_work_phone' end,
        case when not ((c.address1, c.city, c.state, c.postal) is not null) then 'incomplete_work_location' end,
        case when c.jobcode is null then 'missing_jobcode' end,
        case when c.university_job_title is null then 'missing_university_job_title' end,
        case when c.first_name is null then 'missing_first_name' end,
        case when c.department_id is null then 'missing_department' end,
        case when c.is_present and o.shares_uniqname then 'uniqname_on_two_employee_ids' end,
        case when c.uniqname is null then clean.invalid_uniqname('uniqname', c.raw_uniqname) end,
        case when c.department_id is null then clean.bad_code('department_id', c.raw_department_id) end,
        case when c.supervisor_id is null then clean.bad_code('supervisor_id', c.raw_supervisor_id) end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
inner join compared o on c.external_id = o.external_id
