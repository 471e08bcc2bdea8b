/*
row = "One holder of a login, by uniqname, merged from TeamDynamix, HR (UMich API), MCommunity and Active Directory."
description = """
Whom a record belongs to is said in person_records; everybody of it has a row here, alumni and services too. Of several records
of one source one speaks: one that is present; in TeamDynamix an active one, then the lowest UID; in Active Directory the primary
account, then an enabled one, then the latest change, then the lowest GUID; in MCommunity the lowest uidNumber; in HR the lowest
record number of the lowest employee ID, from which comes everything of the job. A source that lost the person gives no values
while another still has them; when all have, the row keeps its last values with is_present = false, and the person is neither
active nor an employee. Only is_private also comes from what sources have lost. What is missing counts where it is expected:
department, title, HR and TeamDynamix of employees, names and mail address of persons.
"""
key = ["uniqname"]
indexes = [
    "tdx_user_uid", "umich_empl_id", "ldap_uid_number", "ad_object_guid", "primary_supervisor_uniqname",
]
dangling = ["unknown_department"]
sources = {t = "tdx", u = "umich_api", m = "mcommunity_ldap", a = "active_directory", o = "tdx"}

[computed_from]
full_name = ["t", "u", "m", "a"]
preferred_name = ["t", "m", "u", "a"]
is_active = ["u", "t", "a", "m"]
is_employee = ["u", "t"]
person_type = ["u", "m", "a"]
account_type = ["u", "m", "a"]
is_private = ["t", "a"]

[columns]
uniqname = ["text", "Login name in lower case"]
tdx_user_uid = ["uuid", "UID in TeamDynamix, to write back to"]
umich_empl_id = ["text", "Employee ID (UMID) of the primary appointment"]
umich_empl_ids = ["jsonb", "All employee IDs, ascending; more than one is flagged"]
ldap_uid_number = ["bigint", "uidNumber: MCommunity before Active Directory"]
ldap_gid_number = ["bigint", "Number of the primary group: MCommunity before Active Directory"]
ad_object_guid = ["uuid", "objectGUID of the account in Active Directory"]
ad_sam_account_name = ["text", "Account name in Active Directory"]
ad_object_sid = ["text", "SID of that account"]
ad_account_locked = ["boolean", "Whether that account is locked"]
ad_last_logon = ["timestamp with time zone", "Its last login at one controller, as of the last change of content"]
ad_last_logon_timestamp = ["timestamp with time zone", "Its last login, late by up to two weeks, as of the last change of content"]
ad_pwd_last_set = ["timestamp with time zone", "When its password was set, as of the last change of content"]
ou_department_ids = ["jsonb", "Department codes of its units; no source gives any, so always []"]
ad_parent_ou_dn = ["text", "DN of the unit that the account stands in"]
ad_primary_group_id = ["integer", "RID of its primary group; 513 is that of all users"]
tdx_security_role_id = ["uuid", "Security role in TeamDynamix"]
tdx_is_confidential = ["boolean", "Whether TeamDynamix calls the person confidential"]
first_name = ["text", "First name: TeamDynamix, HR, MCommunity, Active Directory"]
last_name = ["text", "Last name, in the same order"]
full_name = ["text", "Last, First where both are known; else as MCommunity, else as Active Directory has it"]
preferred_name = ["text", "Name as TeamDynamix, else MCommunity shows it; else First Last"]
primary_email = ["text", "Mail address: TeamDynamix, MCommunity, Active Directory"]
work_phone = ["text", "Work phone: TeamDynamix, HR, MCommunity, Active Directory"]
work_phone_extension = ["text", "Extension by HR, where the work phone is that of HR"]
work_address_line1 = ["text", "First line of the work address: HR's address; where HR has none, that of TeamDynamix"]
work_address_line2 = ["text", "Second line, of the same address"]
work_address_line3 = ["text", "Third line, of the same address"]
work_city = ["text", "City, of the same address"]
work_state = ["text", "State, of the same address"]
work_postal_code = ["text", "Postal code, a text, of the same address"]
work_country = ["text", "Country, of the same address"]
mobile_phone = ["text", "Mobile phone: TeamDynamix before Active Directory"]
department_id = ["text", "Department code: HR's of the primary appointment, else that of the TeamDynamix account"]
department_name = ["text", "Its name, as in silver.departments"]
department_ids = ["jsonb", "Departments of all appointments: {dept_id, dept_name, empl_rcd}, the primary first"]
job_title = ["text", "Title: university's, then department's by HR, MCommunity, TeamDynamix, Active Directory"]
department_job_title = ["text", "Title as the department has it, by HR"]
primary_job_code = ["text", "Job code of the primary appointment"]
job_codes = ["jsonb", "Jobs of all appointments: {job_code, dept_job_title, empl_rcd}, the primary first"]
primary_supervisor_id = ["text", "Employee ID of the supervisor, by the primary appointment"]
primary_supervisor_uniqname = ["text", "Login name of the supervisor, by employee_links"]
supervisor_ids = ["jsonb", "Supervisors of all appointments: {empl_id, empl_rcd, uniqname}, that of the primary first"]
reports_to_uid = ["uuid", "UID of the manager, by TeamDynamix"]
is_pi = ["boolean", "Whether the person is a principal investigator: by an award, or by a unit of Active Directory"]
is_active = ["boolean", "Has an appointment, is active in TeamDynamix, has an enabled account or an affiliation other than Alumni"]
is_employee = ["boolean", "Has an appointment; without one, whether TeamDynamix calls the person an employee"]
ad_account_disabled = ["boolean", "Whether the account in Active Directory is disabled; NULL without one"]
mcommunity_ou_affiliations = ["jsonb", "Affiliations in MCommunity, such as a department - Faculty and Staff"]
ad_ou_root = ["text", "Unit of the account on the first level"]
ad_ou_organization = ["text", "Organization, by the units of the account"]
ad_ou_department = ["text", "Department, by the units of the account"]
ad_ou_full_path = ["jsonb", "Units from the one that the account stands in to the root"]
ad_group_memberships = ["jsonb", "DNs of groups of the account, as of the last read of everything; group_members is the newer"]
tdx_group_ids = ["jsonb", "Groups in TeamDynamix"]
tdx_external_id = ["text", "Employee ID that TeamDynamix has"]
tdx_beid = ["text", "Organization in TeamDynamix"]
tdx_security_role_name = ["text", "Name of the security role in TeamDynamix"]
home_directory = ["text", "Home directory: MCommunity before Active Directory"]
login_shell = ["text", "Shell: MCommunity before Active Directory"]
tdx_is_employee = ["boolean", "Whether TeamDynamix calls the person an employee"]
source_entity_id = ["text", "Same as uniqname, for readers of the older name"]
person_type = ["text", "employee, student, affiliate, alumni or other, by appointment and affiliations"]
account_type = ["text", "person, service or test, by directories, HR and login name"]
is_private = ["boolean", "Whether a record that is or was there asks for privacy; readers see only the uniqname then"]
pi_source = ["text", "What makes the person a principal investigator: award, ou or award+ou; NULL for others"]

[inputs."silver.person_records"]
gives = "uniqname"
keeps = "uniqname is not null"

[inputs."silver.tdx_users"]
reach = '''
select r.uniqname
from silver.tdx_users t
inner join silver.person_records r on t.tdx_user_uid::text = r.record_key and r.source_table = 'tdx_users'
where t.changed_seq > :since
'''

[inputs."silver.umapi_employees"]
reach = '''
select r.uniqname
from silver.umapi_employees t
inner join silver.person_records r on t.empl_id || ':' || t.empl_rcd::text = r.record_key and r.source_table = 'umapi_employees'
where t.changed_seq > :since
'''

[inputs."silver.mcommunity_users"]
reach = '''
select r.uniqname
from silver.mcommunity_users t
inner join silver.person_records r on t.uid_number::text = r.record_key and r.source_table = 'mcommunity_users'
where t.changed_seq > :since
'''

[inputs."silver.ad_users"]
reach = '''
select r.uniqname
from silver.ad_users t
inner join silver.person_records r on t.ad_user_guid::text = r.record_key and r.source_table = 'ad_users'
where t.changed_seq > :since
'''

[inputs."silver.employee_links"]
# Those whom the employee supervises.
reach = '''
select r.uniqname
from silver.employee_links l
inner join silver.umapi_employees e on l.empl_id = e.supervisor_id
inner join silver.person_records r
    on e.empl_id || ':' || e.empl_rcd::text = r.record_key and r.source_table = 'umapi_employees'
where l.changed_seq > :since
'''

[inputs."silver.departments"]
joined = "department_id = dept_id"

# Awards and units make nobody be there.
[inputs."silver.lab_awards"]
reach = "select w.person_uniqname from silver.lab_awards w where w.changed_seq > :since"

[inputs."silver.ad_organizational_units"]
reach = "select o.extracted_uniqname from silver.ad_organizational_units o where o.changed_seq > :since"
*/
with owned as not materialized (
    select * from silver.person_records
    where uniqname is not null and (cast(:keys as text[]) is null or uniqname = any(cast(:keys as text[])))
),

