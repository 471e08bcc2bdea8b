/*
row = "One employee of HR, by employee ID, and whose login name it is."
description = """
Said once, for appointments without a login name and for supervisors. Decisions of people come first (curated.person_links).
Else it is the one login name that the appointments have: those that are present; when none is, all. Where they have none, it is
that of the one TeamDynamix user with this employee ID. Several mean nobody, and all of them stay among the contributors: when
one goes elsewhere, the other is linked.
"""
key = ["empl_id"]
indexes = ["uniqname"]
told = ["uniqname", "method", "candidates"]

[columns]
empl_id = ["text", "Employee ID (UMID)"]
uniqname = ["text", "Login name of the employee; NULL where none is found, or several"]
method = ["text", "By what it was found: appointment, tdx or manual; NULL where it was not, unless people decided so"]
candidates = ["text[]", "Login names that were found, ascending"]
tdx_user_uid = ["uuid", "The one TeamDynamix user with this employee ID; NULL where there is none, or several"]

[inputs."silver.umapi_employees"]
gives = "empl_id"

[inputs."silver.tdx_users"]
gives = "external_id"

[inputs."curated.person_links"]
*/
with appointments as (
    select
        e.empl_id,
        e.empl_id || ':' || e.empl_rcd::text as record_key,
        c.record_key is not null as is_decided,
        case when c.record_key is not null then c.uniqname else e.uniqname end as uniqname,
        e.is_present or not bool_or(e.is_present) over (partition by e.empl_id) as speaks,
        e.first_seen_at,
        e.is_present,
        e.removed_at
    from silver.umapi_employees e
    left join curated.person_links c
        on c.source_table = 'umapi_employees' and e.empl_id || ':' || e.empl_rcd::text = c.record_key
    where cast(:keys as text[]) is null or e.empl_id = any(cast(:keys as text[]))
),

employees as (
    select
        a.empl_id,
        coalesce(
            clean.sorted(array_agg(a.uniqname) filter (where a.speaks and a.is_decided)),
            clean.sorted(array_agg(a.uniqname) filter (where a.speaks))
        ) as names,
        bool_and(a.is_decided) filter (where a.speaks)
        or bool_or(a.uniqname is not null and a.is_decided) filter (where a.speaks) as is_decided,
        clean.sorted(array_agg(a.record_key)) as hr_keys,
        min(a.first_seen_at) as first_seen_at,
        bool_or(a.is_present) as is_present,
        max(a.removed_at) as removed_at
    from appointments a
    group by a.empl_id
),

users as (
    select
        t.external_id as empl_id,
        t.tdx_user_uid,
        case
            when c.record_key is not null then c.uniqname
            when not 'uniqname_of_another' = any(t.quality_flags) then t.uniqname
        end as uniqname,
        t.is_present or not bool_or(t.is_present) over (partition by t.external_id) as speaks
    from silver.tdx_users t
    left join curated.person_links c on c.source_table = 'tdx_users' and t.tdx_user_uid::text = c.record_key
    where t.external_id is not null and (cast(:keys as text[]) is null or t.external_id = any(cast(:keys as text[])))
),

accounts as (
    select
        u.empl_id,
        clean.sorted(array_agg(u.uniqname) filter (where u.speaks)) as candidates,
        case
            when count(*) filter (where u.speaks) = 1 then (array_agg(u.tdx_user_uid) filter (where u.speaks))[1]
        end as tdx_user_uid,
        array_agg(u.tdx_user_uid order by u.tdx_user_uid) as tdx_keys
    from users u
    group by u.empl_id
),

found as (
    select
        e.*,
        t.tdx_user_uid,
        t.tdx_keys,
        -- TeamDynamix is asked only where HR says nothing, and people have decided nothing.
        coalesce(e.names, case when not e.is_decided then t.candidates end, '{}') as candidates
    from employees e
    left join accounts t on e.empl_id = t.empl_id
)

select
    f.empl_id,
    case when cardinality(f.candidates) = 1 then f.candidates[1] end as uniqname,
    case
        when f.is_decided then 'manual'
        when cardinality(f.candidates) = 1 and f.names is not null then 'appointment'
        when cardinality(f.candidates) = 1 then 'tdx'
    end as method,
    f.candidates,
    f.tdx_user_uid,
    jsonb_strip_nulls(jsonb_build_object('silver.tdx_users', f.tdx_keys, 'silver.umapi_employees', f.hr_keys)) as source_keys,
    array_remove(array[case when f.tdx_keys is not null then 'tdx' end, 'umich_api'], null) as source_systems,
    clean.flags(
        case when cardinality(f.candidates) = 0 then 'no_uniqname' end,
        case when cardinality(f.candidates) > 1 then 'several_candidates' end
    ) as quality_flags,
    f.first_seen_at,
    f.is_present,
    case when not f.is_present then f.removed_at end as removed_at
from found f
