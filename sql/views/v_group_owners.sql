-- Owners and managers of groups today. Of people the login name only, as in silver.v_group_members.
select
    group_id,
    owner_kind,
    owner_type,
    case when owner_type <> 'unknown' then owner_key end as owner_key,
    owner_uniqname,
    owner_group_id,
    source_systems,
    quality_flags,
    first_seen_at,
    updated_at
from silver.group_owners
where is_present
