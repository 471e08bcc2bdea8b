/*
row = "One account of Active Directory: of a person or a service."
description = """
From the unit of the university (bronze.ad_users), without computers, which are accounts too. What changed is read every night
and everything once a week: an account that was deleted, or moved out, stands with is_present = false from then on, and
member_of is as of that read. Logins, counts and numbers of one controller, and the time of the password, are as of the last
change of content. Several accounts may have one login name: is_primary_account marks the first.
"""
key = ["ad_user_guid"]
classes = ["uniqname"]
indexes = ["dn_key", "uid_number"]

[columns]
ad_user_guid = ["uuid", "objectGUID of the account"]
uniqname = ["text", "Login name in lower case: uid, else account name, else common name; NULL for a conflict"]
account_type = ["text", "person, service (without uid) or conflict (renamed by a controller, because another had its name)"]
is_primary_account = ["boolean", "Whether it is the first of those with its login name: enabled ones, then by last login"]
cn = ["text", "Common name"]
name = ["text", "Name of the object, usually the login"]
sam_account_name = ["text", "Account name"]
user_principal_name = ["text", "Login, usually like a mail address"]
distinguished_name = ["text", "DN"]
dn_key = ["text", "DN in lower case, as DNs are compared"]
object_sid = ["text", "SID"]
sid_history = ["jsonb", "SIDs that it had before"]
first_name = ["text", "First name"]
last_name = ["text", "Last name"]
initials = ["text", "Initials"]
display_name = ["text", "Name as it is shown"]
full_name = ["text", "Name as it is shown, else Last, First"]
preferred_name = ["text", "First and last name"]
primary_email = ["text", "Mail address"]
proxy_addresses = ["jsonb", "Mail addresses with their kind; SMTP: in capitals marks the first"]
work_phone = ["text", "Work phone"]
mobile = ["text", "Mobile phone"]
mobile_phone = ["text", "The same as mobile"]
other_mobile = ["jsonb", "Other mobile phones"]
facsimile_telephone_number = ["text", "Fax"]
street_address = ["text", "Street"]
title = ["text", "Title"]
job_title = ["text", "The same as title"]
department = ["text", "Department, free text and no code"]
department_name = ["text", "The same as department"]
description = ["text", "Description, of several each on a line"]
employee_type = ["text", "Kind of employee"]
umichad_ou = ["jsonb", "Affiliations, as in MCommunity"]
umichad_role = ["jsonb", "Roles"]
hide_personal_info = ["boolean", "Whether the person wants to be private; true where the directory says what cannot be read"]
user_account_control = ["integer", "userAccountControl, a mask of bits"]
is_enabled = ["boolean", "Whether it may be used; NULL without a mask"]
account_kind = ["text", "user, workstation or domain_controller"]
password_not_required = ["boolean", "Whether it needs no password"]
password_never_expires = ["boolean", "Whether its password never expires"]
password_expired = ["boolean", "Whether its password has expired"]
smartcard_required = ["boolean", "Whether it needs a smart card"]
account_expires = ["timestamp with time zone", "When it expires; NULL for never"]
account_never_expires = ["boolean", "Whether it never expires"]
pwd_last_set = ["timestamp with time zone", "When the password was set, as of the last change of content"]
lockout_time = ["timestamp with time zone", "When it was locked; NULL where it is not"]
is_locked = ["boolean", "Whether it is locked"]
last_logon_timestamp = ["timestamp with time zone", "Last login, late by up to two weeks and as of the last change of content"]
last_logon = ["timestamp with time zone", "Last login at one controller, as of the last change of content"]
last_logoff = ["timestamp with time zone", "Last logoff, as of the last change of content"]
logon_count = ["integer", "Logins at one controller, as of the last change of content"]
bad_pwd_count = ["integer", "Wrong passwords at one controller, as of the last change of content"]
bad_password_time = ["timestamp with time zone", "Last wrong password at one controller, as of the last change of content"]
member_of = ["jsonb", "DNs of groups that it is in, as of the last read of everything; never the primary group"]
primary_group_id = ["integer", "RID of the primary group; 513 is that of all users"]
uid_number = ["bigint", "uidNumber; that of the person in MCommunity"]
gid_number = ["bigint", "gidNumber"]
home_directory = ["text", "Home directory"]
home_drive = ["text", "Drive of the home directory"]
login_shell = ["text", "Shell"]
object_class = ["jsonb", "Classes of the object"]
object_category = ["text", "Category, a DN"]
instance_type = ["integer", "instanceType"]
when_created = ["timestamp with time zone", "When it was made"]
when_changed = ["timestamp with time zone", "When a controller saw it change, as of the last change of content"]
usn_created = ["bigint", "Number of its making at one controller"]
usn_changed = ["bigint", "Number of its change at one controller, as of the last change of content"]
ou_root = ["text", "Unit on the first level"]
ou_organization_type = ["text", "Unit on the second level"]
ou_organization = ["text", "Organization"]
ou_category = ["text", "Category"]
ou_status = ["text", "Status, in branches that have that level"]
ou_division = ["text", "Division"]
ou_department = ["text", "Department"]
ou_subdepartment = ["text", "Subdepartment"]
ou_immediate_parent = ["text", "The unit that it stands in"]
ou_full_path = ["jsonb", "Units from the one that it stands in to the root"]
ou_depth = ["integer", "Number of these"]
parent_ou_dn = ["text", "DN of what it stands in"]

[inputs."bronze.ad_users"]
*/
with newest as not materialized (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        d.payload
    from bronze.ad_users d
    where cast(:keys as text[]) is null or d.external_id = any(cast(:keys as text[]))
),

cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        clean.account_uniqname(f.uid, f."sAMAccountName", f.cn) as uniqname,
        clean.uniqname(f.uid) is not null as has_uid,
        clean.is_conflict(clean.text(f.cn)) as is_conflict,
        coalesce(clean.dn(f."distinguishedName"), clean.dn(f.dn)) as distinguished_name,
        clean.ou_path(coalesce(clean.dn(f."distinguishedName"), clean.dn(f.dn))) as path,
        clean.privacy(f."umichadHidePersonalInfo") as hide_personal_info,
        case
            when clean.directory_time(f."pwdLastSet") is null then clean.says_no_time(d.payload -> 'pwdLastSet')
        end as must_change_password,
        clean.text(f.cn) as cn,
        clean.text(f.name) as name,
        clean.text(f."sAMAccountName") as sam_account_name,
        clean.email(f."userPrincipalName") as user_principal_name,
        clean.text(f."objectSid") as object_sid,
        clean.texts(f."sIDHistory") as sid_history,
        clean.text(f."givenName") as first_name,
        clean.text(f.sn) as last_name,
        clean.text(f.initials) as initials,
        clean.text(f."displayName") as display_name,
        clean.email(f.mail) as primary_email,
        clean.texts(f."proxyAddresses") as proxy_addresses,
        clean.text(f."telephoneNumber") as work_phone,
        clean.text(f.mobile) as mobile,
        clean.texts(f."otherMobile") as other_mobile,
        clean.text(f."facsimileTelephoneNumber") as facsimile_telephone_number,
        clean.text(f."streetAddress") as street_address,
        clean.text(f.title) as title,
        clean.text(f.department) as department,
        clean.lines(f.description) as description,
        clean.text(f."employeeType") as employee_type,
        clean.texts(f."umichadOU") as umichad_ou,
        clean.texts(f."umichadRole") as umichad_role,
        f."userAccountControl" as raw_user_account_control,
        clean.integer(f."userAccountControl") as user_account_control,
        f."accountExpires" as raw_account_expires,
        clean.directory_time(f."accountExpires") as account_expires,
        f."pwdLastSet" as raw_pwd_last_set,
        clean.directory_time(f."pwdLastSet") as pwd_last_set,
        f."lockoutTime" as raw_lockout_time,
        clean.directory_time(f."lockoutTime") as lockout_time,
        f."lastLogonTimestamp" as raw_last_logon_timestamp,
        clean.directory_time(f."lastLogonTimestamp") as last_logon_timestamp,
        f."lastLogon" as raw_last_logon,
        clean.directory_time(f."lastLogon") as last_logon,
        f."lastLogoff" as raw_last_logoff,
        clean.directory_time(f."lastLogoff") as last_logoff,
        f."logonCount" as raw_logon_count,
        clean.integer(f."logonCount") as logon_count,
        f."badPwdCount" as raw_bad_pwd_count,
        clean.integer(f."badPwdCount") as bad_pwd_count,
        f."badPasswordTime" as raw_bad_password_time,
        clean.directory_time(f."badPasswordTime") as bad_password_time,
        clean.texts(f."memberOf") as member_of,
        f."primaryGroupID" as raw_primary_group_id,
        clean.integer(f."primaryGroupID") as primary_group_id,
        f."uidNumber" as raw_uid_number,
        clean.bigint(f."uidNumber") as uid_number,
        f."gidNumber" as raw_gid_number,
        clean.bigint(f."gidNumber") as gid_number,
        clean.text(f."homeDirectory") as home_directory,
        clean.text(f."homeDrive") as home_drive,
        clean.text(f."loginShell") as login_shell,
        clean.texts(f."objectClass") as object_class,
        clean.text(f."objectCategory") as object_category,
        f."instanceType" as raw_instance_type,
        clean.integer(f."instanceType") as instance_type,
        f."whenCreated" as raw_when_created,
        clean.directory_time(f."whenCreated") as when_created,
        f."whenChanged" as raw_when_changed,
        clean.directory_time(f."whenChanged") as when_changed,
        f."uSNCreated" as raw_usn_created,
        clean.bigint(f."uSNCreated") as usn_created,
        f."uSNChanged" as raw_usn_changed,
        clean.bigint(f."uSNChanged") as usn_changed
    from newest d
    cross join lateral jsonb_to_record(d.payload) f (
        cn jsonb,
        name jsonb,
        "sAMAccountName" jsonb,
        "userPrincipalName" jsonb,
        "objectSid" jsonb,
        "sIDHistory" jsonb,
        "givenName" jsonb,
        sn jsonb,
        initials jsonb,
        "displayName" jsonb,
        mail jsonb,
        "proxyAddresses" jsonb,
        "telephoneNumber" jsonb,
        mobile jsonb,
        "otherMobile" jsonb,
        "facsimileTelephoneNumber" jsonb,
        "streetAddress" jsonb,
        title jsonb,
        department jsonb,
        description jsonb,
        "employeeType" jsonb,
        "umichadOU" jsonb,
        "umichadRole" jsonb,
        "userAccountControl" text,
        "accountExpires" text,
        "pwdLastSet" text,
        "lockoutTime" text,
        "lastLogonTimestamp" text,
        "lastLogon" text,
        "lastLogoff" text,
        "logonCount" text,
        "badPwdCount" text,
        "badPasswordTime" text,
        "memberOf" jsonb,
        "primaryGroupID" text,
        "uidNumber" text,
        "gidNumber" text,
        "homeDirectory" jsonb,
        "homeDrive" jsonb,
        "loginShell" jsonb,
        "objectClass" jsonb,
        "objectCategory" jsonb,
        "instanceType" text,
        "whenCreated" text,
        "whenChanged" text,
        "uSNCreated" text,
        "uSNChanged" text,
        "distinguishedName" jsonb,
        dn jsonb,
        uid jsonb,
        "umichadHidePersonalInfo" text
    )
    offset '0' -- each value is cleaned once, however often it is used
),

