/*
row = "One group, by its name, of Active Directory, MCommunity or both."
description = """
A copy below MCommADSync is joined to the group of MCommunity with its gidNumber. Any other is joined where its common name is the
name or an alias of a group of MCommunity, and neither has another candidate; groups that are gone are candidates only where
nobody else is. Mail addresses join nothing. What curated.group_links says goes first. Of several groups with one name the
first that was seen has it as group_id, the others with a part of their objectGUID or gidNumber. A source that lost the group
gives no values while the other still has it. Which group is whose copy: most groups stand in one directory, which is no fault.
"""
key = ["group_id"]
whole = true # whom a group is joined to, and which id it has, is told by the names of all others
indexes = ["ad_group_guid", "mcommunity_gid_number", "ou_department"]
sources = {a = "active_directory", m = "mcommunity_ldap"}
told = ["match_method"]

[columns]
group_id = ["text", "Name in lower case: the common name of Active Directory before the name of MCommunity"]
ad_group_guid = ["uuid", "objectGUID in Active Directory"]
sam_account_name = ["text", "Account name"]
display_name = ["text", "Name as it is shown"]
sam_account_type = ["integer", "sAMAccountType"]
object_category = ["text", "Category, a DN"]
mcommunity_group_uid = ["uuid", "UUID made from mcommunity_gid_number"]
mcommunity_gid_number = ["bigint", "gidNumber in MCommunity"]
match_method = ["text", "What joined the two: manual, gid_number, name or alias; NULL where it stands in one"]
group_name = ["text", "Name: Active Directory before MCommunity"]
group_email = ["text", "Mail name of MCommunity, else mail address of Active Directory"]
cn = ["text", "Common name as it is spelled: Active Directory before MCommunity"]
distinguished_name = ["text", "DN: Active Directory before MCommunity"]
description = ["text", "Description: MCommunity before Active Directory"]
group_type = ["integer", "groupType, a mask of bits"]
is_security_group = ["boolean", "Whether it grants rights; NULL outside of Active Directory"]
is_distribution_group = ["boolean", "Whether it is for mail only, as all of MCommunity alone are"]
is_private = ["boolean", "Whether its members are shown to nobody else"]
is_members_only = ["boolean", "Whether only members may write to it"]
is_joinable = ["boolean", "Whether people may join it by themselves"]
expiry_timestamp = ["timestamp with time zone", "When it expires"]
is_mcomm_adsync = ["boolean", "Whether it is a copy of a group of MCommunity"]
ou_root = ["text", "Unit on the first level"]
ou_organization = ["text", "Organization"]
ou_department = ["text", "Department"]
ou_category = ["text", "Category"]
ou_immediate_parent = ["text", "The unit that it stands in"]
ou_full_path = ["jsonb", "Units from the one that it stands in to the root"]
ou_depth = ["integer", "Number of these"]
parent_ou_dn = ["text", "DN of what it stands in"]
managed_by = ["text", "DN of who manages it"]
contact_info = ["jsonb", "telephoneNumber, facsimileTelephoneNumber, umichPostalAddress, labeledUri, as far as filled"]
proxy_addresses = ["jsonb", "Mail addresses with their kind; SMTP: in capitals marks the first"]
when_created = ["timestamp with time zone", "When it was made in Active Directory"]
when_changed = ["timestamp with time zone", "When a controller saw it change, as of the last change of content"]
source_entity_id = ["text", "Same as group_id, for readers of the older name"]

[inputs."silver.ad_groups"]
keeps = "clean.group_name(cn) is not null"

[inputs."silver.mcommunity_groups"]
keeps = "clean.group_name(group_name) is not null"

[inputs."curated.group_links"]
decides = "c.ad_group_guid = t.ad_group_guid or c.gid_number = t.mcommunity_gid_number"
*/
with names as (
    select distinct
        m.gid_number,
        clean.group_name(n.spelling) as name,
        coalesce(n.spelling = m.group_name, false) as is_first
    from silver.mcommunity_groups m
    cross join lateral jsonb_array_elements_text(
        coalesce(m.aliases, '[]') || coalesce(to_jsonb(m.group_name), '[]')
    ) n (spelling)
),

