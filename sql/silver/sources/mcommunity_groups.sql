/*
row = "One group of MCommunity."
description = """
From the branch of groups (bronze.mcommunity_groups), groups without members too. Keyed by gidNumber: the mail name may change,
and where two groups have one, both stand, flagged. Whether a group has expired depends on the day, and is no column: compare
expiry_timestamp. A group that the directory no longer shows stands with is_present = false, and grants nothing.
"""
key = ["gid_number"]
classes = ["group_email"]
indexes = ["members", "member_uniqnames"]

[columns]
gid_number = ["bigint", "gidNumber of the group"]
mcommunity_group_uid = ["uuid", "UUID made from gid_number"]
group_name = ["text", "Name, the first where there are several"]
group_email = ["text", "Mail name in lower case, without domain"]
distinguished_name = ["text", "DN"]
dn_key = ["text", "DN in lower case, as DNs are compared"]
description = ["text", "Description"]
is_private = ["boolean", "Whether its members are shown to nobody else"]
is_members_only = ["boolean", "Whether only members may write to it"]
is_joinable = ["boolean", "Whether people may join it by themselves"]
is_disabled = ["boolean", "Whether it is disabled"]
disabled_at = ["timestamp with time zone", "When it was disabled"]
expiry_timestamp = ["timestamp with time zone", "When it expires"]
owners = ["jsonb", "DNs of its owners, people or groups"]
members = ["jsonb", "DNs of all members, those of nested groups too"]
member_uniqnames = ["jsonb", "Login names of the people among members"]
direct_members = ["jsonb", "DNs of the people who are members themselves"]
nested_members = ["jsonb", "DNs of the groups that are members"]
external_members = ["jsonb", "Mail addresses of members outside of the directory"]
permitted_senders = ["jsonb", "Who else may write to it: DNs of groups, mail addresses, domains"]
requests_to = ["jsonb", "Who gets its requests"]
aliases = ["jsonb", "All names"]
contact_info = ["jsonb", "telephoneNumber, facsimileTelephoneNumber, umichPostalAddress, labeledUri, as far as filled"]

[inputs."bronze.mcommunity_groups"]
*/
with cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        clean.text(f.cn) as group_name,
        f."umichGroupEmail" as raw_group_email,
        lower(clean.code(f."umichGroupEmail")) as group_email,
        clean.dn(f.dn) as distinguished_name,
        coalesce(clean.text(f."umichDescription"), clean.text(f.description)) as description,
        clean.boolean(f."umichPrivate") as is_private,
        clean.boolean(coalesce(f."Membersonly", f.membersonly)) as is_members_only,
        clean.boolean(f.joinable) as is_joinable,
        clean.boolean(f."umichEntryDisabled") as is_disabled,
        f."umichDisabledTimestamp" as raw_disabled_at,
        clean.directory_time(f."umichDisabledTimestamp") as disabled_at,
        f."umichExpiryTimestamp" as raw_expiry_timestamp,
        clean.directory_time(f."umichExpiryTimestamp") as expiry_timestamp,
        clean.texts(f.owner) as owners,
        clean.texts(f.member) as members,
        clean.texts(f."umichDirectMember") as direct_members,
        clean.both_texts(f."umichDirectGroupMember", f."groupMember") as nested_members,
        clean.texts(f.rfc822mail) as external_members,
        clean.both_texts(
            f."permittedGroup", clean.both_texts(f."umichPermittedSenders", f."umichPermittedSendersDomains")
        ) as permitted_senders,
        clean.texts(f."requestsTo") as requests_to,
        clean.texts(f.cn) as aliases,
        jsonb_strip_nulls(jsonb_build_object(
            'telephoneNumber', clean.text(f."telephoneNumber"),
            'facsimileTelephoneNumber', clean.text(f."facsimileTelephoneNumber"),
            'umichPostalAddress', clean.text(f."umichPostalAddress"),
            'labeledUri', clean.text(f."labeledUri")
        )) as contact_info
    from bronze.mcommunity_groups d
    cross join lateral jsonb_to_record(d.payload) f (
        dn jsonb,
        cn jsonb,
        "umichGroupEmail" jsonb,
        "umichDescription" jsonb,
        description jsonb,
        "umichPrivate" text,
        "Membersonly" text,
        membersonly text,
        joinable text,
        "umichEntryDisabled" text,
        "umichDisabledTimestamp" text,
        "umichExpiryTimestamp" text,
        owner jsonb,
        member jsonb,
        "umichDirectMember" jsonb,
        "umichDirectGroupMember" jsonb,
        "groupMember" jsonb,
        rfc822mail jsonb,
        "permittedGroup" jsonb,
        "umichPermittedSenders" jsonb,
        "umichPermittedSendersDomains" jsonb,
        "requestsTo" jsonb,
        "telephoneNumber" jsonb,
        "facsimileTelephoneNumber" jsonb,
        "umichPostalAddress" jsonb,
        "labeledUri" jsonb
    )
    where cast(:keys as text[]) is null or d.external_id = any(cast(:keys as text[]))
    offset '0' -- each value is cleaned once, however often it is used
),

shared as (
    select o.group_email
    from (
        select lower(clean.code(d.payload -> 'umichGroupEmail')) as group_email
        from bronze.mcommunity_groups d
        where d.is_present and (cast(:keys as text[]) is null or d.external_id = any(cast(:keys as text[])))
        offset '0'
    ) o
    where o.group_email is not null
    group by o.group_email
    having count(*) > 1
)

select
    c.external_id::bigint as gid_number,
    md5('mcommunity_ldap/group/' || c.external_id)::uuid as mcommunity_group_uid,
    c.group_name,
    c.group_email,
    c.distinguished_name,
    lower(c.distinguished_name) as dn_key,
    c.description,
    c.is_private,
    c.is_members_only,
    c.is_joinable,
    c.is_disabled,
    c.disabled_at,
    c.expiry_timestamp,
    c.owners,
    c.members,
    clean.people_among(c.members) as member_uniqnames,
    c.direct_members,
    c.nested_members,
    c.external_members,
    c.permitted_senders,
    c.requests_to,
    c.aliases,
    c.contact_info,
    c.raw_id,
    c.first_seq,
    array['mcommunity_ldap'] as source_systems,
    clean.flags(
        case when c.group_email is null then 'missing_email' end,
        case when c.owners = '[]' then 'no_owner' end,
        case when c.members = '[]' then 'no_members' end,
        case when c.is_present and s.group_email is not null then 'duplicate_email' end,
        case when c.group_email is null then clean.bad_code('group_email', c.raw_group_email) end,
        case when c.disabled_at is null then clean.bad_directory_time('disabled_at', c.raw_disabled_at) end,
        case when c.expiry_timestamp is null then clean.bad_directory_time('expiry_timestamp', c.raw_expiry_timestamp) end
    ) as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
left join shared s on c.group_email = s.group_email
