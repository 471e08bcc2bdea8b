/*
row = "One team: the employees of one title."
description = "Merged from a merged table; the one of the lowest employee ID leads it."
key = ["team"]
sources = {w = "payroll", k = "directory"}

[columns]
team = ["text", "Title"]
lead_id = ["text", "Employee who leads"]
lead_name = ["text", "Name of who leads, else the login"]
lead_candidates = ["integer", "Logins that have the employee ID of who leads"]
size = ["integer", "Employees that are there"]

[inputs."silver.workers"]
gives = "team"

[inputs."silver.login_links"]
joined = "lead_id = empl_id"
*/
with workers as (
    select * from silver.workers
    where team is not null and (cast(:keys as text[]) is null or team = any(cast(:keys as text[])))
),

teams as (
    select
        w.team,
        bool_or(w.is_present) as is_present,
        min(w.first_seen_at) as first_seen_at,
        max(w.removed_at) as removed_at,
        count(*) filter (where w.is_present) as size,
        array_agg(w.empl_id order by w.empl_id collate "C") as worker_keys
    from workers w
    group by w.team
),

leads as (
    select
        w.*,
        row_number() over (partition by w.team order by w.empl_id collate "C") as preference
    from workers w
    inner join teams t on w.team = t.team
    where w.is_present or not t.is_present
)

select
    t.team,
    w.empl_id as lead_id,
    coalesce(w.worker_name, k.login_id) as lead_name,
    k.candidates as lead_candidates,
    t.size,
    jsonb_strip_nulls(jsonb_build_object(
        'silver.workers', t.worker_keys, 'silver.login_links', case when k.empl_id is not null then array[k.empl_id] end
    )) as source_keys,
    :field_sources as field_sources,
    array_remove(array[case when k.empl_id is not null then 'directory' end, 'payroll'], null) as source_systems,
    clean.flags(case when coalesce(w.worker_name, k.login_id) is null then 'no_lead' end) as quality_flags,
    t.first_seen_at,
    t.is_present,
    case when not t.is_present then t.removed_at end as removed_at
from teams t
inner join leads w on t.team = w.team and w.preference = 1
left join silver.login_links k on w.empl_id = k.empl_id and (k.is_present or not t.is_present)
-- A SELECT may end in a comment.