evidence as (
    select
        l.ad_group_guid,
        l.gid_number,
        'manual' as method,
        1 as level
    from curated.group_links l
    where l.is_link
    union all
    select
        a.ad_group_guid,
        a.gid_number,
        'gid_number' as method,
        2 as level
    from silver.ad_groups a
    where a.is_mcommunity_sync
    union all
    select
        a.ad_group_guid,
        n.gid_number,
        case when n.is_first then 'name' else 'alias' end as method,
        case when n.is_first then 3 else 4 end as level
    from silver.ad_groups a
    inner join names n on clean.group_name(a.cn) = n.name
    -- A copy that says of which group says nothing else.
    where not (coalesce(a.is_mcommunity_sync, false) and a.gid_number is not null)
),

-- Each pair once, by the best that speaks for it. A name and an alias are as good as each other.
pairs as (
    select distinct on (e.ad_group_guid, e.gid_number)
        e.ad_group_guid,
        e.gid_number,
        e.method,
        least(e.level, 3) as level,
        a.is_present as is_in_ad,
        m.is_present as is_in_mcommunity
    from evidence e
    inner join silver.ad_groups a on e.ad_group_guid = a.ad_group_guid
    inner join silver.mcommunity_groups m on e.gid_number = m.gid_number
    left join curated.group_links l
        on e.ad_group_guid = l.ad_group_guid and e.gid_number = l.gid_number and not l.is_link
    where l.ad_group_guid is null
    order by e.ad_group_guid, e.gid_number, e.level
),

-- Candidates of a group: the pairs by the best evidence that it has, and of these those with a group that is there.
ranked as (
    select
        p.*,
        rank() over (partition by p.ad_group_guid order by p.level asc, p.is_in_mcommunity desc) as rank_in_ad,
        rank() over (partition by p.gid_number order by p.level asc, p.is_in_ad desc) as rank_in_mcommunity
    from pairs p
),

counted as (
    select
        r.*,
        count(*) filter (where r.rank_in_ad = 1) over (partition by r.ad_group_guid) as candidates_in_mcommunity,
        count(*) filter (where r.rank_in_mcommunity = 1) over (partition by r.gid_number) as candidates_in_ad
    from ranked r
),

joined as (
    select
        c.ad_group_guid,
        c.gid_number,
        c.method
    from counted c
    where
        c.rank_in_ad = 1 and c.candidates_in_mcommunity = 1
        and c.rank_in_mcommunity = 1 and c.candidates_in_ad = 1
),

couples as (
    select
        a.ad_group_guid,
        j.gid_number,
        j.method
    from silver.ad_groups a
    left join joined j on a.ad_group_guid = j.ad_group_guid
    union all
    select
        null as ad_group_guid,
        m.gid_number,
        null as method
    from silver.mcommunity_groups m
    left join joined j on m.gid_number = j.gid_number
    where j.gid_number is null
),

named as (
    select
        c.*,
        coalesce(c.ad_group_guid::text, c.gid_number::text) as source_id,
        -- No index takes a name of any length.
        left(coalesce(clean.group_name(a.cn), clean.group_name(m.group_name)), 150) as name,
        least(a.first_seen_at, m.first_seen_at) as first_seen_at,
        greatest(a.removed_at, m.removed_at) as removed_at,
        coalesce(a.is_present, false) or coalesce(m.is_present, false) as is_present
    from couples c
    left join silver.ad_groups a on c.ad_group_guid = a.ad_group_guid
    left join silver.mcommunity_groups m on c.gid_number = m.gid_number
    where coalesce(clean.group_name(a.cn), clean.group_name(m.group_name)) is not null
),

numbered as (
    select
        n.*,
        row_number() over (
            partition by n.name
            order by n.first_seen_at, n.ad_group_guid is null, n.source_id collate "C" -- noqa: RF03
        ) as place,
        count(*) filter (where n.is_present) over (partition by n.name) as namesakes
    from named n
),

-- The end of a long number, or a name that ends so, may stand twice all the same.
identified as (
    select
        i.*,
        i.short_id || case
            when row_number() over (partition by i.short_id order by i.place, i.source_id collate "C") > 1 -- noqa: RF03
                then '~' || i.source_id
            else ''
        end as group_id
    from (
        select
            n.*,
            n.name || case when n.place > 1 then '~' || right(n.source_id, 8) else '' end as short_id
        from numbered n
    ) i
),

