/*
row = "One job of an invented payroll: employee and record."
description = "A key of two columns, asked for by the key that bronze has; another stream says whether the approver is there."
key = ["empl_id", "record"]
scope = "empl_id || ':' || record::text"
dangling = ["unknown_approver"]

[columns]
empl_id = ["text", "Employee ID"]
record = ["integer", "Number of the job"]
job_name = ["text", "Name of the employee"]
title = ["text", "Title"]
approver_id = ["text", "Login of who approves"]

[inputs."bronze.jobs"]

[inputs."bronze.logins"]
joined = "approver_id = external_id"
*/
with cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        clean.text(f."Name") as job_name,
        clean.code(f."Title") as title,
        clean.code(f."Approver") as approver_id
    from bronze.jobs d
    cross join lateral jsonb_to_record(d.payload) f ("Name" jsonb, "Title" jsonb, "Approver" jsonb)
    where cast(:keys as text[]) is null or d.external_id = any(cast(:keys as text[]))
    offset '0'
)

select
    split_part(c.external_id, ':', 1) as empl_id,
    split_part(c.external_id, ':', 2)::integer as record,
    c.job_name,
    c.title,
    c.approver_id,
    c.raw_id,
    c.first_seq,
    array['payroll'] as source_systems,
    clean.flags(
        case when c.title is null then 'missing_title' end,
        case when c.approver_id is not null and l.external_id is null then 'unknown_approver' end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
left join bronze.logins l on c.approver_id = l.external_id and l.is_present
