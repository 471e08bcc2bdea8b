/*
row = "One department of the university's HR system."
description = """
From the UMich API gateway (bronze.umapi_departments). The source has no active flag: a department that is no longer sent
has been closed and stands with is_present = false.
"""
key = ["dept_id"]
indexes = ["dept_group_campus, dept_group_vp_area, dept_group"]

[columns]
dept_id = ["text", "Department code as sent, leading zeros kept; six digits"]
department_name = ["text", "Name"]
dept_group = ["text", "College code"]
dept_group_campus = ["text", "Campus code"]
dept_group_vp_area = ["text", "Executive area code"]
college_name = ["text", "College"]
campus_name = ["text", "Campus"]
vp_area_name = ["text", "Executive area"]
hierarchical_path = ["text", "Campus -> executive area -> college -> department, as far as known"]

[inputs."bronze.umapi_departments"]
*/
with cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        clean.text(f."DeptDescription") as department_name,
        clean.code(f."DeptGroup") as dept_group,
        clean.code(f."DeptGroupCampus") as dept_group_campus,
        clean.code(f."DeptGroupVPArea") as dept_group_vp_area,
        clean.text(f."DeptGroupDescription") as college_name,
        clean.text(f."DeptGroupCampusDescr") as campus_name,
        clean.text(f."DeptGroupVPAreaDescr") as vp_area_name,
        clean.flags(
            clean.bad_code('dept_id', to_jsonb(d.external_id)),
            clean.bad_code('dept_group', f."DeptGroup"),
            clean.bad_code('dept_group_campus', f."DeptGroupCampus"),
            clean.bad_code('dept_group_vp_area', f."DeptGroupVPArea")
        ) as unreadable
    from bronze.umapi_departments d
    cross join lateral jsonb_to_record(d.payload) f (
        "DeptDescription" jsonb,
        "DeptGroup" jsonb,
        "DeptGroupCampus" jsonb,
        "DeptGroupVPArea" jsonb,
        "DeptGroupDescription" jsonb,
        "DeptGroupCampusDescr" jsonb,
        "DeptGroupVPAreaDescr" jsonb
    )
    where cast(:keys as text[]) is null or d.external_id = any(cast(:keys as text[]))
    offset '0' -- each value is cleaned once, however often it is used
)

select
    c.external_id as dept_id,
    c.department_name,
    c.dept_group,
    c.dept_group_campus,
    c.dept_group_vp_area,
    c.college_name,
    c.campus_name,
    c.vp_area_name,
    nullif(concat_ws(' -> ', c.campus_name, c.vp_area_name, c.college_name, c.department_name), '')
        as hierarchical_path,
    c.raw_id,
    c.first_seq,
    array['umich_api'] as source_systems,
    clean.flags(
        case when c.department_name is null then 'missing_department_name' end,
        case when c.campus_name is null then 'missing_campus' end,
        case when c.college_name is null then 'missing_college' end,
        case when c.vp_area_name is null then 'missing_vp_area' end,
        case when c.dept_group is null then 'missing_dept_group_code' end,
        case when c.dept_group_campus is null then 'missing_campus_code' end,
        case when c.dept_group_vp_area is null then 'missing_vp_area_code' end
    ) || c.unreadable as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