-- Of accounts with one login name: which is the first.
shared as (
    select
        o.uniqname,
        (
            array_agg(o.external_id order by o.is_enabled desc, o.last_logon desc nulls last, o.external_id asc)
        )[1] as first_account
    from (
        select
            n.external_id,
            clean.account_uniqname(f.uid, f."sAMAccountName", f.cn) as uniqname,
            coalesce(not clean.has_bit(clean.integer(f."userAccountControl"), 2), false) as is_enabled,
            clean.directory_time(f."lastLogonTimestamp") as last_logon
        from newest n
        cross join lateral jsonb_to_record(n.payload) f (
            uid jsonb,
            "sAMAccountName" jsonb,
            cn jsonb,
            "userAccountControl" text,
            "lastLogonTimestamp" text
        )
        where n.is_present
        offset '0'
    ) o
    where o.uniqname is not null
    group by o.uniqname
    having count(*) > 1
)

select
    c.external_id::uuid as ad_user_guid,
    c.uniqname,
    case
        when c.is_conflict then 'conflict'
        when c.has_uid then 'person'
        else 'service'
    end as account_type,
    c.is_present and c.uniqname is not null and coalesce(c.external_id = s.first_account, true) as is_primary_account,
    c.cn,
    c.name,
    c.sam_account_name,
    c.user_principal_name,
    c.distinguished_name,
    lower(c.distinguished_name) as dn_key,
    c.object_sid,
    c.sid_history,
    c.first_name,
    c.last_name,
    c.initials,
    c.display_name,
    coalesce(c.display_name, nullif(concat_ws(', ', c.last_name, c.first_name), '')) as full_name,
    nullif(concat_ws(' ', c.first_name, c.last_name), '') as preferred_name,
    c.primary_email,
    c.proxy_addresses,
    c.work_phone,
    c.mobile,
    c.mobile as mobile_phone,
    c.other_mobile,
    c.facsimile_telephone_number,
    c.street_address,
    c.title,
    c.title as job_title,
    c.department,
    c.department as department_name,
    c.description,
    c.employee_type,
    c.umichad_ou,
    c.umichad_role,
    c.hide_personal_info,
    c.user_account_control,
    not clean.has_bit(c.user_account_control, 2) as is_enabled,
    clean.account_kind(c.user_account_control) as account_kind,
    clean.has_bit(c.user_account_control, 32) as password_not_required,
    clean.has_bit(c.user_account_control, 65536) as password_never_expires,
    clean.has_bit(c.user_account_control, 8388608) as password_expired,
    clean.has_bit(c.user_account_control, 262144) as smartcard_required,
    c.account_expires,
    c.account_expires is null and clean.is_no_directory_time(c.raw_account_expires) as account_never_expires,
    c.pwd_last_set,
    c.lockout_time,
    c.lockout_time is not null as is_locked,
    c.last_logon_timestamp,
    c.last_logon,
    c.last_logoff,
    c.logon_count,
    c.bad_pwd_count,
    c.bad_password_time,
    c.member_of,
    c.primary_group_id,
    c.uid_number,
    c.gid_number,
    c.home_directory,
    c.home_drive,
    c.login_shell,
    c.object_class,
    c.object_category,
    c.instance_type,
    c.when_created,
    c.when_changed,
    c.usn_created,
    c.usn_changed,
    clean.from_root(c.path, 1) as ou_root,
    clean.from_root(c.path, 2) as ou_organization_type,
    clean.from_root(c.path, 3) as ou_organization,
    clean.from_root(c.path, 4) as ou_category,
    case when clean.status_levels(c.path) = 1 then clean.from_root(c.path, 5) end as ou_status,
    clean.from_root(c.path, 5 + clean.status_levels(c.path)) as ou_division,
    clean.from_root(c.path, 6 + clean.status_levels(c.path)) as ou_department,
    clean.from_root(c.path, 7 + clean.status_levels(c.path)) as ou_subdepartment,
    c.path[1] as ou_immediate_parent,
    to_jsonb(c.path) as ou_full_path,
    cardinality(c.path) as ou_depth,
    clean.parent_dn(c.distinguished_name) as parent_ou_dn,
    c.raw_id,
    c.first_seq,
    array['active_directory'] as source_systems,
    clean.flags(
        case when c.uniqname is null then 'missing_uniqname' end,
        case when c.primary_email is null then 'missing_email' end,
        case when c.is_conflict then 'conflict_object' end,
        case when c.is_present and s.uniqname is not null then 'several_accounts' end,
        case when c.must_change_password then 'must_change_password' end,
        case when c.distinguished_name is null then 'bad_dn' end,
        case when c.user_account_control is null then clean.bad_integer('user_account_control', c.raw_user_account_control) end,
        case when c.account_expires is null then clean.bad_directory_time('account_expires', c.raw_account_expires) end,
        case when c.pwd_last_set is null then clean.bad_directory_time('pwd_last_set', c.raw_pwd_last_set) end,
        case when c.lockout_time is null then clean.bad_directory_time('lockout_time', c.raw_lockout_time) end,
        case
            when c.last_logon_timestamp is null
                then clean.bad_directory_time('last_logon_timestamp', c.raw_last_logon_timestamp)
        end,
        case when c.last_logon is null then clean.bad_directory_time('last_logon', c.raw_last_logon) end,
        case when c.last_logoff is null then clean.bad_directory_time('last_logoff', c.raw_last_logoff) end,
        case when c.logon_count is null then clean.bad_integer('logon_count', c.raw_logon_count) end,
        case when c.bad_pwd_count is null then clean.bad_integer('bad_pwd_count', c.raw_bad_pwd_count) end,
        case when c.bad_password_time is null then clean.bad_directory_time('bad_password_time', c.raw_bad_password_time) end,
        case when c.primary_group_id is null then clean.bad_integer('primary_group_id', c.raw_primary_group_id) end,
        case when c.uid_number is null then clean.bad_bigint('uid_number', c.raw_uid_number) end,
        case when c.gid_number is null then clean.bad_bigint('gid_number', c.raw_gid_number) end,
        case when c.instance_type is null then clean.bad_integer('instance_type', c.raw_instance_type) end,
        case when c.when_created is null then clean.bad_directory_time('when_created', c.raw_when_created) end,
        case when c.when_changed is null then clean.bad_directory_time('when_changed', c.raw_when_changed) end,
        case when c.usn_created is null then clean.bad_bigint('usn_created', c.raw_usn_created) end,
        case when c.usn_changed is null then clean.bad_bigint('usn_changed', c.raw_usn_changed) end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
left join shared s on c.uniqname = s.uniqname
