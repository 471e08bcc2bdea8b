-- Departments that exist today, as readers use them.
select
    dept_id,
    department_name,
    description,
    is_active,
    parent_dept_id,
    college_name,
    campus_name,
    vp_area_name,
    dept_group,
    dept_group_campus,
    dept_group_vp_area,
    hierarchical_path,
    tdx_id,
    tdx_ids,
    tdx_manager_uid,
    location_info,
    source_systems,
    data_quality_score,
    quality_flags,
    first_seen_at,
    updated_at
from silver.departments
where is_present
