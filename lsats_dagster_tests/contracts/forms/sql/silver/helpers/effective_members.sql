/*
row = "One member of one group, through any number of groups between."
description = "A closure: each change may move any row of it."
key = ["member_id", "group_id"]
whole = true

[columns]
member_id = ["text", "Login or group"]
group_id = ["text", "Group"]
steps = ["integer", "Memberships from member to group on the shortest way"]

[inputs."silver.memberships"]
*/
with recursive ways as (
    select
        m.group_id,
        m.member_id,
        m.removed_at,
        1 as steps
    from silver.memberships m
    union
    select
        w.group_id,
        m.member_id,
        greatest(w.removed_at, m.removed_at) as removed_at,
        w.steps + 1 as steps
    from ways w
    inner join silver.memberships m on w.member_id = m.group_id
    -- Longer ones lead nowhere else.
    where w.steps < 10
),

groups as (
    select
        m.group_id,
        min(m.first_seen_at) as first_seen_at,
        array_agg(m.member_id || ':' || m.group_id order by m.member_id collate "C") as member_keys
    from silver.memberships m
    group by m.group_id
)

select
    w.member_id,
    w.group_id,
    coalesce(min(w.steps) filter (where w.removed_at is null), min(w.steps)) as steps,
    jsonb_build_object('silver.memberships', g.member_keys) as source_keys,
    array['directory'] as source_systems,
    clean.flags(case when w.member_id = w.group_id then 'member_of_itself' end) as quality_flags,
    g.first_seen_at,
    bool_or(w.removed_at is null) as is_present,
    case when not bool_or(w.removed_at is null) then min(w.removed_at) end as removed_at
from ways w
inner join groups g on w.group_id = g.group_id
group by w.member_id, w.group_id, g.member_keys, g.first_seen_at
