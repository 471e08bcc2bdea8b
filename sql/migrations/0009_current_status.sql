-- A run that waited for a lock in vain is closed before the run that held it: the one that ended last tells the state.
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
order by source_system asc, entity_type asc, coalesce(completed_at, 'infinity') desc, run_seq desc;
