/*
row = "One employee, merged from payroll and directory."
description = """
The job of the lowest record speaks. Two logins with one employee ID link nobody, and stay among the contributors: when one of
them goes elsewhere, the other is linked.
"""
key = ["empl_id"]
sources = {l = "directory", j = "payroll", a = "directory"}
computed_from = {is_active = ["l", "j"]}

[columns]
empl_id = ["text", "Employee ID"]
worker_name = ["text", "Name: directory before payroll"]
team = ["text", "Title of the job"]
record = ["integer", "Number of the job that speaks"]
login_id = ["text", "Login, where there is exactly one"]
approver_id = ["text", "Login of who approves"]
approver_name = ["text", "Name of who approves"]
is_active = ["boolean", "Has a job or a login"]

[inputs."silver.jobs"]
gives = "empl_id"

[inputs."silver.logins"]
gives = "empl_id"
joined = "approver_id = login_id"
*/
with jobs as (
    select * from silver.jobs
    where cast(:keys as text[]) is null or empl_id = any(cast(:keys as text[]))
),

logins as (
    select * from silver.logins
    where empl_id is not null and (cast(:keys as text[]) is null or empl_id = any(cast(:keys as text[])))
),

people as (
    select
        s.empl_id,
        bool_or(s.is_present) as is_present,
        min(s.first_seen_at) as first_seen_at,
        max(s.removed_at) as removed_at,
        array_agg(s.job_key order by s.job_key collate "C") filter (where s.job_key is not null) as job_keys,
        array_agg(s.login_id order by s.login_id collate "C") filter (where s.login_id is not null) as login_keys
    from (
        select
            j.empl_id,
            j.empl_id || ':' || j.record::text as job_key,
            null as login_id,
            j.is_present,
            j.first_seen_at,
            j.removed_at
        from jobs j
        union all
        select
            l.empl_id,
            null as job_key,
            l.login_id,
            l.is_present,
            l.first_seen_at,
            l.removed_at
        from logins l
    ) s
    group by s.empl_id
),

speaking_jobs as (
    select
        j.*,
        row_number() over (partition by j.empl_id order by j.record) as preference
    from jobs j
    inner join people p on j.empl_id = p.empl_id
    where j.is_present or not p.is_present
),

speaking_logins as (
    select
        l.*,
        count(*) over (partition by l.empl_id) as candidates
    from logins l
    inner join people p on l.empl_id = p.empl_id
    where l.is_present or not p.is_present
)

select
    p.empl_id,
    coalesce(l.login_name, j.job_name) as worker_name,
    j.title as team,
    j.record,
    l.login_id,
    j.approver_id,
    a.login_name as approver_name,
    p.is_present and (l.login_id is not null or j.empl_id is not null) as is_active,
    jsonb_strip_nulls(
        jsonb_build_object('silver.jobs', p.job_keys, 'silver.logins', p.login_keys)
    ) as source_keys,
    :field_sources as field_sources,
    array_remove(array[
        case when l.login_id is not null then 'directory' end,
        case when j.empl_id is not null then 'payroll' end
    ], null) as source_systems,
    clean.flags(
        case when l.login_id is null and p.login_keys is not null then 'several_logins' end,
        case when j.empl_id is null then 'no_job' end,
        case when coalesce(l.login_name, j.job_name) is null then 'missing_name' end
    ) as quality_flags,
    p.first_seen_at,
    p.is_present,
    case when not p.is_present then p.removed_at end as removed_at
from people p
left join speaking_jobs j on p.empl_id = j.empl_id and j.preference = 1
left join speaking_logins l on p.empl_id = l.empl_id and l.candidates = 1
left join silver.logins a on j.approver_id = a.login_id and a.is_present
