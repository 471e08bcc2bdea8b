/*
row = "One organizational unit of Active Directory in the branches of labs and of workstations."
description = """
From the units Research and Instrumentation and Workstations of LSA (bronze.ad_organizational_units); units above them have no
row. Computers and units directly below are counted from what is there now. A unit may be named after a person:
uniqname_candidate is what its name holds, extracted_uniqname the same where somebody has, or had, that login name, and it says
nothing of how a branch is ordered. whenChanged, uSN and replication are of the last change of content. A unit that was deleted,
or moved out, stands with is_present = false.
"""
key = ["object_guid"]
whole = true # some two thousand units, which are counted below one another
indexes = ["dn_key", "parent_dn_key", "extracted_uniqname", "ou_department"]

[columns]
object_guid = ["uuid", "objectGUID of the unit"]
ou_name = ["text", "Name of the unit"]
name = ["text", "Name of the object"]
distinguished_name = ["text", "DN"]
dn_key = ["text", "DN in lower case, as DNs are compared"]
description = ["text", "Description, the first where there are several"]
managed_by = ["text", "DN of who manages it"]
gp_link = ["text", "Policies that are linked to it"]
gp_options = ["text", "1: policies from above do not reach it"]
object_category = ["text", "Category, a DN"]
object_class = ["jsonb", "Classes of the object"]
instance_type = ["integer", "instanceType"]
system_flags = ["integer", "systemFlags, a mask of bits"]
ou_root = ["text", "Unit on the first level"]
ou_organization_type = ["text", "Unit on the second level"]
ou_organization = ["text", "Organization"]
ou_category = ["text", "Category"]
ou_status = ["text", "Status, in branches that have that level"]
ou_division = ["text", "Division"]
ou_department = ["text", "Department"]
ou_subdepartment = ["text", "Subdepartment"]
ou_immediate_parent = ["text", "The unit that it stands in"]
ou_full_path = ["jsonb", "Units from itself to the root"]
ou_depth = ["integer", "Number of these"]
parent_ou_dn = ["text", "DN of what it stands in"]
parent_dn_key = ["text", "The same in lower case"]
depth_category = ["text", "high_level, region, department, lab_grouping or potential_lab, by branch and depth"]
direct_computer_count = ["integer", "Computers that stand in it"]
has_computer_children = ["boolean", "Whether there are any"]
child_ou_count = ["integer", "Units that stand in it"]
has_child_ous = ["boolean", "Whether there are any"]
uniqname_candidate = ["text", "Login name that its name may hold"]
extracted_uniqname = ["text", "The same, if it is the login name of somebody"]
name_patterns = ["jsonb", "Which forms its name has: dept_uniqname, uniqname_only, lab_suffix, has_hyphen"]
when_created = ["timestamp with time zone", "When it was made"]
when_changed = ["timestamp with time zone", "When a controller saw it change, as of the last change of content"]
usn_created = ["bigint", "Number of its making at one controller"]
usn_changed = ["bigint", "Number of its change at one controller, as of the last change of content"]
ds_core_propagation_data = ["jsonb", "Times of its replication, as of the last change of content"]

[inputs."bronze.ad_organizational_units"]

[inputs."silver.ad_computers"]

[inputs."silver.mcommunity_users"]

[inputs."silver.umapi_employees"]

[inputs."silver.tdx_users"]
*/
with cleaned as (
    select
        d.external_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        coalesce(clean.text(f.ou), clean.text(f.name)) as ou_name,
        clean.text(f.name) as name,
        coalesce(clean.dn(f."distinguishedName"), clean.dn(f.dn)) as distinguished_name,
        lower(coalesce(clean.dn(f."distinguishedName"), clean.dn(f.dn))) as dn_key,
        lower(clean.parent_dn(coalesce(clean.dn(f."distinguishedName"), clean.dn(f.dn)))) as parent_dn_key,
        clean.ou_path(coalesce(clean.dn(f."distinguishedName"), clean.dn(f.dn))) as path,
        clean.uniqname_candidate(coalesce(clean.text(f.ou), clean.text(f.name))) as candidate,
        clean.text(f.description) as description,
        clean.text(f."managedBy") as managed_by,
        clean.text(f."gPLink") as gp_link,
        clean.text(f."gPOptions") as gp_options,
        clean.text(f."objectCategory") as object_category,
        clean.texts(f."objectClass") as object_class,
        clean.integer(f."instanceType") as instance_type,
        clean.integer(f."systemFlags") as system_flags,
        clean.directory_time(f."whenCreated") as when_created,
        clean.directory_time(f."whenChanged") as when_changed,
        clean.bigint(f."uSNCreated") as usn_created,
        clean.bigint(f."uSNChanged") as usn_changed,
        clean.texts(f."dSCorePropagationData") as ds_core_propagation_data,
        clean.flags(
            clean.bad_integer('instance_type', f."instanceType"),
            clean.bad_integer('system_flags', f."systemFlags"),
            clean.bad_directory_time('when_created', f."whenCreated"),
            clean.bad_directory_time('when_changed', f."whenChanged"),
            clean.bad_bigint('usn_created', f."uSNCreated"),
            clean.bad_bigint('usn_changed', f."uSNChanged")
        ) as unreadable
    from bronze.ad_organizational_units d
    cross join lateral jsonb_to_record(d.payload) f (
        ou jsonb,
        name jsonb,
        "distinguishedName" jsonb,
        dn jsonb,
        description jsonb,
        "managedBy" jsonb,
        "gPLink" jsonb,
        "gPOptions" jsonb,
        "objectCategory" jsonb,
        "objectClass" jsonb,
        "instanceType" text,
        "systemFlags" text,
        "whenCreated" text,
        "whenChanged" text,
        "uSNCreated" text,
        "uSNChanged" text,
        "dSCorePropagationData" jsonb
    )
    offset '0' -- each value is cleaned once, however often it is used
),

