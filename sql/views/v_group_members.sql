-- Members of groups today. Of people the login name only; the DN of whom no directory knows may hold a name, and is left out.
select
    group_id,
    member_type,
    case when member_type <> 'unknown' then member_key end as member_key,
    member_uniqname,
    member_group_id,
    is_direct_member,
    in_ad,
    in_mcommunity,
    source_systems,
    quality_flags,
    first_seen_at,
    updated_at
from silver.group_members
where is_present
