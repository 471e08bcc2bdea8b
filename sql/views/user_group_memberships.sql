-- People in groups as the lists have them today: a row for each person and group.
select
    m.member_uniqname as uniqname,
    g.group_id,
    g.group_name,
    g.sam_account_name,
    m.is_direct_member,
    m.source_systems,
    g.is_mcomm_adsync,
    g.source_systems as group_source_systems
from silver.group_members m
inner join silver.groups g on m.group_id = g.group_id
where m.is_present and g.is_present and m.member_uniqname is not null
