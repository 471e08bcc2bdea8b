-- The queue asks for the newest call of each key, and nobody for those before: one row per key, which the next call changes.
create temporary table newest on commit drop as
select distinct on (source_system, entity_type, external_id)
    source_system,
    entity_type,
    external_id,
    fetched_at,
    list_seq,
    source_version,
    outcome,
    run_id
from meta.detail_fetches
order by source_system asc, entity_type asc, external_id asc, fetch_seq desc;

drop table meta.detail_fetches;
create table meta.detail_fetches (
    source_system text not null,
    entity_type text not null,
    external_id text collate "C" not null,
    fetched_at timestamptz not null default clock_timestamp(),
    list_seq bigint not null,
    source_version text,
    outcome text not null check (outcome in ('found', 'gone', 'quarantined', 'failed', 'denied')),
    run_id uuid not null,
    primary key (source_system, entity_type, external_id)
);
comment on table meta.detail_fetches is 'The newest finished detail call of each key, also when its answer was equal';
comment on column meta.detail_fetches.list_seq is 'seq of the list row that the call followed';
comment on column meta.detail_fetches.source_version is 'source_version of the list record that the call followed';
comment on column meta.detail_fetches.outcome is
'failed: no answer. denied: answered as not there, although the list has it, and not removed';

insert into meta.detail_fetches (
    source_system, entity_type, external_id, fetched_at, list_seq, source_version, outcome, run_id
)
select
    source_system,
    entity_type,
    external_id,
    fetched_at,
    list_seq,
    source_version,
    outcome,
    run_id
from newest;
-- The next queue is planned by what is there.
analyze meta.detail_fetches;
