/*
row = "One owner of one group: a person or a group."
description = """
Who owns it in MCommunity and who manages it in Active Directory are told apart. Whom an entry means is told by the object that
has its DN (silver.directory_objects), as for members. A removed group has no owners. First seen is the group; an owner that left
stands with is_present = false, removed when that was read.
"""
kind = "derived"
key = ["group_id", "owner_kind", "owner_type", "owner_key"]
dangling = ["unknown_owner"]
indexes = ["owner_uniqname", "owner_group_id"]

[columns]
group_id = ["text", "Group"]
owner_kind = ["text", "mcommunity_owner or ad_manager"]
owner_type = ["text", "user, group, computer or unknown"]
owner_key = ["text", "uniqname, group_id, objectGUID or DN; of a user or group without one the key of its record"]
owner_uniqname = ["text", "People: login name"]
owner_group_id = ["text", "Groups: the group in silver.groups"]

[inputs."silver.groups"]
gives = "group_id"

[inputs."silver.ad_groups"]
reach = '''
select g.group_id
from silver.ad_groups a
inner join silver.groups g on a.ad_group_guid = g.ad_group_guid
where a.changed_seq > :since
'''

[inputs."silver.mcommunity_groups"]
reach = '''
select g.group_id
from silver.mcommunity_groups m
inner join silver.groups g on m.gid_number = g.mcommunity_gid_number
where m.changed_seq > :since
'''

[inputs."silver.directory_objects"]
joined = "owner_key = dn_key"
*/
with groups as (
    select
        g.group_id,
        g.ad_group_guid,
        g.mcommunity_gid_number,
        g.first_seen_at,
        g.is_present,
        g.removed_at
    from silver.groups g
    where g.is_present and (cast(:keys as text[]) is null or g.group_id = any(cast(:keys as text[])))
),

listed as (
    select
        g.group_id,
        g.first_seen_at,
        g.is_present,
        g.removed_at,
        'ad_manager' as owner_kind,
        clean.listed_name(a.managed_by) as entry
    from groups g
    inner join silver.ad_groups a on g.ad_group_guid = a.ad_group_guid and a.is_present
    where a.managed_by is not null
    union all
    select
        g.group_id,
        g.first_seen_at,
        g.is_present,
        g.removed_at,
        'mcommunity_owner' as owner_kind,
        clean.listed_name(l.entry) as entry
    from groups g
    inner join silver.mcommunity_groups m on g.mcommunity_gid_number = m.gid_number and m.is_present
    cross join lateral jsonb_array_elements_text(m.owners) l (entry)
),

found as (
    select
        l.group_id,
        l.first_seen_at,
        l.is_present,
        l.removed_at,
        l.owner_kind,
        coalesce(o.kind, 'unknown') as owner_type,
        coalesce(o.uniqname, o.group_id, o.record_key, l.entry) as owner_key,
        case when o.dn_key is null then clean.dn_uniqname(l.entry) else o.uniqname end as owner_uniqname,
        o.group_id as owner_group_id,
        o.dn_key
    from listed l
    left join silver.directory_objects o on l.entry = o.dn_key and o.is_present
)

select
    f.group_id,
    f.owner_kind,
    f.owner_type,
    f.owner_key,
    min(f.owner_uniqname) as owner_uniqname,
    min(f.owner_group_id) as owner_group_id,
    jsonb_strip_nulls(jsonb_build_object(
        'silver.groups', array[f.group_id],
        'silver.directory_objects',
        array_agg(distinct f.dn_key collate "C") filter (where f.dn_key is not null) -- noqa: RF03
    )) as source_keys,
    array[case when f.owner_kind = 'ad_manager' then 'active_directory' else 'mcommunity_ldap' end] as source_systems,
    clean.flags(
        case when f.owner_type = 'unknown' then 'unknown_owner' end,
        case
            when f.owner_type = 'user' and min(f.owner_uniqname) is null then 'no_uniqname'
            when f.owner_type = 'group' and min(f.owner_group_id) is null then 'no_group'
        end
    ) as quality_flags,
    min(f.first_seen_at) as first_seen_at,
    bool_or(f.is_present) as is_present,
    max(f.removed_at) as removed_at
from found f
where f.owner_key <> ''
group by f.group_id, f.owner_kind, f.owner_type, f.owner_key