-- Candidates that are the login name of somebody, of those who have left too.
known as (
    select m.uniqname from silver.mcommunity_users m
    where m.uniqname in (select c.candidate from cleaned c)
    union
    select e.uniqname from silver.umapi_employees e
    where e.uniqname in (select c.candidate from cleaned c)
    union
    select u.uniqname from silver.tdx_users u
    where u.uniqname in (select c.candidate from cleaned c)
),

computers as (
    select
        lower(a.parent_ou_dn) as dn_key,
        count(a.object_guid)::integer as members
    from silver.ad_computers a
    where a.is_present
    group by lower(a.parent_ou_dn)
),

children as (
    select
        c.parent_dn_key as dn_key,
        count(c.external_id)::integer as members
    from cleaned c
    where c.is_present
    group by c.parent_dn_key
),

shared as (
    select c.dn_key from cleaned c
    where c.is_present
    group by c.dn_key
    having count(*) > 1
)

select
    c.external_id::uuid as object_guid,
    c.ou_name,
    c.name,
    c.distinguished_name,
    c.dn_key,
    c.description,
    c.managed_by,
    c.gp_link,
    c.gp_options,
    c.object_category,
    c.object_class,
    c.instance_type,
    c.system_flags,
    clean.from_root(c.path, 1) as ou_root,
    clean.from_root(c.path, 2) as ou_organization_type,
    clean.from_root(c.path, 3) as ou_organization,
    clean.from_root(c.path, 4) as ou_category,
    case when clean.status_levels(c.path) = 1 then clean.from_root(c.path, 5) end as ou_status,
    clean.from_root(c.path, 5 + clean.status_levels(c.path)) as ou_division,
    clean.from_root(c.path, 6 + clean.status_levels(c.path)) as ou_department,
    clean.from_root(c.path, 7 + clean.status_levels(c.path)) as ou_subdepartment,
    c.path[2] as ou_immediate_parent,
    to_jsonb(c.path) as ou_full_path,
    cardinality(c.path) as ou_depth,
    clean.parent_dn(c.distinguished_name) as parent_ou_dn,
    c.parent_dn_key,
    case
        when cardinality(c.path) >= 8 then 'potential_lab'
        when cardinality(c.path) = 7
            then case when clean.from_root(c.path, 4) = 'Workstations' then 'lab_grouping' else 'department' end
        when cardinality(c.path) = 6
            then case when clean.from_root(c.path, 4) = 'Research and Instrumentation' then 'region' else 'department' end
        when cardinality(c.path) = 5 and clean.from_root(c.path, 4) = 'Workstations' then 'region'
        else 'high_level'
    end as depth_category,
    coalesce(p.members, 0) as direct_computer_count,
    p.members is not null as has_computer_children,
    coalesce(o.members, 0) as child_ou_count,
    o.members is not null as has_child_ous,
    c.candidate as uniqname_candidate,
    case when not clean.is_structural_name(c.ou_name) then k.uniqname end as extracted_uniqname,
    jsonb_build_object(
        'dept_uniqname', coalesce(c.ou_name ~ '^[A-Za-z]{2,6}-[A-Za-z]{3,8}$', false),
        'uniqname_only', coalesce(c.ou_name ~ '^[A-Za-z]{3,8}$', false),
        'lab_suffix', coalesce(lower(c.ou_name) like '%lab', false),
        'has_hyphen', coalesce(c.ou_name like '%-%', false)
    ) as name_patterns,
    c.when_created,
    c.when_changed,
    c.usn_created,
    c.usn_changed,
    c.ds_core_propagation_data,
    c.raw_id,
    c.first_seq,
    array['active_directory'] as source_systems,
    clean.flags(
        case when c.ou_name is null then 'missing_name' end,
        case
            when coalesce(clean.from_root(c.path, 4), '') not in ('Research and Instrumentation', 'Workstations')
                then 'unknown_branch'
        end,
        case
            when c.candidate is not null and (k.uniqname is null or clean.is_structural_name(c.ou_name))
                then 'candidate_not_a_person'
        end,
        case when c.is_present and s.dn_key is not null then 'duplicate_dn' end,
        case when c.distinguished_name is null then 'bad_dn' end
    ) || c.unreadable as quality_flags,
    c.first_seen_at,
    c.is_present,
    c.removed_at
from cleaned c
left join known k on c.candidate = k.uniqname
left join computers p on c.dn_key = p.dn_key
left join children o on c.dn_key = o.dn_key
left join shared s on c.dn_key = s.dn_key
