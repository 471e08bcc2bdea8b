/*
row = "One record of a person in one source, and whose login name it is."
description = """
Says once to whom the records of TeamDynamix, HR, MCommunity and Active Directory belong. Decisions of people come first
(curated.person_links). Else it is the login name that the record has itself; an appointment without one takes that of its
employee from employee_links. Nothing is matched by names, mail addresses or numbers of the directories. A record that belongs to
nobody stands with the reason, and in unlinked_records.
"""
key = ["source_table", "record_key"]
scope = "record_key"
told = ["uniqname", "method", "unlinked_reason", "candidates", "decided_by", "decision_reason"]
about = ["source_table", "record_key"]
candidates = "candidates"

[columns]
source_table = ["text", "Table of the record: tdx_users, umapi_employees, mcommunity_users or ad_users"]
record_key = ["text", "Its key there, as source_keys write keys: empl_id and empl_rcd joined by a colon"]
source_system = ["text", "Source"]
uniqname = ["text", "Login name of whom it belongs to; NULL for nobody"]
method = ["text", "By what it was found: own, appointment, tdx or manual; NULL where it was not, unless people decided so"]
unlinked_reason = ["text", "Why it belongs to nobody: no_uniqname, several_candidates, name_conflict or manual"]
candidates = ["text[]", "Login names between which nothing decides, ascending, or its own where people decided otherwise"]
decided_by = ["text", "Who decided about this record"]
decision_reason = ["text", "Why they decided so"]

[inputs."silver.tdx_users"]
gives = "tdx_user_uid"
keeps = "true"

[inputs."silver.umapi_employees"]
gives = "empl_id || ':' || empl_rcd::text"
keeps = "true"

[inputs."silver.mcommunity_users"]
gives = "uid_number"
keeps = "true"

[inputs."silver.ad_users"]
gives = "ad_user_guid"
keeps = "true"

[inputs."silver.employee_links"]
reach = '''
select e.empl_id || ':' || e.empl_rcd::text
from silver.employee_links l
inner join silver.umapi_employees e on l.empl_id = e.empl_id
where l.changed_seq > :since
union all
select t.tdx_user_uid::text
from silver.employee_links l
inner join silver.tdx_users t on l.empl_id = t.external_id
where l.changed_seq > :since
'''

[inputs."curated.person_links"]
decides = "c.source_table = t.source_table and c.record_key = t.record_key"
*/
with records as (
    select
        'tdx_users' as source_table,
        t.tdx_user_uid::text as record_key,
        case when not 'uniqname_of_another' = any(t.quality_flags) then t.uniqname end as uniqname,
        case when t.uniqname is null or 'uniqname_of_another' = any(t.quality_flags) then t.external_id end as empl_id,
        case when t.uniqname is null then 'no_uniqname' else 'name_conflict' end as missing,
        t.source_systems,
        t.first_seen_at,
        t.is_present,
        t.removed_at
    from silver.tdx_users t
    where cast(:keys as text[]) is null or t.tdx_user_uid::text = any(cast(:keys as text[]))
    union all
    select
        'umapi_employees' as source_table,
        e.empl_id || ':' || e.empl_rcd::text as record_key,
        e.uniqname,
        case when e.uniqname is null then e.empl_id end as empl_id,
        'no_uniqname' as missing,
        e.source_systems,
        e.first_seen_at,
        e.is_present,
        e.removed_at
    from silver.umapi_employees e
    where cast(:keys as text[]) is null or e.empl_id || ':' || e.empl_rcd::text = any(cast(:keys as text[]))
    union all
    select
        'mcommunity_users' as source_table,
        m.uid_number::text as record_key,
        m.uniqname,
        null as empl_id,
        'no_uniqname' as missing,
        m.source_systems,
        m.first_seen_at,
        m.is_present,
        m.removed_at
    from silver.mcommunity_users m
    where cast(:keys as text[]) is null or m.uid_number::text = any(cast(:keys as text[]))
    union all
    select
        'ad_users' as source_table,
        a.ad_user_guid::text as record_key,
        a.uniqname,
        null as empl_id,
        case when a.account_type = 'conflict' then 'name_conflict' else 'no_uniqname' end as missing,
        a.source_systems,
        a.first_seen_at,
        a.is_present,
        a.removed_at
    from silver.ad_users a
    where cast(:keys as text[]) is null or a.ad_user_guid::text = any(cast(:keys as text[]))
),

linked as (
    select
        r.*,
        c.record_key is not null as is_decided,
        c.author,
        c.reason,
        l.empl_id as employee,
        l.candidates,
        case when c.record_key is not null then c.uniqname else coalesce(r.uniqname, l.uniqname) end as owner,
        case when c.record_key is not null then 'manual' when r.uniqname is not null then 'own' else l.method end as method
    from records r
    left join curated.person_links c on r.source_table = c.source_table and r.record_key = c.record_key
    left join silver.employee_links l
        on r.empl_id = l.empl_id and c.record_key is null
        and (r.source_table = 'umapi_employees' or r.record_key = l.tdx_user_uid::text)
)

select
    r.source_table,
    r.record_key,
    r.source_systems[1] as source_system,
    r.owner as uniqname,
    r.method,
    case
        when r.owner is not null then null
        when r.method = 'manual' then 'manual'
        when cardinality(r.candidates) > 1 then 'several_candidates'
        else r.missing
    end as unlinked_reason,
    case
        when r.uniqname <> coalesce(r.owner, '') then array[r.uniqname]
        when r.owner is null then coalesce(r.candidates, '{}')
        else '{}'
    end as candidates,
    r.author as decided_by,
    r.reason as decision_reason,
    jsonb_strip_nulls(jsonb_build_object(
        'silver.' || r.source_table, array[r.record_key],
        'silver.employee_links', case when r.employee is not null then array[r.employee] end
    )) as source_keys,
    r.source_systems,
    clean.flags(
        case when r.owner is null then 'unlinked' end,
        case when r.is_decided then 'linked_by_hand' end
    ) as quality_flags,
    r.first_seen_at,
    r.is_present,
    r.removed_at
from linked r
