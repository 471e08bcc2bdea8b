-- Departments that exist today, as readers use them. The manager stands where v_people shows whom the UID belongs to.
select
    d.dept_id,
    d.department_code,
    d.department_name,
    d.description,
    d.is_active,
    d.parent_tdx_id,
    d.parent_dept_id,
    d.college_name,
    d.college_group,
    d.campus_name,
    d.vp_area_name,
    d.vp_area,
    d.dept_group,
    d.dept_group_campus,
    d.dept_group_vp_area,
    d.hierarchical_path,
    d.tdx_id,
    d.tdx_ids,
    (
        select m.tdx_user_uid from silver.v_people m
        where m.tdx_user_uid = d.tdx_manager_uid
    ) as tdx_manager_uid,
    d.tdx_created_date,
    d.tdx_modified_date,
    d.location_info,
    d.sources,
    d.source_entity_id,
    d.source_systems,
    d.source_keys,
    d.field_sources,
    d.data_quality_score,
    d.quality_flags,
    d.first_seen_at,
    d.updated_at
from silver.departments d
where d.is_present
