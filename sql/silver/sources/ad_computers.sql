/*
row = "One computer of LSA in Active Directory."
description = """
From the unit of LSA (bronze.ad_computers), read whole. Keyed by objectGUID: a computer that is renamed stays, one that joins
anew is another, and where two have one name, both stand, flagged. No password, key or certificate is here. Passwords and the
times that go with them, logins and numbers of one controller are as of the last change of content; the last login of all
controllers is content. A computer that was deleted, or moved out, stands with is_present = false.
"""
key = ["object_guid"]
whole = true # some eight thousand computers, and which is stale is told by the newest login of all
indexes = ["computer_name", "dn_key", "ou_department", "last_logon_timestamp"]

[columns]
object_guid = ["uuid", "objectGUID of the computer"]
computer_name = ["text", "Name; may stand on several rows, which are flagged"]
sam_account_name = ["text", "Account name, with a dollar sign at its end"]
dns_hostname = ["text", "Name in the DNS, in lower case"]
distinguished_name = ["text", "DN"]
dn_key = ["text", "DN in lower case, as DNs are compared"]
object_sid = ["text", "SID"]
display_name = ["text", "Name as it is shown"]
description = ["text", "Description, the first where there are several"]
managed_by = ["text", "DN of the person or group that manages it"]
operating_system = ["text", "Operating system"]
operating_system_version = ["text", "Its version"]
operating_system_service_pack = ["text", "Its service pack"]
user_account_control = ["integer", "userAccountControl, a mask of bits"]
is_enabled = ["boolean", "Whether it may be used; NULL without a mask"]
account_kind = ["text", "user, workstation or domain_controller"]
is_critical_system_object = ["boolean", "Whether the directory needs it"]
service_principal_names = ["jsonb", "Names of its services"]
network_addresses = ["jsonb", "Network addresses"]
member_of_groups = ["jsonb", "DNs of groups that it is in"]
pwd_last_set = ["timestamp with time zone", "When it changed its password, as of the last change of content"]
account_expires = ["timestamp with time zone", "When it expires; NULL for never"]
last_logon_timestamp = ["timestamp with time zone", "Last login, late by up to two weeks"]
last_logon = ["timestamp with time zone", "Last login at one controller, as of the last change of content"]
last_logoff = ["timestamp with time zone", "Last logoff, as of the last change of content"]
logon_count = ["integer", "Logins at one controller, as of the last change of content"]
bad_pwd_count = ["integer", "Wrong passwords at one controller, as of the last change of content"]
bad_password_time = ["timestamp with time zone", "Last wrong password at one controller, as of the last change of content"]
ms_laps_password_expiration_time = ["bigint", "When its local password expires, in ticks of 100 ns since 1601"]
laps_expires_at = ["timestamp with time zone", "The same as a time, as of the last change of content"]
ms_mcs_adm_pwd_expiration_time = ["bigint", "The same of the older way of keeping local passwords, in ticks"]
legacy_laps_expires_at = ["timestamp with time zone", "The same as a time, as of the last change of content"]
msds_supported_encryption_types = ["integer", "Encryption that it supports, a mask of bits"]
msds_key_credential_link = ["integer", "Number of its keys, which are not kept here"]
user_certificate = ["integer", "Number of its certificates, which are not kept here"]
certificate_thumbprints = ["text[]", "SHA-256 of its certificates"]
when_created = ["timestamp with time zone", "When it was made"]
when_changed = ["timestamp with time zone", "When a controller saw it change, as of the last change of content"]
usn_created = ["bigint", "Number of its making at one controller"]
usn_changed = ["bigint", "Number of its change at one controller, as of the last change of content"]
ds_core_propagation_data = ["jsonb", "Times of its replication, as of the last change of content"]
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
additional_attributes = ["jsonb", "Rare attributes that it has: pager, msDFSR-ComputerReferenceBL, netbootSCPBL; NULL for none"]

[inputs."bronze.ad_computers"]
*/
with cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        coalesce(f.cn, f.name) as raw_computer_name,
        coalesce(clean.code(f.cn), clean.code(f.name)) as computer_name,
        coalesce(clean.dn(f."distinguishedName"), clean.dn(f.dn)) as distinguished_name,
        clean.ou_path(coalesce(clean.dn(f."distinguishedName"), clean.dn(f.dn))) as path,
        clean.texts(f."msDS-KeyCredentialLink") as keys,
        clean.texts(f."userCertificate") as certificates,
        nullif(
            jsonb_strip_nulls(jsonb_build_object(
                'pager', clean.text(f.pager),
                'msDFSR-ComputerReferenceBL', clean.text(f."msDFSR-ComputerReferenceBL"),
                'netbootSCPBL', clean.text(f."netbootSCPBL")
            )),
            '{}'
        ) as additional_attributes,
        clean.text(f."sAMAccountName") as sam_account_name,
        clean.email(f."dNSHostName") as dns_hostname,
        clean.text(f."objectSid") as object_sid,
        clean.text(f."displayName") as display_name,
        clean.text(f.description) as description,
        clean.text(f."managedBy") as managed_by,
        clean.text(f."operatingSystem") as operating_system,
        clean.text(f."operatingSystemVersion") as operating_system_version,
        clean.text(f."operatingSystemServicePack") as operating_system_service_pack,
        f."userAccountControl" as raw_user_account_control,
        clean.integer(f."userAccountControl") as user_account_control,
        clean.boolean(f."isCriticalSystemObject") as is_critical_system_object,
        clean.texts(f."servicePrincipalName") as service_principal_names,
        clean.texts(f."networkAddress") as network_addresses,
        clean.texts(f."memberOf") as member_of_groups,
        f."pwdLastSet" as raw_pwd_last_set,
        clean.directory_time(f."pwdLastSet") as pwd_last_set,
        f."accountExpires" as raw_account_expires,
        clean.directory_time(f."accountExpires") as account_expires,
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
        f."msDS-SupportedEncryptionTypes" as raw_msds_supported_encryption_types,
        clean.integer(f."msDS-SupportedEncryptionTypes") as msds_supported_encryption_types,
        f."whenCreated" as raw_when_created,
        clean.directory_time(f."whenCreated") as when_created,
        f."whenChanged" as raw_when_changed,
        clean.directory_time(f."whenChanged") as when_changed,
        f."uSNCreated" as raw_usn_created,
        clean.bigint(f."uSNCreated") as usn_created,
        f."uSNChanged" as raw_usn_changed,
        clean.bigint(f."uSNChanged") as usn_changed,
        clean.texts(f."dSCorePropagationData") as ds_core_propagation_data,
        f."msLAPS-PasswordExpirationTime" as raw_laps_expires_at,
        clean.directory_time(f."msLAPS-PasswordExpirationTime") as laps_expires_at,
        f."ms-Mcs-AdmPwdExpirationTime" as raw_legacy_laps_expires_at,
        clean.directory_time(f."ms-Mcs-AdmPwdExpirationTime") as legacy_laps_expires_at
    from bronze.ad_computers d
    cross join lateral jsonb_to_record(d.payload) f (
        "sAMAccountName" jsonb,
        "dNSHostName" jsonb,
        "objectSid" jsonb,
        "displayName" jsonb,
        description jsonb,
        "managedBy" jsonb,
        "operatingSystem" jsonb,
        "operatingSystemVersion" jsonb,
        "operatingSystemServicePack" jsonb,
        "userAccountControl" text,
        "isCriticalSystemObject" text,
        "servicePrincipalName" jsonb,
        "networkAddress" jsonb,
        "memberOf" jsonb,
        "pwdLastSet" text,
        "accountExpires" text,
        "lastLogonTimestamp" text,
        "lastLogon" text,
        "lastLogoff" text,
        "logonCount" text,
        "badPwdCount" text,
        "badPasswordTime" text,
        "msDS-SupportedEncryptionTypes" text,
        "whenCreated" text,
        "whenChanged" text,
        "uSNCreated" text,
        "uSNChanged" text,
        "dSCorePropagationData" jsonb,
        "msLAPS-PasswordExpirationTime" text,
        "ms-Mcs-AdmPwdExpirationTime" text,
        cn jsonb,
        name jsonb,
        "distinguishedName" jsonb,
        dn jsonb,
        "msDS-KeyCredentialLink" jsonb,
        "userCertificate" jsonb,
        pager jsonb,
        "msDFSR-ComputerReferenceBL" jsonb,
        "netbootSCPBL" jsonb
    )
    offset '0' -- each value is cleaned once, however often it is used
),

