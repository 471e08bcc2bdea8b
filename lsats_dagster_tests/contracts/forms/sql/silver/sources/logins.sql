/*
row = "One login of an invented directory."
description = "Two classes that overlap: logins with one alias, and logins with one employee ID, are computed together."
key = ["login_id"]
classes = ["alias", "empl_id"]

[columns]
login_id = ["text", "Login"]
empl_id = ["text", "Employee ID"]
alias = ["text", "Alias; several logins may have it"]
login_name = ["text", "Name"]

[inputs."bronze.logins"]
*/
with cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        clean.code(f."EmplId") as empl_id,
        clean.code(f."Alias") as alias,
        clean.text(f."Name") as login_name
    from bronze.logins d
    cross join lateral jsonb_to_record(d.payload) f ("EmplId" jsonb, "Alias" jsonb, "Name" jsonb)
    where cast(:keys as text[]) is null or d.external_id = any(cast(:keys as text[]))
    offset '0'
),

shared as (
    select
        c.external_id,
        count(*) over (partition by c.alias) as of_alias,
        count(*) over (partition by c.empl_id) as of_empl_id
    from cleaned c
    where c.is_present
)

select
    c.external_id as login_id,
    c.empl_id,
    c.alias,
    c.login_name,
    c.raw_id,
    c.first_seq,
    array['directory'] as source_systems,
    clean.flags(
        case when c.login_name is null then 'missing_name' end,
        case when c.alias is not null and s.of_alias > 1 then 'duplicate_alias' end,
        case when c.empl_id is not null and s.of_empl_id > 1 then 'duplicate_empl_id' end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
left join shared s on c.external_id = s.external_id
