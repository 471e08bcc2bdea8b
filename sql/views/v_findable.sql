-- What can be found, present or not. words: what finds it, in lower case, one after another with the sign chr(31) between them, so
-- that one look at a row is enough; found_by says what each of them is. Where by_part is false, only a whole word finds it:
-- somebody who asks for privacy, of whom nothing but the login name stands. Of people who are gone it stands alone, too.
select
    'silver/users' as entity,
    p.uniqname as key,
    p.full_name as name,
    array['uniqname', 'mail', 'name', 'name'] as found_by,
    lower(
        p.uniqname
        || chr(31) || coalesce(p.primary_email, '')
        || chr(31) || coalesce(p.full_name, '')
        || chr(31) || coalesce(p.preferred_name, '')
    ) as words,
    p.updated_at is not null as by_part,
    true as is_present
from silver.v_people p
union all
select
    'silver/users' as entity,
    u.uniqname as key,
    null as name,
    array['uniqname'] as found_by,
    u.uniqname as words,
    u.is_private is false as by_part,
    false as is_present
from silver.users u
where not u.is_present
union all
select
    'silver/departments' as entity,
    d.dept_id as key,
    d.department_name as name,
    array['code', 'name'] as found_by,
    lower(d.dept_id || chr(31) || coalesce(clean.comparable(d.department_name), '')) as words,
    true as by_part,
    d.is_present
from silver.departments d
union all
select
    'silver/groups' as entity,
    g.group_id as key,
    g.group_name as name,
    array['name', 'name', 'account', 'mail'] as found_by,
    lower(
        g.group_id
        || chr(31) || coalesce(clean.comparable(g.group_name), '')
        || chr(31) || coalesce(g.sam_account_name, '')
        || chr(31) || coalesce(g.group_email, '')
    ) as words,
    true as by_part,
    g.is_present
from silver.groups g
