/*
row = "One member of one invented group."
description = "Computed group by group: the scope is coarser than the key. A member is a login or another group."
kind = "derived"
key = ["member_id", "group_id"]
scope = "group_id"

[columns]
member_id = ["text", "Login or group"]
group_id = ["text", "Group"]
group_title = ["text", "Title of the group"]
member_name = ["text", "Name of the login"]

[inputs."bronze.groups"]
gives = "external_id"
joined = "member_id = external_id"

[inputs."silver.logins"]
joined = "member_id = login_id"
*/
with members as (
    select distinct
        g.external_id,
        clean.code(m.member) as member_id
    from bronze.groups g
    cross join lateral jsonb_array_elements(clean.list(g.payload -> 'Members')) m (member)
    where cast(:keys as text[]) is null or g.external_id = any(cast(:keys as text[]))
)

select
    m.member_id,
    m.external_id as group_id,
    clean.text(g.payload -> 'Title') as group_title,
    l.login_name as member_name,
    jsonb_strip_nulls(jsonb_build_object(
        'bronze.groups', array[m.external_id],
        'silver.logins', case when l.login_id is not null then array[l.login_id] end
    )) as source_keys,
    array['directory'] as source_systems,
    clean.flags(case when l.login_id is null and o.external_id is null then 'unknown_member' end) as quality_flags,
    g.first_seen_at,
    g.is_present,
    g.removed_at
from members m
inner join bronze.groups g on m.external_id = g.external_id
left join silver.logins l on m.member_id = l.login_id and l.is_present
left join bronze.groups o on m.member_id = o.external_id and o.is_present
where m.member_id is not null
