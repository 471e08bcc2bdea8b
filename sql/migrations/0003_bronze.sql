-- The append-only log and its current state.
create table bronze.raw_entities (
    raw_id uuid primary key default gen_random_uuid(),
    seq bigint generated always as identity unique,
    source_system text not null,
    entity_type text not null,
    external_id text collate "C" not null check (external_id <> ''),
    change text not null check (change in ('new', 'changed', 'removed', 'returned')),
    raw_data jsonb not null,
    entity_hash bytea not null,
    hash_version smallint not null,
    ingested_at timestamptz not null default now(),
    ingestion_run_id uuid not null,
    ingestion_metadata jsonb not null default '{}'
);
create index on bronze.raw_entities (source_system, entity_type, external_id, seq);
comment on table bronze.raw_entities is 'What the sources said: one row per version of a record; rows never change';
comment on column bronze.raw_entities.seq is 'The change cursor; rows of one stream commit in this order';
comment on column bronze.raw_entities.raw_data is 'Payload after JSON-safe conversion and the declared projection; {} for removed';
comment on column bronze.raw_entities.entity_hash is 'SHA-256 of the content without volatile fields';

create table bronze.current_entities (
    source_system text not null,
    entity_type text not null,
    external_id text collate "C" not null,
    raw_id uuid not null,
    seq bigint not null,
    live_raw_id uuid not null,
    first_seq bigint not null,
    entity_hash bytea not null,
    hash_version smallint not null,
    first_seen_at timestamptz not null,
    changed_at timestamptz not null,
    removed_at timestamptz,
    source_version text,
    primary key (source_system, entity_type, external_id)
);
-- For cursors, and of no use for keys: the condition, which is always true, keeps the planner from taking it for the
-- primary key in a first load, when it has no statistics, and walking a whole stream to find one record.
create index on bronze.current_entities (source_system, entity_type, seq) where seq > 0;
comment on table bronze.current_entities is 'The latest version of each record of each stream';
comment on column bronze.current_entities.live_raw_id is 'The last version with a payload; raw_id may be a tombstone';
comment on column bronze.current_entities.source_version is
'The source''s own mark of modification; it can move while the content stays, and a detail fetched before is then due';

-- No query looks into payloads by value, and reading samples of them is what makes ANALYZE slow.
alter table bronze.raw_entities alter column raw_data set statistics 0;

grant select, insert on bronze.raw_entities to lsats_writer;
grant select, insert, update on bronze.current_entities to lsats_writer;

-- Privileges keep the writer out; the trigger keeps out everybody else, the owner included.
create function bronze.refuse_rewrite() returns trigger
language plpgsql as $$
begin
    raise exception 'bronze.% is append-only: % is refused', tg_table_name, lower(tg_op);
end
$$;
create trigger append_only before update or delete or truncate on bronze.raw_entities
for each statement execute function bronze.refuse_rewrite();
create trigger never_emptied before delete or truncate on bronze.current_entities
for each statement execute function bronze.refuse_rewrite();
