/*
row = "One record of a source that belongs to no person, department or group, and why."
description = """
Every present record of a source is in one row of users, departments or groups, or here, or in quarantine. A record that finds
its row later stands with is_present = false, as one that its source has lost.
"""
kind = "derived"
key = ["source_table", "record_key"]
scope = "record_key"
indexes = ["entity, reason"]
told = ["entity", "reason", "candidates"]
about = ["source_table", "record_key"]
candidates = "candidates"

[columns]
source_table = ["text", "Table of the record, such as tdx_users"]
record_key = ["text", "Its key there, as source_keys write keys"]
source_system = ["text", "Source"]
entity = ["text", "What the record describes: person, department or group"]
reason = ["text", "no_uniqname, several_candidates, name_conflict, manual, no_code or no_name"]
candidates = ["text[]", "Login names between which nothing decides, ascending, or its own where people decided otherwise"]

[inputs."silver.person_records"]
gives = "case when uniqname is null then record_key end"
keeps = "uniqname is null"

[inputs."silver.tdx_departments"]
gives = "case when dept_id is null then tdx_id end"
keeps = "dept_id is null"

[inputs."silver.ad_groups"]
gives = "case when clean.group_name(cn) is null then ad_group_guid end"
keeps = "clean.group_name(cn) is null"

[inputs."silver.mcommunity_groups"]
gives = "case when clean.group_name(group_name) is null then gid_number end"
keeps = "clean.group_name(group_name) is null"
*/
with records as (
    select
        p.source_table,
        p.record_key,
        'person' as entity,
        p.unlinked_reason as reason,
        p.candidates,
        'silver.person_records' as input,
        p.source_table || ':' || p.record_key as input_key,
        p.source_systems,
        p.first_seen_at,
        p.is_present,
        p.removed_at
    from silver.person_records p
    where p.uniqname is null and (cast(:keys as text[]) is null or p.record_key = any(cast(:keys as text[])))
    union all
    select
        'tdx_departments' as source_table,
        d.tdx_id::text as record_key,
        'department' as entity,
        'no_code' as reason,
        '{}' as candidates,
        'silver.tdx_departments' as input,
        d.tdx_id::text as input_key,
        d.source_systems,
        d.first_seen_at,
        d.is_present,
        d.removed_at
    from silver.tdx_departments d
    where d.dept_id is null and (cast(:keys as text[]) is null or d.tdx_id::text = any(cast(:keys as text[])))
    union all
    select
        'ad_groups' as source_table,
        a.ad_group_guid::text as record_key,
        'group' as entity,
        'no_name' as reason,
        '{}' as candidates,
        'silver.ad_groups' as input,
        a.ad_group_guid::text as input_key,
        a.source_systems,
        a.first_seen_at,
        a.is_present,
        a.removed_at
    from silver.ad_groups a
    where
        clean.group_name(a.cn) is null
        and (cast(:keys as text[]) is null or a.ad_group_guid::text = any(cast(:keys as text[])))
    union all
    select
        'mcommunity_groups' as source_table,
        m.gid_number::text as record_key,
        'group' as entity,
        'no_name' as reason,
        '{}' as candidates,
        'silver.mcommunity_groups' as input,
        m.gid_number::text as input_key,
        m.source_systems,
        m.first_seen_at,
        m.is_present,
        m.removed_at
    from silver.mcommunity_groups m
    where
        clean.group_name(m.group_name) is null
        and (cast(:keys as text[]) is null or m.gid_number::text = any(cast(:keys as text[])))
)

select
    r.source_table,
    r.record_key,
    r.source_systems[1] as source_system,
    r.entity,
    r.reason,
    r.candidates,
    jsonb_build_object(r.input, jsonb_build_array(r.input_key)) as source_keys,
    r.source_systems,
    clean.flags(
        case when r.reason = 'no_uniqname' then 'no_uniqname' end,
        case when r.reason = 'several_candidates' then 'several_candidates' end,
        case when r.reason = 'name_conflict' then 'name_conflict' end,
        case when r.reason = 'manual' then 'manual' end,
        case when r.reason = 'no_code' then 'no_code' end,
        case when r.reason = 'no_name' then 'no_name' end
    ) as quality_flags,
    r.first_seen_at,
    r.is_present,
    r.removed_at
from records r
