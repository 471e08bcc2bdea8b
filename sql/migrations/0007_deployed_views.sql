-- Views are made again by every upgrade; what they were made from tells whether one is due.
create table meta.deployed_views (
    view_name text primary key,
    script_hash text not null,
    deployed_at timestamptz not null default now()
);
comment on table meta.deployed_views is 'The script that each view was last made from';
revoke insert, update on meta.deployed_views from lsats_writer;
