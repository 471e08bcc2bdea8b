/*
row = "One group of Active Directory."
description = """
From the unit Users and Groups of LSA (bronze.ad_groups). Members are DNs as the directory writes them; the primary group of an
account is never among them. A group below MCommADSync is a copy of one in MCommunity. whenChanged and uSN are of the last
change of content. A group that was deleted, or moved out of the unit, stands with is_present = false, and grants nothing.
"""
key = ["ad_group_guid"]
dangling = ["members_in_pieces"]
indexes = ["dn_key", "gid_number", "members", "member_uniqnames"]

[columns]
ad_group_guid = ["uuid", "objectGUID of the group"]
cn = ["text", "Common name"]
group_name = ["text", "Name"]
sam_account_name = ["text", "Account name"]
display_name = ["text", "Name as it is shown"]
group_email = ["text", "Mail address"]
distinguished_name = ["text", "DN"]
dn_key = ["text", "DN in lower case, as DNs are compared"]
description = ["text", "Description, the first where there are several"]
info = ["text", "Notes"]
group_type = ["integer", "groupType, a mask of bits"]
group_scope = ["text", "global, domain_local or universal"]
is_security_group = ["boolean", "Whether it grants rights; false: it is for mail only"]
is_mcommunity_sync = ["boolean", "Whether it is a copy of a group of MCommunity"]
gid_number = ["bigint", "gidNumber; a copy has that of its group in MCommunity"]
sam_account_type = ["integer", "sAMAccountType"]
managed_by = ["text", "DN of who manages it"]
members = ["jsonb", "DNs of its members"]
member_uniqnames = ["jsonb", "Login names of the people among members"]
member_group_dns = ["jsonb", "DNs of the groups among members, in lower case"]
member_of = ["jsonb", "DNs of groups that it is in"]
proxy_addresses = ["jsonb", "Mail addresses with their kind; SMTP: in capitals marks the first"]
object_category = ["text", "Category, a DN"]
object_class = ["jsonb", "Classes of the object"]
object_sid = ["text", "SID"]
sid_history = ["jsonb", "SIDs that it had before"]
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

[inputs."bronze.ad_groups"]
*/
with cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        clean.text(f.cn) as cn,
        clean.text(f.name) as group_name,
        clean.text(f."sAMAccountName") as sam_account_name,
        clean.text(f."displayName") as display_name,
        clean.email(f.mail) as group_email,
        coalesce(clean.dn(f."distinguishedName"), clean.dn(f.dn)) as distinguished_name,
        clean.ou_path(coalesce(clean.dn(f."distinguishedName"), clean.dn(f.dn))) as path,
        clean.text(f.description) as description,
        clean.text(f.info) as info,
        f."groupType" as raw_group_type,
        clean.integer(f."groupType") as group_type,
        f."gidNumber" as raw_gid_number,
        clean.bigint(f."gidNumber") as gid_number,
        f."sAMAccountType" as raw_sam_account_type,
        clean.integer(f."sAMAccountType") as sam_account_type,
        clean.text(f."managedBy") as managed_by,
        clean.texts(f.member) as listed,
        case when f.member is null or f.member = '[]' then clean.ranged(d.payload, 'member') end as pieces,
        clean.texts(f."memberOf") as member_of,
        clean.texts(f."proxyAddresses") as proxy_addresses,
        clean.text(f."objectCategory") as object_category,
        clean.texts(f."objectClass") as object_class,
        clean.text(f."objectSid") as object_sid,
        clean.texts(f."sIDHistory") as sid_history,
        f."whenCreated" as raw_when_created,
        clean.directory_time(f."whenCreated") as when_created,
        f."whenChanged" as raw_when_changed,
        clean.directory_time(f."whenChanged") as when_changed,
        f."uSNCreated" as raw_usn_created,
        clean.bigint(f."uSNCreated") as usn_created,
        f."uSNChanged" as raw_usn_changed,
        clean.bigint(f."uSNChanged") as usn_changed
    from bronze.ad_groups d
    cross join lateral jsonb_to_record(d.payload) f (
        cn jsonb,
        name jsonb,
        "sAMAccountName" jsonb,
        "displayName" jsonb,
        mail jsonb,
        "distinguishedName" jsonb,
        dn jsonb,
        description jsonb,
        info jsonb,
        "groupType" text,
        "gidNumber" text,
        "sAMAccountType" text,
        "managedBy" jsonb,
        member jsonb,
        "memberOf" jsonb,
        "proxyAddresses" jsonb,
        "objectCategory" jsonb,
        "objectClass" jsonb,
        "objectSid" jsonb,
        "sIDHistory" jsonb,
        "whenCreated" text,
        "whenChanged" text,
        "uSNCreated" text,
        "uSNChanged" text
    )
    where cast(:keys as text[]) is null or d.external_id = any(cast(:keys as text[]))
    offset '0' -- each value is cleaned once, however often it is used
)

select
    c.external_id::uuid as ad_group_guid,
    c.cn,
    c.group_name,
    c.sam_account_name,
    c.display_name,
    c.group_email,
    c.distinguished_name,
    lower(c.distinguished_name) as dn_key,
    c.description,
    c.info,
    c.group_type,
    clean.group_scope(c.group_type) as group_scope,
    c.group_type < 0 as is_security_group,
    'MCommADSync' = any(c.path) as is_mcommunity_sync,
    c.gid_number,
    c.sam_account_type,
    c.managed_by,
    coalesce(c.pieces, c.listed) as members,
    clean.people_among(coalesce(c.pieces, c.listed)) as member_uniqnames,
    clean.groups_among(coalesce(c.pieces, c.listed)) as member_group_dns,
    c.member_of,
    c.proxy_addresses,
    c.object_category,
    c.object_class,
    c.object_sid,
    c.sid_history,
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
        case when c.group_name is null then 'missing_name' end,
        case when coalesce(c.pieces, c.listed) = '[]' then 'empty_group' end,
        case when c.pieces is not null then 'members_in_pieces' end,
        case when c.distinguished_name is null then 'bad_dn' end,
        case when c.group_type is null then clean.bad_integer('group_type', c.raw_group_type) end,
        case when c.gid_number is null then clean.bad_bigint('gid_number', c.raw_gid_number) end,
        case when c.sam_account_type is null then clean.bad_integer('sam_account_type', c.raw_sam_account_type) end,
        case when c.when_created is null then clean.bad_directory_time('when_created', c.raw_when_created) end,
        case when c.when_changed is null then clean.bad_directory_time('when_changed', c.raw_when_changed) end,
        case when c.usn_created is null then clean.bad_bigint('usn_created', c.raw_usn_created) end,
        case when c.usn_changed is null then clean.bad_bigint('usn_changed', c.raw_usn_changed) end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
