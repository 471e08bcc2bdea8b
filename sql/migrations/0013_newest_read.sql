-- A replay of quarantined records reads no source: the state of a stream is that of its newest read.
create or replace view meta.current_ingestion_status as
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
where (metadata -> 'extract') ->> 'reason' is distinct from 'replay'
order by source_system asc, entity_type asc, coalesce(completed_at, 'infinity') desc, run_seq desc;
comment on view meta.current_ingestion_status is 'The newest run of each stream and table; replays are none of them';