records as (
    select
        r.uniqname,
        r.source_table,
        r.record_key,
        r.method,
        r.is_present as is_there,
        r.first_seen_at,
        r.removed_at,
        t.is_present,
        t.is_active as is_preferred,
        null::boolean as is_enabled,
        null::timestamptz as changed_at,
        t.is_confidential as is_private
    from owned r
    inner join silver.tdx_users t on r.record_key = t.tdx_user_uid::text
    where r.source_table = 'tdx_users'
    union all
    select
        r.uniqname,
        r.source_table,
        r.record_key,
        r.method,
        r.is_present as is_there,
        r.first_seen_at,
        r.removed_at,
        e.is_present,
        null as is_preferred,
        null as is_enabled,
        null as changed_at,
        null as is_private
    from owned r
    inner join silver.umapi_employees e on r.record_key = e.empl_id || ':' || e.empl_rcd::text
    where r.source_table = 'umapi_employees'
    union all
    select
        r.uniqname,
        r.source_table,
        r.record_key,
        r.method,
        r.is_present as is_there,
        r.first_seen_at,
        r.removed_at,
        m.is_present,
        null as is_preferred,
        null as is_enabled,
        null as changed_at,
        null as is_private
    from owned r
    inner join silver.mcommunity_users m on r.record_key = m.uid_number::text
    where r.source_table = 'mcommunity_users'
    union all
    select
        r.uniqname,
        r.source_table,
        r.record_key,
        r.method,
        r.is_present as is_there,
        r.first_seen_at,
        r.removed_at,
        a.is_present,
        a.is_primary_account as is_preferred,
        a.is_enabled,
        a.when_changed as changed_at,
        a.hide_personal_info as is_private
    from owned r
    inner join silver.ad_users a on r.record_key = a.ad_user_guid::text
    where r.source_table = 'ad_users'
),

