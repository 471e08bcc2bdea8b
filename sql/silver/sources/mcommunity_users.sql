/*
row = "One person of the MCommunity directory."
description = """
From the People branch (bronze.mcommunity_users). Keyed by uidNumber, which stays when a login name changes. Two people may
claim one login name; both stand, flagged. A person whom the directory no longer shows stands with is_present = false. Server
and branch of a read stand with its run.
"""
key = ["uid_number"]
classes = ["uniqname"]
indexes = ["primary_email", "ou"]

[columns]
uid_number = ["bigint", "uidNumber of the person"]
uniqname = ["text", "Login name in lower case; may stand on several rows, which are flagged"]
first_name = ["text", "First name"]
last_name = ["text", "Last name, the first where there are several"]
full_name = ["text", "Last, First, from the parts; else the name as the directory shows it"]
preferred_name = ["text", "Name as the directory shows it"]
cn = ["jsonb", "All names"]
cn_aliases = ["jsonb", "All names but the one that the directory shows"]
primary_email = ["text", "Mail address, the first where there are several"]
emails = ["jsonb", "All mail addresses, as they stand"]
work_phone = ["text", "Phone, the first where there are several"]
umich_title = ["text", "Title"]
job_title = ["text", "The same as umich_title"]
ou = ["jsonb", "Affiliations, such as a department - Faculty and Staff"]
umich_postal_address = ["text", "Postal address, lines separated by dollar signs"]
umich_postal_address_data = ["text", "Its parts, each in braces, separated by colons"]
gid_number = ["bigint", "Number of the primary group"]
home_directory = ["text", "Home directory"]
login_shell = ["text", "Shell"]
object_class = ["jsonb", "Classes of the entry"]
distinguished_name = ["text", "DN"]
dn_key = ["text", "DN in lower case, as DNs are compared"]

[inputs."bronze.mcommunity_users"]
*/
with cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        f.uid as raw_uniqname,
        clean.uniqname(f.uid) as uniqname,
        clean.text(f."givenName") as first_name,
        clean.text(f.sn) as last_name,
        clean.text(f."displayName") as display_name,
        clean.texts(f.cn) as cn,
        f.mail as raw_email,
        lower(clean.code(f.mail)) as primary_email,
        clean.texts(f.mail) as emails,
        clean.text(f."telephoneNumber") as work_phone,
        clean.text(f."umichTitle") as umich_title,
        clean.texts(f.ou) as ou,
        clean.text(f."umichPostalAddress") as umich_postal_address,
        clean.text(f."umichPostalAddressData") as umich_postal_address_data,
        f."gidNumber" as raw_gid_number,
        clean.bigint(f."gidNumber") as gid_number,
        clean.text(f."homeDirectory") as home_directory,
        clean.text(f."loginShell") as login_shell,
        clean.texts(f."objectClass") as object_class,
        clean.dn(f.dn) as distinguished_name
    from bronze.mcommunity_users d
    cross join lateral jsonb_to_record(d.payload) f (
        uid jsonb,
        "givenName" jsonb,
        sn jsonb,
        "displayName" jsonb,
        cn jsonb,
        mail jsonb,
        "telephoneNumber" jsonb,
        "umichTitle" jsonb,
        ou jsonb,
        "umichPostalAddress" jsonb,
        "umichPostalAddressData" jsonb,
        "gidNumber" text,
        "homeDirectory" jsonb,
        "loginShell" jsonb,
        "objectClass" jsonb,
        dn jsonb
    )
    where cast(:keys as text[]) is null or d.external_id = any(cast(:keys as text[]))
    offset '0' -- each value is cleaned once, however often it is used
),

shared as (
    select o.uniqname
    from (
        select clean.uniqname(d.payload -> 'uid') as uniqname
        from bronze.mcommunity_users d
        where d.is_present and (cast(:keys as text[]) is null or d.external_id = any(cast(:keys as text[])))
        offset '0'
    ) o
    where o.uniqname is not null
    group by o.uniqname
    having count(*) > 1
)

select
    c.external_id::bigint as uid_number,
    c.uniqname,
    c.first_name,
    c.last_name,
    coalesce(nullif(concat_ws(', ', c.last_name, c.first_name), ''), c.display_name) as full_name,
    c.display_name as preferred_name,
    c.cn,
    coalesce(c.cn - c.display_name, c.cn) as cn_aliases,
    c.primary_email,
    c.emails,
    c.work_phone,
    c.umich_title,
    c.umich_title as job_title,
    c.ou,
    c.umich_postal_address,
    c.umich_postal_address_data,
    c.gid_number,
    c.home_directory,
    c.login_shell,
    c.object_class,
    c.distinguished_name,
    lower(c.distinguished_name) as dn_key,
    c.raw_id,
    c.first_seq,
    array['mcommunity_ldap'] as source_systems,
    clean.flags(
        case when c.uniqname is null then 'missing_uniqname' end,
        case when c.primary_email is null then 'missing_email' end,
        case when coalesce(c.last_name, c.first_name, c.display_name) is null then 'missing_name' end,
        case when c.ou = '[]' then 'missing_affiliation' end,
        case when c.is_present and s.uniqname is not null then 'uniqname_conflict' end,
        case when c.uniqname is null then clean.invalid_uniqname('uniqname', c.raw_uniqname) end,
        case when c.primary_email is null then clean.bad_code('primary_email', c.raw_email) end,
        case when c.gid_number is null then clean.bad_bigint('gid_number', c.raw_gid_number) end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
left join shared s on c.uniqname = s.uniqname
