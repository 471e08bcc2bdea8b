-- What people have decided of groups in both directories: which are one, and which never are. Refreshes only read it.
create table curated.group_links (
    ad_group_guid uuid not null,
    gid_number bigint not null,
    is_link boolean not null,
    author text not null,
    reason text not null,
    decided_at timestamptz not null default now(),
    primary key (ad_group_guid, gid_number)
);
comment on table curated.group_links is 'Decisions on pairs of groups: is_link true joins them, false keeps them apart';
