-- Groups that exist today with the numbers of their members and owners.
with members as (
    select
        m.group_id,
        count(*) as total_members,
        count(*) filter (where m.member_uniqname is not null) as user_members,
        count(*) filter (where m.member_type = 'group') as nested_groups
    from silver.group_members m
    where m.is_present
    group by m.group_id
),

owners as (
    select
        o.group_id,
        count(distinct o.owner_type || ':' || o.owner_key) as total_owners
    from silver.group_owners o
    where o.is_present
    group by o.group_id
)

select
    g.group_id,
    g.group_name,
    g.sam_account_name,
    g.is_mcomm_adsync,
    coalesce(m.total_members, 0) as total_members,
    coalesce(m.user_members, 0) as user_members,
    coalesce(m.nested_groups, 0) as nested_groups,
    coalesce(o.total_owners, 0) as total_owners,
    g.group_email,
    g.description,
    g.data_quality_score
from silver.groups g
left join members m on g.group_id = m.group_id
left join owners o on g.group_id = o.group_id
where g.is_present
