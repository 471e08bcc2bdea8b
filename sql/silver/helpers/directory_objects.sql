/*
row = "One DN, and the object that it names in Active Directory or MCommunity."
description = """
What lists of members and owners point to, by the DN in lower case. It changes only when an object comes, goes, moves or has
another name. A DN that was given again names the object that is there; of several that are gone, the newest. Accounts of
services are users too.
"""
key = ["dn_key"]

[columns]
dn_key = ["text", "DN in lower case"]
kind = ["text", "user, group or computer"]
source_system = ["text", "Directory that it stands in"]
source_table = ["text", "Source table that holds the object"]
record_key = ["text", "Its key there: objectGUID, gidNumber or uidNumber"]
uniqname = ["text", "Users: login name; NULL for one that has none"]
group_id = ["text", "Groups: the group in silver.groups; NULL for one without a name"]

[inputs."silver.ad_users"]
gives = "dn_key"

[inputs."silver.ad_groups"]
gives = "dn_key"

[inputs."silver.ad_computers"]
gives = "dn_key"

[inputs."silver.mcommunity_users"]
gives = "dn_key"

[inputs."silver.mcommunity_groups"]
gives = "dn_key"

[inputs."silver.groups"]
reach = '''
select a.dn_key
from silver.groups g
inner join silver.ad_groups a on g.ad_group_guid = a.ad_group_guid
where g.changed_seq > :since
union all
select m.dn_key
from silver.groups g
inner join silver.mcommunity_groups m on g.mcommunity_gid_number = m.gid_number
where g.changed_seq > :since
'''
*/
with objects as (
    select
        u.dn_key,
        'user' as kind,
        'active_directory' as source_system,
        'ad_users' as source_table,
        u.ad_user_guid::text as record_key,
        u.uniqname,
        null as group_id,
        u.first_seen_at,
        u.is_present,
        u.removed_at
    from silver.ad_users u
    union all
    select
        a.dn_key,
        'group' as kind,
        'active_directory' as source_system,
        'ad_groups' as source_table,
        a.ad_group_guid::text as record_key,
        null as uniqname,
        g.group_id,
        a.first_seen_at,
        a.is_present,
        a.removed_at
    from silver.ad_groups a
    left join silver.groups g on a.ad_group_guid = g.ad_group_guid and g.is_present
    union all
    select
        c.dn_key,
        'computer' as kind,
        'active_directory' as source_system,
        'ad_computers' as source_table,
        c.object_guid::text as record_key,
        null as uniqname,
        null as group_id,
        c.first_seen_at,
        c.is_present,
        c.removed_at
    from silver.ad_computers c
    union all
    select
        p.dn_key,
        'user' as kind,
        'mcommunity_ldap' as source_system,
        'mcommunity_users' as source_table,
        p.uid_number::text as record_key,
        p.uniqname,
        null as group_id,
        p.first_seen_at,
        p.is_present,
        p.removed_at
    from silver.mcommunity_users p
    union all
    select
        m.dn_key,
        'group' as kind,
        'mcommunity_ldap' as source_system,
        'mcommunity_groups' as source_table,
        m.gid_number::text as record_key,
        null as uniqname,
        g.group_id,
        m.first_seen_at,
        m.is_present,
        m.removed_at
    from silver.mcommunity_groups m
    left join silver.groups g on m.gid_number = g.mcommunity_gid_number and g.is_present
)

select distinct on (o.dn_key collate "C") -- noqa: RF03
    o.dn_key,
    o.kind,
    o.source_system,
    o.source_table,
    o.record_key,
    o.uniqname,
    o.group_id,
    jsonb_strip_nulls(jsonb_build_object(
        'silver.' || o.source_table, array[o.record_key],
        'silver.groups', case when o.group_id is not null then array[o.group_id] end
    )) as source_keys,
    array[o.source_system] as source_systems,
    clean.flags(
        case when o.kind = 'user' and o.uniqname is null then 'no_uniqname' end,
        case when o.kind = 'group' and o.group_id is null then 'no_group' end
    ) as quality_flags,
    o.first_seen_at,
    o.is_present,
    o.removed_at
from objects o
where o.dn_key is not null and (cast(:keys as text[]) is null or o.dn_key = any(cast(:keys as text[])))
order by
    o.dn_key collate "C" asc, -- noqa: RF03
    o.is_present desc,
    o.first_seen_at desc,
    o.record_key collate "C" asc, -- noqa: RF03
    o.group_id collate "C" asc, -- noqa: RF03
    o.source_table asc