-- Whom a group was compared with, and who else was compared with these: winners, losers, and those that kept the two apart.
met as (
    select
        p.ad_group_guid::text as source_id,
        o.ad_group_guid,
        o.gid_number
    from pairs p
    inner join pairs o on p.gid_number = o.gid_number
    union
    select
        coalesce(j.ad_group_guid::text, p.gid_number::text) as source_id,
        o.ad_group_guid,
        o.gid_number
    from pairs p
    inner join pairs o on p.ad_group_guid = o.ad_group_guid
    left join joined j on p.gid_number = j.gid_number
),

rivals as (
    select
        m.source_id,
        array_agg(distinct m.ad_group_guid::text collate "C") as ad_keys, -- noqa: RF03
        array_agg(distinct m.gid_number::text collate "C") as mcommunity_keys -- noqa: RF03
    from met m
    group by m.source_id
),

-- Both are there, and would be one group if nobody else were.
blocked as (
    select c.ad_group_guid::text as source_id
    from counted c
    where c.is_in_ad and c.is_in_mcommunity and c.rank_in_ad = 1
    union
    select c.gid_number::text as source_id
    from counted c
    where c.is_in_ad and c.is_in_mcommunity and c.rank_in_mcommunity = 1
)

select
    i.group_id,
    a.ad_group_guid,
    a.sam_account_name,
    a.display_name,
    a.sam_account_type,
    a.object_category,
    m.mcommunity_group_uid,
    m.gid_number as mcommunity_gid_number,
    case when a.ad_group_guid is not null and m.gid_number is not null then i.method end as match_method,
    coalesce(a.group_name, m.group_name) as group_name,
    coalesce(m.group_email, a.group_email) as group_email,
    coalesce(a.cn, m.group_name) as cn,
    coalesce(a.distinguished_name, m.distinguished_name) as distinguished_name,
    coalesce(m.description, a.description) as description,
    a.group_type,
    a.is_security_group,
    case
        when a.ad_group_guid is not null then not a.is_security_group
        when m.gid_number is not null then true
    end as is_distribution_group,
    m.is_private,
    m.is_members_only,
    m.is_joinable,
    m.expiry_timestamp,
    coalesce(a.is_mcommunity_sync, false) as is_mcomm_adsync,
    a.ou_root,
    a.ou_organization,
    a.ou_department,
    a.ou_category,
    a.ou_immediate_parent,
    coalesce(a.ou_full_path, '[]') as ou_full_path,
    a.ou_depth,
    a.parent_ou_dn,
    a.managed_by,
    coalesce(m.contact_info, '{}') as contact_info,
    coalesce(a.proxy_addresses, '[]') as proxy_addresses,
    a.when_created,
    a.when_changed,
    i.group_id as source_entity_id,
    jsonb_strip_nulls(jsonb_build_object(
        'silver.ad_groups',
        coalesce(r.ad_keys, case when i.ad_group_guid is not null then array[i.ad_group_guid::text] end),
        'silver.mcommunity_groups',
        coalesce(r.mcommunity_keys, case when i.gid_number is not null then array[i.gid_number::text] end)
    )) as source_keys,
    :field_sources as field_sources,
    array_remove(array[
        case when a.ad_group_guid is not null then 'active_directory' end,
        case when m.gid_number is not null then 'mcommunity_ldap' end
    ], null) as source_systems,
    clean.flags(
        case when m.gid_number is not null and coalesce(m.group_email, a.group_email) is null then 'missing_group_email' end,
        case
            when
                coalesce(a.members, '[]') = '[]' and coalesce(m.members, '[]') = '[]'
                and coalesce(m.nested_members, '[]') = '[]' and coalesce(m.external_members, '[]') = '[]'
                then 'no_members'
        end,
        case when coalesce(m.description, a.description) is null then 'missing_description' end,
        case when m.gid_number is null then 'ad_only' end,
        case when a.ad_group_guid is null then 'mcommunity_only' end,
        case when i.is_present and i.namesakes > 1 then 'duplicate_name' end,
        case when i.method is null and b.source_id is not null then 'several_candidates' end
    ) as quality_flags,
    i.first_seen_at,
    i.is_present,
    case when not i.is_present then i.removed_at end as removed_at
from identified i
left join silver.ad_groups a on i.ad_group_guid = a.ad_group_guid and (a.is_present or not i.is_present)
left join silver.mcommunity_groups m on i.gid_number = m.gid_number and (m.is_present or not i.is_present)
left join rivals r on i.source_id = r.source_id
left join blocked b on i.source_id = b.source_id