shared as (
    select upper(o.computer_name) as name
    from (
        select coalesce(clean.code(d.payload -> 'cn'), clean.code(d.payload -> 'name')) as computer_name
        from bronze.ad_computers d
        where d.is_present
        offset '0'
    ) o
    where o.computer_name is not null
    group by upper(o.computer_name)
    having count(*) > 1
),

newest as (
    select max(o.last_logon_timestamp) as last_logon_timestamp
    from (
        select clean.directory_time(d.payload ->> 'lastLogonTimestamp') as last_logon_timestamp
        from bronze.ad_computers d
        where d.is_present
        offset '0'
    ) o
)

select
    c.external_id::uuid as object_guid,
    c.computer_name,
    c.sam_account_name,
    c.dns_hostname,
    c.distinguished_name,
    lower(c.distinguished_name) as dn_key,
    c.object_sid,
    c.display_name,
    c.description,
    c.managed_by,
    c.operating_system,
    c.operating_system_version,
    c.operating_system_service_pack,
    c.user_account_control,
    not clean.has_bit(c.user_account_control, 2) as is_enabled,
    clean.account_kind(c.user_account_control) as account_kind,
    c.is_critical_system_object,
    c.service_principal_names,
    c.network_addresses,
    c.member_of_groups,
    c.pwd_last_set,
    c.account_expires,
    c.last_logon_timestamp,
    c.last_logon,
    c.last_logoff,
    c.logon_count,
    c.bad_pwd_count,
    c.bad_password_time,
    clean.ticks(c.raw_laps_expires_at) as ms_laps_password_expiration_time,
    c.laps_expires_at,
    clean.ticks(c.raw_legacy_laps_expires_at) as ms_mcs_adm_pwd_expiration_time,
    c.legacy_laps_expires_at,
    c.msds_supported_encryption_types,
    jsonb_array_length(c.keys) as msds_key_credential_link,
    jsonb_array_length(c.certificates) as user_certificate,
    clean.thumbprints(c.certificates) as certificate_thumbprints,
    c.when_created,
    c.when_changed,
    c.usn_created,
    c.usn_changed,
    c.ds_core_propagation_data,
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
    c.additional_attributes,
    c.raw_id,
    c.first_seq,
    array['active_directory'] as source_systems,
    clean.flags(
        case when c.operating_system is null then 'missing_os' end,
        case when c.managed_by is null then 'unmanaged' end,
        case
            when c.is_present and c.last_logon_timestamp < n.last_logon_timestamp - interval '90 days' then 'stale'
        end,
        case when c.is_present and s.name is not null then 'duplicate_name' end,
        case when c.distinguished_name is null then 'bad_dn' end,
        case when c.computer_name is null then clean.bad_code('computer_name', c.raw_computer_name) end,
        case when c.user_account_control is null then clean.bad_integer('user_account_control', c.raw_user_account_control) end,
        case when c.pwd_last_set is null then clean.bad_directory_time('pwd_last_set', c.raw_pwd_last_set) end,
        case when c.account_expires is null then clean.bad_directory_time('account_expires', c.raw_account_expires) end,
        case
            when c.last_logon_timestamp is null
                then clean.bad_directory_time('last_logon_timestamp', c.raw_last_logon_timestamp)
        end,
        case when c.last_logon is null then clean.bad_directory_time('last_logon', c.raw_last_logon) end,
        case when c.last_logoff is null then clean.bad_directory_time('last_logoff', c.raw_last_logoff) end,
        case when c.logon_count is null then clean.bad_integer('logon_count', c.raw_logon_count) end,
        case when c.bad_pwd_count is null then clean.bad_integer('bad_pwd_count', c.raw_bad_pwd_count) end,
        case when c.bad_password_time is null then clean.bad_directory_time('bad_password_time', c.raw_bad_password_time) end,
        case
            when c.msds_supported_encryption_types is null
                then clean.bad_integer('msds_supported_encryption_types', c.raw_msds_supported_encryption_types)
        end,
        case when c.when_created is null then clean.bad_directory_time('when_created', c.raw_when_created) end,
        case when c.when_changed is null then clean.bad_directory_time('when_changed', c.raw_when_changed) end,
        case when c.usn_created is null then clean.bad_bigint('usn_created', c.raw_usn_created) end,
        case when c.usn_changed is null then clean.bad_bigint('usn_changed', c.raw_usn_changed) end,
        case when c.laps_expires_at is null then clean.bad_directory_time('laps_expires_at', c.raw_laps_expires_at) end,
        case
            when c.legacy_laps_expires_at is null
                then clean.bad_directory_time('legacy_laps_expires_at', c.raw_legacy_laps_expires_at)
        end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
left join shared s on upper(c.computer_name) = s.name
cross join newest n