-- Of each source the first speaks.
ranked as (
    select
        r.*,
        row_number() over (
            partition by r.uniqname
            order by
                r.is_present desc,
                r.is_preferred desc nulls last,
                r.is_enabled desc nulls last,
                r.changed_at desc nulls last,
                length(r.record_key) asc,
                r.record_key collate "C" asc -- noqa: RF03
        ) as place
    from records r
),

people as (
    select
        r.uniqname,
        bool_or(r.is_there) as is_present,
        min(r.first_seen_at) as first_seen_at,
        max(r.removed_at) as removed_at,
        bool_or(r.is_private) as is_private,
        bool_or(r.method = 'manual') as is_linked_by_hand,
        count(*) filter (where r.source_table = 'tdx_users' and r.is_present) as present_tdx,
        count(*) filter (where r.source_table = 'mcommunity_users' and r.is_present) as present_mcommunity,
        count(*) filter (where r.source_table = 'ad_users' and r.is_present) as present_ad,
        array_agg(r.source_table || ':' || r.record_key order by r.place) as record_keys,
        array_agg(r.record_key order by r.place) filter (where r.source_table = 'tdx_users') as tdx_keys,
        array_agg(r.record_key order by r.place) filter (where r.source_table = 'umapi_employees') as hr_keys,
        array_agg(r.record_key order by r.place) filter (where r.source_table = 'mcommunity_users') as mcommunity_keys,
        array_agg(r.record_key order by r.place) filter (where r.source_table = 'ad_users') as ad_keys
    from ranked r
    group by r.uniqname
),

