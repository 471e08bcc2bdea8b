/*
row = "One person who is in one group, directly or by any number of groups inside it."
description = """
From silver.group_members: whoever a group inside has, and a group inside that, and so on; a circle of groups ends where it
began, and all of it has the same people. source_keys name the memberships of the person; how a group comes to hold another, their
own rows tell. Who is in no longer stands with is_present = false, removed when that was read.
"""
kind = "derived"
key = ["group_id", "member_uniqname"]
indexes = ["member_uniqname"]

[columns]
group_id = ["text", "Group"]
member_uniqname = ["text", "Login name"]
is_direct = ["boolean", "Whether the group has the person itself"]
inherited_from = ["text[]", "Groups inside that have the person themselves, ascending"]

[inputs."silver.group_members"]
reach = '''
with recursive above as (
    select m.group_id
    from silver.group_members m
    where m.changed_seq > :since
    union
    select h.group_id
    from above a
    -- The offset has each group looked up: a join may read all memberships.
    cross join lateral (
        select m.group_id from silver.group_members m
        where m.member_group_id = a.group_id
        offset '0'
    ) h
)

select a.group_id from above a
'''
*/
with recursive inside as (
    select
        m.group_id,
        m.member_group_id as holder_id
    from silver.group_members m
    where
        m.is_present and m.member_type = 'group'
        and (cast(:keys as text[]) is null or m.group_id = any(cast(:keys as text[])))
    union
    select
        i.group_id,
        m.member_group_id as holder_id
    from inside i
    inner join silver.group_members m on i.holder_id = m.group_id
    where m.is_present and m.member_type = 'group'
),

memberships as (
    select
        m.group_id,
        m.member_uniqname,
        m.is_direct_member as is_direct,
        null as inherited_from,
        m.group_id || ':' || m.member_type || ':' || m.member_key as membership_key,
        m.in_ad,
        m.in_mcommunity,
        m.first_seen_at,
        m.is_present,
        m.removed_at
    from silver.group_members m
    where
        m.is_present and m.member_uniqname is not null
        and (cast(:keys as text[]) is null or m.group_id = any(cast(:keys as text[])))
    union all
    select
        i.group_id,
        m.member_uniqname,
        false as is_direct,
        case when m.is_direct_member then i.holder_id end as inherited_from,
        m.group_id || ':' || m.member_type || ':' || m.member_key as membership_key,
        m.in_ad,
        m.in_mcommunity,
        m.first_seen_at,
        m.is_present,
        m.removed_at
    from inside i
    inner join silver.group_members m on i.holder_id = m.group_id
    where i.holder_id <> i.group_id and m.is_present and m.member_uniqname is not null
),

circles as (
    select i.group_id
    from inside i
    where i.holder_id = i.group_id
)

select
    m.group_id,
    m.member_uniqname,
    bool_or(m.is_direct) as is_direct,
    coalesce(
        array_agg(distinct m.inherited_from collate "C") filter (where m.inherited_from is not null), '{}' -- noqa: RF02
    ) collate "default" as inherited_from, -- noqa: RF02
    jsonb_build_object(
        'silver.group_members', array_agg(m.membership_key order by m.membership_key collate "C") -- noqa: RF02
    ) as source_keys,
    array_remove(array[
        case when bool_or(m.in_ad) then 'active_directory' end,
        case when bool_or(m.in_mcommunity) then 'mcommunity_ldap' end
    ], null) as source_systems,
    clean.flags(case when bool_or(c.group_id is not null) then 'group_circle' end) as quality_flags,
    min(m.first_seen_at) as first_seen_at,
    bool_or(m.is_present) as is_present,
    max(m.removed_at) as removed_at
from memberships m
left join circles c on m.group_id = c.group_id
group by m.group_id, m.member_uniqname
