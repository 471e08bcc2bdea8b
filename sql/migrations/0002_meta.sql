-- Records of runs and of everything that keeps runs honest.
create table meta.ingestion_runs (
    run_id uuid primary key default gen_random_uuid(),
    run_seq bigint generated always as identity unique,
    source_system text not null,
    entity_type text not null,
    started_at timestamptz not null default clock_timestamp(),
    completed_at timestamptz,
    status text not null default 'running' check (status in ('running', 'completed', 'failed')),
    records_processed bigint not null default 0,
    records_created bigint not null default 0,
    records_updated bigint not null default 0,
    records_skipped bigint not null default 0,
    records_removed bigint not null default 0,
    records_failed bigint not null default 0,
    mode text not null check (mode in ('full', 'incremental')),
    dagster_run_id text,
    asset_key text,
    error_message text,
    metadata jsonb not null default '{}'
);
create index on meta.ingestion_runs (source_system, entity_type, run_seq desc);
create index on meta.ingestion_runs (status) where status = 'running';
comment on table meta.ingestion_runs is 'One row per materialization of a bronze, enriched or silver table';
comment on column meta.ingestion_runs.run_seq is 'Order in which runs were opened; clocks can go back, this cannot';
comment on column meta.ingestion_runs.records_created is 'Rows new to the table; bronze: new and returned';
comment on column meta.ingestion_runs.records_skipped is 'Records that were read and needed no write';
comment on column meta.ingestion_runs.records_failed is 'Records kept aside in meta.quarantine';

create view meta.current_ingestion_status as
select distinct on (source_system, entity_type)
    source_system,
    entity_type,
    run_id,
    status,
    mode,
    started_at,
    completed_at,
    records_processed,
    error_message
from meta.ingestion_runs
order by source_system asc, entity_type asc, run_seq desc;
comment on view meta.current_ingestion_status is 'The newest run of each stream and table';

create table meta.quarantine (
    quarantine_id uuid primary key default gen_random_uuid(),
    source_system text not null,
    entity_type text not null,
    external_id text,
    stage text not null check (stage in ('read', 'key', 'convert', 'duplicate')),
    reason text not null,
    payload text,
    payload_hash bytea not null,
    run_id uuid not null,
    quarantined_at timestamptz not null default now(),
    resolved_at timestamptz,
    resolution text check (resolution in ('replayed', 'superseded')),
    resolved_by uuid,
    check ((resolved_at is null) = (resolution is null))
);
create unique index on meta.quarantine (source_system, entity_type, coalesce(external_id, ''), payload_hash)
where resolved_at is null;
create index on meta.quarantine (source_system, entity_type, external_id) where resolved_at is null;
comment on table meta.quarantine is 'Records that could not be read, keyed or converted, kept until replayed or superseded';
comment on column meta.quarantine.payload is 'JSON text as far as it could be read; text, because jsonb refuses some of it';
comment on column meta.quarantine.resolution is 'superseded: a later complete read no longer brought this record';

create table meta.detail_fetches (
    fetch_seq bigint generated always as identity primary key,
    source_system text not null,
    entity_type text not null,
    external_id text collate "C" not null,
    fetched_at timestamptz not null default clock_timestamp(),
    list_seq bigint not null,
    source_version text,
    outcome text not null check (outcome in ('found', 'gone', 'quarantined')),
    run_id uuid not null
);
create index on meta.detail_fetches (source_system, entity_type, external_id, fetch_seq desc);
comment on table meta.detail_fetches is 'One row per finished detail call, also when its answer was equal';
comment on column meta.detail_fetches.list_seq is 'seq of the list row that the call followed';
comment on column meta.detail_fetches.source_version is 'source_version of the list record that the call followed';

create table meta.refused_removals (
    run_id uuid not null,
    external_id text collate "C" not null,
    primary key (run_id, external_id)
);
comment on table meta.refused_removals is 'Ids that the removal guard kept; approve_removals names the run';

create table meta.call_windows (
    method text primary key,
    ends_at timestamptz not null,
    seconds double precision not null,
    allowance integer not null,
    used integer not null
);
comment on table meta.call_windows is 'The rate window of each limited method, shared by all runs';

create table meta.alerts (
    alert_key text primary key,
    last_sent_at timestamptz not null,
    last_cause text,
    held_back integer not null default 0
);
comment on table meta.alerts is 'When each alert was last sent, and how often it was raised since';

create table meta.silver_definitions (
    table_name text primary key,
    definition_hash text not null,
    deployed_at timestamptz not null default now()
);
comment on table meta.silver_definitions is 'The definition that each silver table was last made from';

-- Only its owner may ANALYZE a table, and the writer must own none.
create function meta.renew_statistics(target regclass, columns text[]) returns void
language plpgsql security definer
set search_path = pg_catalog as $$
begin
    if (select nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = target)
        not in ('bronze', 'silver') then
        raise exception '% is no table of the hub', target;
    end if;
    execute format('analyze %s (%s)', target, (select string_agg(quote_ident(c), ', ') from unnest(columns) c));
end
$$;
revoke execute on function meta.renew_statistics(regclass, text[]) from public;
grant execute on function meta.renew_statistics(regclass, text[]) to lsats_writer;
comment on function meta.renew_statistics(regclass, text[]) is 'ANALYZE for the writer, after it filled a table';

create sequence meta.changed_seq;
comment on sequence meta.changed_seq is 'One value per silver refresh that writes; the cursor of what reads silver';
grant usage, select on sequence meta.changed_seq to lsats_writer;

grant select on meta.ingestion_runs, meta.current_ingestion_status to lsats_reader;
revoke update on meta.detail_fetches, meta.refused_removals from lsats_writer;
revoke insert, update on meta.silver_definitions from lsats_writer;
