/*
row = "One member of one group: a person, a group, a computer, or what stands in the list."
description = """
From the lists of both directories; who stands in both is one row. Whom an entry means is told by the object that has its DN
(silver.directory_objects). An entry that leads to none stays as unknown, with its DN, and if it is the DN of a person, with the
login name in it. Active Directory lists its direct members, MCommunity those of nested groups too. A removed group has no
members. First seen is the group: lists have no dates. A member that left the list stands with is_present = false, removed when
that was read.
"""
kind = "derived"
key = ["group_id", "member_type", "member_key"]
dangling = ["unknown_member"]
indexes = ["member_uniqname", "member_group_id"]

[columns]
group_id = ["text", "Group"]
member_type = ["text", "user, group, computer, external (a mail address) or unknown"]
member_key = ["text", "uniqname, group_id, objectGUID, mail address or DN; of a user or group without one the key of its record"]
member_uniqname = ["text", "People: login name"]
member_group_id = ["text", "Groups: the group in silver.groups"]
is_direct_member = ["boolean", "Whether it is a member itself, not only by another group"]
in_ad = ["boolean", "Whether Active Directory lists it"]
in_mcommunity = ["boolean", "Whether MCommunity lists it"]

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
joined = "member_key = dn_key"
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
        clean.listed_name(l.entry) as entry,
        false as is_address,
        true as is_direct,
        true as in_ad
    from groups g
    inner join silver.ad_groups a on g.ad_group_guid = a.ad_group_guid and a.is_present
    cross join lateral jsonb_array_elements_text(a.members) l (entry)
    union all
    select
        g.group_id,
        g.first_seen_at,
        g.is_present,
        g.removed_at,
        clean.listed_name(l.entry) as entry,
        l.is_address,
        l.is_direct,
        false as in_ad
    from groups g
    inner join silver.mcommunity_groups m on g.mcommunity_gid_number = m.gid_number and m.is_present
    cross join lateral (
        select
            e.entry,
            false as is_address,
            false as is_direct
        from jsonb_array_elements_text(m.members) e (entry)
        union all
        select
            e.entry,
            false as is_address,
            true as is_direct
        from jsonb_array_elements_text(clean.list(m.direct_members) || clean.list(m.nested_members)) e (entry)
        union all
        select
            e.entry,
            true as is_address,
            true as is_direct
        from jsonb_array_elements_text(m.external_members) e (entry)
    ) l
),

found as (
    select
        l.group_id,
        l.first_seen_at,
        l.is_present,
        l.removed_at,
        l.is_direct,
        l.in_ad,
        case when l.is_address then 'external' else coalesce(o.kind, 'unknown') end as member_type,
        coalesce(o.uniqname, o.group_id, o.record_key, l.entry) as member_key,
        case when o.dn_key is null and not l.is_address then clean.dn_uniqname(l.entry) else o.uniqname end as member_uniqname,
        o.group_id as member_group_id,
        o.dn_key
    from listed l
    left join silver.directory_objects o on not l.is_address and l.entry = o.dn_key and o.is_present
)

select
    f.group_id,
    f.member_type,
    f.member_key,
    min(f.member_uniqname) as member_uniqname,
    min(f.member_group_id) as member_group_id,
    bool_or(f.is_direct) as is_direct_member,
    bool_or(f.in_ad) as in_ad,
    bool_or(not f.in_ad) as in_mcommunity,
    jsonb_strip_nulls(jsonb_build_object(
        'silver.groups', array[f.group_id],
        'silver.directory_objects',
        array_agg(distinct f.dn_key collate "C") filter (where f.dn_key is not null) -- noqa: RF03
    )) as source_keys,
    array_remove(array[
        case when bool_or(f.in_ad) then 'active_directory' end,
        case when bool_or(not f.in_ad) then 'mcommunity_ldap' end
    ], null) as source_systems,
    clean.flags(
        case when f.member_type = 'unknown' then 'unknown_member' end,
        case
            when f.member_type = 'user' and min(f.member_uniqname) is null then 'no_uniqname'
            when f.member_type = 'group' and min(f.member_group_id) is null then 'no_group'
        end
    ) as quality_flags,
    min(f.first_seen_at) as first_seen_at,
    bool_or(f.is_present) as is_present,
    max(f.removed_at) as removed_at
from found f
where f.member_key <> ''
group by f.group_id, f.member_type, f.member_key