appointments as (
    select
        r.uniqname,
        e.empl_id,
        e.empl_rcd,
        e.department_id,
        e.dept_description,
        e.jobcode,
        e.department_job_title,
        e.supervisor_id,
        l.empl_id as known_supervisor_id,
        l.uniqname as supervisor_uniqname,
        e.is_present or not bool_or(e.is_present) over (partition by r.uniqname) as speaks,
        row_number() over (
            partition by r.uniqname order by length(r.record_key), r.record_key collate "C" -- noqa: RF02
        ) as place
    from owned r
    inner join silver.umapi_employees e on r.record_key = e.empl_id || ':' || e.empl_rcd::text
    left join silver.employee_links l on e.supervisor_id = l.empl_id and l.is_present
    where r.source_table = 'umapi_employees'
),

jobs as (
    select
        a.uniqname,
        clean.sorted(array_agg(a.empl_id)) as empl_ids,
        clean.sorted(array_agg(a.known_supervisor_id)) as supervisor_keys,
        jsonb_agg(
            jsonb_build_object('dept_id', a.department_id, 'dept_name', a.dept_description, 'empl_rcd', a.empl_rcd)
            order by a.place
        ) filter (where a.department_id is not null) as department_ids,
        jsonb_agg(
            jsonb_build_object('job_code', a.jobcode, 'dept_job_title', a.department_job_title, 'empl_rcd', a.empl_rcd)
            order by a.place
        ) filter (where a.jobcode is not null) as job_codes,
        jsonb_agg(
            jsonb_build_object('empl_id', a.supervisor_id, 'empl_rcd', a.empl_rcd, 'uniqname', a.supervisor_uniqname)
            order by a.place
        ) filter (where a.supervisor_id is not null) as supervisor_ids
    from appointments a
    where a.speaks
    group by a.uniqname
),

awards as (
    select
        w.person_uniqname as uniqname,
        bool_or(w.is_pi_role) as is_pi,
        clean.sorted(array_agg(w.award_record_id)) as award_keys
    from silver.lab_awards w
    where
        w.is_present
        and w.person_uniqname is not null
        and (cast(:keys as text[]) is null or w.person_uniqname = any(cast(:keys as text[])))
    group by w.person_uniqname
),

-- Units so deep are those of one lab.
units as (
    select
        d.extracted_uniqname as uniqname,
        array_agg(d.object_guid order by d.object_guid) as unit_keys
    from silver.ad_organizational_units d
    where
        d.is_present
        and d.ou_depth >= 8
        and d.extracted_uniqname is not null
        and (cast(:keys as text[]) is null or d.extracted_uniqname = any(cast(:keys as text[])))
    group by d.extracted_uniqname
)

