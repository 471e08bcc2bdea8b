/*
row = "One login, and the person that it seems to belong to."
description = "Logins that share an alias, or else a name, are one person, unless that would give the person two employee IDs."
key = ["login_id"]
whole = true

[columns]
login_id = ["text", "Login"]
person_id = ["text", "First login of the person; NULL for a login that is gone"]
refused = ["text[]", "What it shares with somebody else"]

[inputs."silver.logins"]

[[steps]]
name = "linked"
nodes = '''
select
    login_id,
    row_number() over (order by login_id collate "C") as rank,
    empl_id,
    array_remove(array['alias ' || alias, 'name ' || login_name], null) as evidence,
    array_remove(array[case when alias is not null then 3 end, case when login_name is not null then 1 end], null) as weights
from silver.logins
where is_present
'''
run = "linked_groups"
columns = {login_id = "text", person_id = "text", refused = "text[]"}
*/
select
    l.login_id,
    p.person_id,
    coalesce(p.refused, '{}') as refused,
    jsonb_build_object('silver.logins', array_agg(l.login_id) over person) as source_keys,
    array['directory'] as source_systems,
    clean.flags(case when p.refused <> '{}' then 'refused_evidence' end) as quality_flags,
    l.first_seen_at,
    l.is_present,
    l.removed_at
from silver.logins l
left join linked p on l.login_id = p.login_id
window person as (
    partition by coalesce(p.person_id, l.login_id)
    order by l.login_id collate "C"
    rows between unbounded preceding and unbounded following
)
