-- Who is in a group today, directly or by groups inside it.
select
    group_id,
    member_uniqname,
    is_direct,
    inherited_from,
    source_systems,
    quality_flags,
    first_seen_at,
    updated_at
from silver.effective_group_members
where is_present