select
    p.uniqname,
    t.tdx_user_uid,
    u.empl_id as umich_empl_id,
    coalesce(to_jsonb(j.empl_ids), '[]') as umich_empl_ids,
    coalesce(m.uid_number, a.uid_number) as ldap_uid_number,
    coalesce(m.gid_number, a.gid_number) as ldap_gid_number,
    a.ad_user_guid as ad_object_guid,
    a.sam_account_name as ad_sam_account_name,
    a.object_sid as ad_object_sid,
    a.is_locked as ad_account_locked,
    a.last_logon as ad_last_logon,
    a.last_logon_timestamp as ad_last_logon_timestamp,
    a.pwd_last_set as ad_pwd_last_set,
    '[]'::jsonb as ou_department_ids,
    a.parent_ou_dn as ad_parent_ou_dn,
    a.primary_group_id as ad_primary_group_id,
    t.security_role_id as tdx_security_role_id,
    t.is_confidential as tdx_is_confidential,
    coalesce(t.first_name, u.first_name, m.first_name, a.first_name) as first_name,
    coalesce(t.last_name, u.last_name, m.last_name, a.last_name) as last_name,
    case
        when n.first_name is not null and n.last_name is not null then n.last_name || ', ' || n.first_name
        else coalesce(m.full_name, a.full_name)
    end as full_name,
    case
        when t.preferred_name is null and m.preferred_name is null
            then nullif(concat_ws(' ', n.first_name, n.last_name), '')
        else coalesce(t.preferred_name, m.preferred_name)
    end as preferred_name,
    coalesce(t.primary_email, m.primary_email, a.primary_email) as primary_email,
    coalesce(t.work_phone, u.work_phone, m.work_phone, a.work_phone) as work_phone,
    case when coalesce(t.work_phone, u.work_phone) = u.work_phone then u.work_location ->> 'phone_extension' end
        as work_phone_extension,
    coalesce(u.work_address_line1, o.work_address) as work_address_line1,
    u.work_address_line2,
    u.work_location ->> 'address3' as work_address_line3,
    coalesce(u.work_city, o.work_city) as work_city,
    coalesce(u.work_state, o.work_state) as work_state,
    coalesce(u.work_postal_code, o.work_zip) as work_postal_code,
    coalesce(u.work_country, o.work_country) as work_country,
    coalesce(t.mobile_phone, a.mobile_phone) as mobile_phone,
    coalesce(u.department_id, t.department_id) as department_id,
    d.department_name,
    coalesce(j.department_ids, '[]') as department_ids,
    coalesce(u.university_job_title, u.department_job_title, m.umich_title, t.title, a.title) as job_title,
    u.department_job_title,
    u.jobcode as primary_job_code,
    coalesce(j.job_codes, '[]') as job_codes,
    u.supervisor_id as primary_supervisor_id,
    s.uniqname as primary_supervisor_uniqname,
    coalesce(j.supervisor_ids, '[]') as supervisor_ids,
    t.reports_to_uid,
    i.pi_source is not null as is_pi,
    p.is_present
    and (
        (u.is_present or t.is_active or a.is_enabled) is true
        or (m.uid_number is not null and n.person_type not in ('alumni', 'other'))
    ) as is_active,
    n.is_employee,
    not a.is_enabled as ad_account_disabled,
    coalesce(m.ou, '[]') as mcommunity_ou_affiliations,
    a.ou_root as ad_ou_root,
    a.ou_organization as ad_ou_organization,
    a.ou_department as ad_ou_department,
    coalesce(a.ou_full_path, '[]') as ad_ou_full_path,
    coalesce(a.member_of, '[]') as ad_group_memberships,
    coalesce(t.group_ids, '[]') as tdx_group_ids,
    t.external_id as tdx_external_id,
    t.beid as tdx_beid,
    t.security_role_name as tdx_security_role_name,
    coalesce(m.home_directory, a.home_directory) as home_directory,
    coalesce(m.login_shell, a.login_shell) as login_shell,
    t.is_employee as tdx_is_employee,
    p.uniqname as source_entity_id,
    n.person_type,
    n.account_type,
    coalesce(p.is_private, false) as is_private,
    i.pi_source,
    jsonb_strip_nulls(jsonb_build_object(
        'silver.ad_organizational_units', k.unit_keys,
        'silver.ad_users', p.ad_keys,
        'silver.employee_links', j.supervisor_keys,
        'silver.lab_awards', w.award_keys,
        'silver.mcommunity_users', p.mcommunity_keys,
        'silver.person_records', p.record_keys,
        'silver.tdx_users', p.tdx_keys,
        'silver.umapi_employees', p.hr_keys
    )) as source_keys,
    :field_sources as field_sources,
    array_remove(array[
        case when a.ad_user_guid is not null then 'active_directory' end,
        case when m.uid_number is not null then 'mcommunity_ldap' end,
        case when t.tdx_user_uid is not null then 'tdx' end,
        case when u.empl_id is not null then 'umich_api' end
    ], null) as source_systems,
    clean.flags(
        case
            when n.account_type = 'person' and num_nonnulls(t.primary_email, m.primary_email, a.primary_email) = 0
                then 'missing_email'
        end,
        case when n.account_type = 'person' and num_nulls(n.first_name, n.last_name) > 0 then 'missing_name' end,
        case
            when n.person_type = 'employee' and num_nonnulls(u.department_id, t.department_id) = 0 then 'missing_department'
        end,
        case
            when
                n.person_type = 'employee'
                and i.pi_source is null
                and num_nonnulls(u.university_job_title, u.department_job_title, m.umich_title, t.title, a.title) = 0
                then 'missing_job_title'
        end,
        case when n.person_type = 'employee' and u.empl_id is null then 'not_umapi_employee' end,
        case when n.person_type = 'employee' and t.tdx_user_uid is null then 'no_tdx_record' end,
        case when n.person_type <> 'alumni' and not a.is_enabled then 'ad_disabled' end,
        case
            when
                n.person_type <> 'alumni'
                and m.uid_number is not null
                and num_nonnulls(t.tdx_user_uid, u.empl_id, a.ad_user_guid) = 0
                then 'mcom_only'
        end,
        case
            when
                clean.differ(n.last_name, u.last_name)
                or clean.differ(n.last_name, m.last_name)
                or clean.differ(n.last_name, a.last_name)
                then 'name_mismatch'
        end,
        case
            when
                t.primary_email <> m.primary_email or t.primary_email <> a.primary_email or m.primary_email <> a.primary_email
                then 'email_mismatch'
        end,
        case when u.department_id <> t.department_id then 'department_mismatch' end,
        case
            when num_nonnulls(u.department_id, t.department_id) > 0 and d.is_present is not true then 'unknown_department'
        end,
        case when u.supervisor_id is not null and s.empl_id is null then 'unknown_supervisor' end,
        case when s.empl_id is not null and s.uniqname is null then 'supervisor_without_uniqname' end,
        case when p.present_tdx > 1 then 'several_tdx_users' end,
        case when p.present_mcommunity > 1 then 'several_mcommunity_entries' end,
        case when p.present_ad > 1 then 'several_ad_accounts' end,
        case when cardinality(j.empl_ids) > 1 then 'several_employee_ids' end,
        case when p.is_linked_by_hand then 'linked_by_hand' end
    ) as quality_flags,
    p.first_seen_at,
    p.is_present,
    case when not p.is_present then p.removed_at end as removed_at
