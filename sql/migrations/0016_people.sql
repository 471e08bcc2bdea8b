-- What people decide about people: whom a record belongs to, and which departments are support units.
create table curated.person_links (
    source_table text not null check (source_table in ('tdx_users', 'umapi_employees', 'mcommunity_users', 'ad_users')),
    record_key text not null check (record_key <> ''),
    uniqname text check (uniqname ~ '^[a-z][a-z0-9.-]{0,49}$'),
    author text not null check (author <> ''),
    reason text not null check (reason <> ''),
    decided_at timestamptz not null default now(),
    primary key (source_table, record_key)
);
comment on table curated.person_links is
'Decisions of people about whose login name a record has; they come before every rule, and no refresh changes them';
comment on column curated.person_links.source_table is 'Silver table of the record, such as tdx_users';
comment on column curated.person_links.record_key is
'Key of the record as silver.person_records has it: UID, employee ID and record number with a colon, uidNumber or objectGUID';
comment on column curated.person_links.uniqname is 'Login name in lower case of whom the record belongs to; NULL: to nobody';
comment on column curated.person_links.author is 'Who decided';
comment on column curated.person_links.reason is 'Why';
comment on column curated.person_links.decided_at is 'When';

create table curated.support_departments (
    dept_id text primary key check (dept_id <> ''),
    reason text not null check (reason <> ''),
    valid_from date,
    valid_to date,
    check (valid_from <= valid_to)
);
comment on table curated.support_departments is 'Departments whose people belong to no lab, whatever groups they are in';
comment on column curated.support_departments.dept_id is 'Department code, as in silver.departments';
comment on column curated.support_departments.reason is 'Why it is one';
comment on column curated.support_departments.valid_from is 'First day; NULL: ever since';
comment on column curated.support_departments.valid_to is 'Last day; NULL: until further notice';

insert into curated.support_departments (dept_id, reason)
select
    d.dept_id,
    'Support unit' as reason
from unnest(array[
    '171210', '171220', '171230', '171240', '171245', '211600', '231640', '309919', '309921', '309980', '309981', '309982',
    '315834', '380002', '481207', '481450', '481477', '676785'
]) d (dept_id);

-- Decisions name records of people, private ones too: readers see none of them.
grant select on curated.support_departments to lsats_reader;
