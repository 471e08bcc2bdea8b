/*
row = "One person on an award, in one role and for one department."
description = """
From the newest export (bronze.lab_awards). The amounts are those of the whole award, and stand on each of its rows: summed over
rows they count several times. silver.v_awards has one row for each award. Who or what the newest export does not list stands
with is_present = false. Whether an award runs depends on the day, and is no column: compare the dates.
"""
key = ["award_record_id"]
whole = true # some thousand rows
indexes = ["award_id", "person_uniqname", "award_end_date"]

[columns]
award_record_id = ["text", "Award, uniqname, department and role, joined with hyphens: which together stand once"]
award_id = ["text", "Award"]
person_uniqname = ["text", "Login name in lower case"]
person_role = ["text", "Role on the award"]
is_pi_role = ["boolean", "Whether the role is that of a principal investigator, co-investigators by that name included"]
project_grant_id = ["text", "Project or grant"]
award_title = ["text", "Title"]
award_class = ["text", "Class"]
award_total_dollars = ["numeric(15,2)", "Dollars of the whole award"]
award_direct_dollars = ["numeric(15,2)", "Direct costs of the whole award"]
award_indirect_dollars = ["numeric(15,2)", "Indirect costs of the whole award"]
facilities_admin_rate = ["numeric", "Rate for facilities and administration in percent: 56, not 0.56"]
award_start_date = ["date", "First day"]
award_end_date = ["date", "Last day"]
pre_nce_end_date = ["date", "Last day before an extension without cost"]
award_publish_date = ["date", "When it was published"]
direct_sponsor_name = ["text", "Sponsor"]
direct_sponsor_category = ["text", "Its category"]
direct_sponsor_subcategory = ["text", "Its subcategory"]
direct_sponsor_reference = ["text", "Its number for the award, in the current budget period"]
prime_sponsor_name = ["text", "Sponsor behind the sponsor"]
prime_sponsor_category = ["text", "Its category"]
prime_sponsor_subcategory = ["text", "Its subcategory"]
prime_sponsor_reference = ["text", "Its number for the award"]
award_admin_department = ["text", "Name of the department that administers the award"]
award_admin_school_college = ["text", "Its school or college"]
person_first_name = ["text", "First name"]
person_last_name = ["text", "Last name"]
person_appt_department = ["text", "Name of the person's department"]
person_appt_department_id = ["text", "Its code; joins to umapi_departments.dept_id"]
person_appt_school_college = ["text", "Its school or college"]

[inputs."bronze.lab_awards"]
*/
with cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        clean.code(f."Award Id") as award_id,
        clean.uniqname(f."Person Uniqname") as person_uniqname,
        clean.text(f."Person Role") as person_role,
        clean.text(f."Project/Grant") as project_grant_id,
        clean.text(f."Award Title") as award_title,
        clean.text(f."Award Class") as award_class,
        clean.money(f."Award Total Dollars") as award_total_dollars,
        clean.money(f."Award Direct Dollars") as award_direct_dollars,
        clean.money(f."Award Indirect Dollars") as award_indirect_dollars,
        clean.decimal(replace(f."Facilities & Admin Rate (%)", '%', '')) as facilities_admin_rate,
        clean.day(f."Award Project Start Date") as award_start_date,
        clean.day(f."Award Project End Date") as award_end_date,
        clean.day(f."Pre NCE Project End Date") as pre_nce_end_date,
        clean.day(f."Award Publish Date") as award_publish_date,
        clean.text(f."Direct Sponsor Name") as direct_sponsor_name,
        clean.text(f."Direct Sponsor Category") as direct_sponsor_category,
        clean.text(f."Direct Sponsor Subcategory") as direct_sponsor_subcategory,
        clean.text(f."Direct Sponsor Award Reference Number (Current Budget Period)") as direct_sponsor_reference,
        clean.text(f."Prime Sponsor Name") as prime_sponsor_name,
        clean.text(f."Prime Sponsor Category") as prime_sponsor_category,
        clean.text(f."Prime Sponsor Subcategory") as prime_sponsor_subcategory,
        clean.text(f."Prime Sponsor Award Reference Number") as prime_sponsor_reference,
        clean.text(f."Award Admin Department") as award_admin_department,
        clean.text(f."Award Admin School/College") as award_admin_school_college,
        clean.text(f."Person First Name") as person_first_name,
        clean.text(f."Person Last Name") as person_last_name,
        clean.text(f."Person Appt Department") as person_appt_department,
        clean.department_code(f."Person Appt Department Id") as person_appt_department_id,
        clean.text(f."Person Appt School/College") as person_appt_school_college,
        clean.flags(
            clean.bad_code('award_id', f."Award Id"),
            clean.invalid_uniqname('person_uniqname', f."Person Uniqname"),
            clean.bad_code('person_appt_department_id', f."Person Appt Department Id"),
            clean.unparsed_amount('award_total_dollars', f."Award Total Dollars"),
            clean.unparsed_amount('award_direct_dollars', f."Award Direct Dollars"),
            clean.unparsed_amount('award_indirect_dollars', f."Award Indirect Dollars"),
            clean.bad_decimal('facilities_admin_rate', replace(f."Facilities & Admin Rate (%)", '%', '')),
            clean.bad_day('award_start_date', f."Award Project Start Date"),
            clean.bad_day('award_end_date', f."Award Project End Date"),
            clean.bad_day('pre_nce_end_date', f."Pre NCE Project End Date"),
            clean.bad_day('award_publish_date', f."Award Publish Date")
        ) as unreadable
    from bronze.lab_awards d
    cross join lateral jsonb_to_record(d.payload) f (
        "Award Id" jsonb,
        "Person Uniqname" jsonb,
        "Person Role" jsonb,
        "Project/Grant" jsonb,
        "Award Title" jsonb,
        "Award Class" jsonb,
        "Award Total Dollars" text,
        "Award Direct Dollars" text,
        "Award Indirect Dollars" text,
        "Facilities & Admin Rate (%)" text,
        "Award Project Start Date" text,
        "Award Project End Date" text,
        "Pre NCE Project End Date" text,
        "Award Publish Date" text,
        "Direct Sponsor Name" jsonb,
        "Direct Sponsor Category" jsonb,
        "Direct Sponsor Subcategory" jsonb,
        "Direct Sponsor Award Reference Number (Current Budget Period)" jsonb,
        "Prime Sponsor Name" jsonb,
        "Prime Sponsor Category" jsonb,
        "Prime Sponsor Subcategory" jsonb,
        "Prime Sponsor Award Reference Number" jsonb,
        "Award Admin Department" jsonb,
        "Award Admin School/College" jsonb,
        "Person First Name" jsonb,
        "Person Last Name" jsonb,
        "Person Appt Department" jsonb,
        "Person Appt Department Id" jsonb,
        "Person Appt School/College" jsonb
    )
    offset '0' -- each value is cleaned once, however often it is used
),

