/*
row = "One department, by department code, merged from HR (UMich API) and TeamDynamix."
description = """
HR gives names and hierarchy, TeamDynamix activity, manager, location, parent and the ids to write back to. Two
TeamDynamix accounts with one code make one row: tdx_ids holds both, tdx_id the preferred one (active, then lowest). An
account without code makes no row. A source that lost the department gives it no values while the other still has it; when
both have lost it, the row keeps its last values with is_present = false.
"""
key = ["dept_id"]
indexes = ["parent_dept_id", "tdx_ids"]
dangling = ["unknown_parent"]
sources = {u = "umich_api", t = "tdx", p = "tdx", w = "umich_api"}

[columns]
dept_id = ["text", "Department code"]
department_name = ["text", "Name: HR before TeamDynamix"]
department_code = ["text", "Same as dept_id, for readers of the older name"]
description = ["text", "Notes of TeamDynamix"]
is_active = ["boolean", "Active in TeamDynamix; without an account there: present in HR"]
parent_tdx_id = ["integer", "TeamDynamix account of the parent"]
parent_dept_id = ["text", "Code of the parent department, by the parent account in TeamDynamix"]
college_name = ["text", "College"]
campus_name = ["text", "Campus"]
vp_area_name = ["text", "Executive area"]
dept_group = ["text", "College code"]
dept_group_campus = ["text", "Campus code"]
dept_group_vp_area = ["text", "Executive area code"]
college_group = ["text", "Same as college_name, for readers of the older name"]
vp_area = ["text", "Same as vp_area_name, for readers of the older name"]
hierarchical_path = ["text", "Campus -> executive area -> college -> department, by HR"]
tdx_id = ["integer", "TeamDynamix account to write back to: active, then lowest"]
tdx_ids = ["integer[]", "All TeamDynamix accounts with this code, ascending"]
tdx_manager_uid = ["uuid", "TeamDynamix UID of the manager"]
tdx_created_date = ["timestamp with time zone", "When the account was made in TeamDynamix"]
tdx_modified_date = ["timestamp with time zone", "When it was changed there, as of the last change of content"]
location_info = ["jsonb", "Address, phone, fax and URL, as far as filled; {} without TeamDynamix"]
sources = ["jsonb", "Sources that this row is made from, in the older words and order: umapi, tdx"]
source_entity_id = ["text", "Same as dept_id, for readers of the older name"]

[inputs."silver.umapi_departments"]
gives = "dept_id"
keeps = "true"

[inputs."silver.tdx_departments"]
gives = "dept_id"
joined = "parent_tdx_id = tdx_id"
keeps = "dept_id is not null"
*/
with umapi as (
    select * from silver.umapi_departments
    where cast(:keys as text[]) is null or dept_id = any(cast(:keys as text[]))
),

accounts as (
    select * from silver.tdx_departments
    where dept_id is not null and (cast(:keys as text[]) is null or dept_id = any(cast(:keys as text[])))
),

codes as (
    select
        s.dept_id,
        bool_or(s.is_present) as is_present,
        min(s.first_seen_at) as first_seen_at,
        max(s.removed_at) as removed_at,
        array_agg(s.dept_id) filter (where s.tdx_id is null) as hr_keys,
        array_agg(s.tdx_id::text order by s.tdx_id) filter (where s.tdx_id is not null) as tdx_keys
    from (
        select
            u.dept_id,
            null as tdx_id,
            u.is_present,
            u.first_seen_at,
            u.removed_at
        from umapi u
        union all
        select
            a.dept_id,
            a.tdx_id,
            a.is_present,
            a.first_seen_at,
            a.removed_at
        from accounts a
    ) s
    group by s.dept_id
),

-- A source that lost the department speaks only when no other source has it any more.
speaking as (
    select
        a.*,
        array_agg(a.tdx_id) over code_by_id as tdx_ids,
        row_number() over (
            partition by a.dept_id order by a.is_present desc, a.is_active desc nulls last, a.tdx_id asc
        ) as preference
    from accounts a
    inner join codes c on a.dept_id = c.dept_id
    where a.is_present or not c.is_present
    window code_by_id as (
        partition by a.dept_id order by a.tdx_id rows between unbounded preceding and unbounded following
    )
)

select
    c.dept_id,
    coalesce(u.department_name, t.department_name) as department_name,
    c.dept_id as department_code,
    t.dept_notes as description,
    coalesce(t.is_active, w.is_present) as is_active,
    t.parent_id as parent_tdx_id,
    p.dept_id as parent_dept_id,
    u.college_name,
    u.campus_name,
    u.vp_area_name,
    u.dept_group,
    u.dept_group_campus,
    u.dept_group_vp_area,
    u.college_name as college_group,
    u.vp_area_name as vp_area,
    u.hierarchical_path,
    t.tdx_id,
    coalesce(t.tdx_ids, '{}') as tdx_ids,
    t.manager_uid as tdx_manager_uid,
    t.tdx_created_date,
    t.tdx_modified_date,
    coalesce(t.location_info, '{}') as location_info,
    to_jsonb(array_remove(array[
        case when u.dept_id is not null then 'umapi' end,
        case when t.dept_id is not null then 'tdx' end
    ], null)) as sources,
    c.dept_id as source_entity_id,
    jsonb_strip_nulls(jsonb_build_object(
        'silver.tdx_departments', c.tdx_keys, 'silver.umapi_departments', c.hr_keys
    )) as source_keys,
    :field_sources as field_sources,
    array_remove(array[
        case when t.dept_id is not null then 'tdx' end,
        case when u.dept_id is not null then 'umich_api' end
    ], null) as source_systems,
    clean.flags(
        case when t.dept_id is null then 'no_tdx_data' end,
        case when u.dept_id is null then 'no_umapi_data' end,
        case when coalesce(u.department_name, t.department_name) is null then 'missing_dept_name' end,
        case when coalesce(t.is_active, w.is_present) is null then 'missing_active_status' end,
        case when u.campus_name is null then 'missing_campus' end,
        case when u.college_name is null then 'missing_college' end,
        case when u.vp_area_name is null then 'missing_vp_area' end,
        case when cardinality(t.tdx_ids) > 1 then 'several_tdx_accounts' end,
        case
            when clean.comparable(u.department_name) <> clean.comparable(t.department_name) then 'name_mismatch'
        end,
        case when clean.code(to_jsonb(c.dept_id)) is null then 'bad_code:dept_id' end,
        case when t.parent_id is not null and e.tdx_id is null then 'unknown_parent' end,
        case when e.tdx_id is not null and e.dept_id is null then 'parent_without_code' end,
        case when e.dept_id = c.dept_id then 'parent_has_same_code' end,
        case when 'parent_circle' = any(t.quality_flags) then 'parent_circle' end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    case when not c.is_present then c.removed_at end as removed_at
from codes c
left join umapi u on c.dept_id = u.dept_id and (u.is_present or not c.is_present)
left join speaking t on c.dept_id = t.dept_id and t.preference = 1
-- HR speaks of activity only where there is no account.
left join umapi w on c.dept_id = w.dept_id and t.tdx_id is null and (w.is_present or not c.is_present)
left join silver.tdx_departments e on t.parent_id = e.tdx_id and e.is_present
left join silver.tdx_departments p on e.tdx_id = p.tdx_id and c.dept_id <> p.dept_id
