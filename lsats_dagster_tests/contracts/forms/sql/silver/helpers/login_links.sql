/*
row = "One employee ID that logins have, and the login that it means."
description = "The rule by which logins and employees belong together, said once. Several logins that are there mean none."
key = ["empl_id"]

[columns]
empl_id = ["text", "Employee ID"]
login_id = ["text", "The one login that is there"]
candidates = ["integer", "Logins that are there"]

[inputs."silver.logins"]
gives = "empl_id"
*/
select
    l.empl_id,
    case when count(*) filter (where l.is_present) = 1 then min(l.login_id) filter (where l.is_present) end as login_id,
    count(*) filter (where l.is_present) as candidates,
    jsonb_build_object('silver.logins', array_agg(l.login_id order by l.login_id collate "C")) as source_keys,
    array['directory'] as source_systems,
    clean.flags(case when count(*) filter (where l.is_present) > 1 then 'several_logins' end) as quality_flags,
    min(l.first_seen_at) as first_seen_at,
    bool_or(l.is_present) as is_present,
    case when not bool_or(l.is_present) then max(l.removed_at) end as removed_at
from silver.logins l
where l.empl_id is not null and (cast(:keys as text[]) is null or l.empl_id = any(cast(:keys as text[])))
group by l.empl_id