disputed as (
    select c.award_id
    from cleaned c
    where c.is_present
    group by c.award_id
    having
        count(distinct jsonb_build_array(c.award_total_dollars, c.award_direct_dollars, c.award_indirect_dollars)) > 1
)

select
    c.external_id as award_record_id,
    c.award_id,
    c.person_uniqname,
    c.person_role,
    coalesce(c.person_role like '%Principal Investigator%', false) as is_pi_role,
    c.project_grant_id,
    c.award_title,
    c.award_class,
    c.award_total_dollars,
    c.award_direct_dollars,
    c.award_indirect_dollars,
    c.facilities_admin_rate,
    c.award_start_date,
    c.award_end_date,
    c.pre_nce_end_date,
    c.award_publish_date,
    c.direct_sponsor_name,
    c.direct_sponsor_category,
    c.direct_sponsor_subcategory,
    c.direct_sponsor_reference,
    c.prime_sponsor_name,
    c.prime_sponsor_category,
    c.prime_sponsor_subcategory,
    c.prime_sponsor_reference,
    c.award_admin_department,
    c.award_admin_school_college,
    c.person_first_name,
    c.person_last_name,
    c.person_appt_department,
    c.person_appt_department_id,
    c.person_appt_school_college,
    c.raw_id,
    c.first_seq,
    array['lab_awards'] as source_systems,
    clean.flags(
        case when c.award_start_date is null or c.award_end_date is null then 'missing_dates' end,
        case when c.award_total_dollars is null then 'missing_amount' end,
        case when c.award_end_date < c.award_start_date then 'end_before_start' end,
        case when c.is_present and a.award_id is not null then 'amounts_differ' end,
        case when abs(c.facilities_admin_rate) < 1 and c.facilities_admin_rate <> 0 then 'rate_below_one' end
    ) || c.unreadable as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
left join disputed a on c.award_id = a.award_id