from people p
-- A source that lost the person speaks only when no other source has them any more.
left join silver.tdx_users t on p.tdx_keys[1] = t.tdx_user_uid::text and (t.is_present or not p.is_present)
left join silver.umapi_employees u
    on p.hr_keys[1] = u.empl_id || ':' || u.empl_rcd::text and (u.is_present or not p.is_present)
left join silver.mcommunity_users m on p.mcommunity_keys[1] = m.uid_number::text and (m.is_present or not p.is_present)
left join silver.ad_users a on p.ad_keys[1] = a.ad_user_guid::text and (a.is_present or not p.is_present)
left join jobs j on p.uniqname = j.uniqname and u.empl_id is not null
-- An address comes from one source as a whole.
left join silver.tdx_users o
    on
        t.tdx_user_uid = o.tdx_user_uid
        and num_nonnulls(u.work_address_line1, u.work_address_line2, u.work_city, u.work_state, u.work_postal_code) = 0
left join silver.departments d on coalesce(u.department_id, t.department_id) = d.dept_id
left join silver.employee_links s on u.supervisor_id = s.empl_id and s.is_present
left join awards w on p.uniqname = w.uniqname
left join units k on p.uniqname = k.uniqname
cross join lateral (
    values (
        coalesce(t.first_name, u.first_name, m.first_name, a.first_name),
        coalesce(t.last_name, u.last_name, m.last_name, a.last_name),
        p.is_present and (u.is_present or t.is_employee) is true,
        clean.person_type(u.empl_id is not null, case when m.uid_number is not null then m.ou else a.umichad_ou end),
        clean.account_type(p.uniqname, num_nonnulls(u.empl_id, m.uid_number) > 0, a.account_type)
    )
) n (first_name, last_name, is_employee, person_type, account_type)
cross join lateral (
    values (
        nullif(concat_ws(
            '+',
            case when w.is_pi then 'award' end,
            -- A unit may be named by a word that is somebody's login name: only of those who may have a lab.
            case when k.uniqname is not null and (n.is_employee or w.uniqname is not null) then 'ou' end
        ), '')
    )
) i (pi_source)
