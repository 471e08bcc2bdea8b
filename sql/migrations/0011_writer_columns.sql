-- The numbers that put history in order come from the server alone. GENERATED ALWAYS does not see to that: COPY and OVERRIDING
-- SYSTEM VALUE pass it by. So the writer gives the columns that it has to give, and changes of a run what a run changes.
revoke insert on bronze.raw_entities from lsats_writer;
grant insert (
    source_system, entity_type, external_id, change, raw_data, entity_hash, hash_version, ingestion_run_id, ingestion_metadata
) on bronze.raw_entities to lsats_writer;

revoke insert on meta.detail_fetches from lsats_writer;
grant insert (
    source_system, entity_type, external_id, list_seq, source_version, outcome, run_id
) on meta.detail_fetches to lsats_writer;

revoke insert, update on meta.ingestion_runs from lsats_writer;
grant insert (
    source_system, entity_type, mode, dagster_run_id, asset_key, status, completed_at, error_message, metadata
) on meta.ingestion_runs to lsats_writer;
grant update (
    status, completed_at, mode, records_processed, records_created, records_updated, records_skipped, records_removed,
    records_failed, error_message, metadata
) on meta.ingestion_runs to lsats_writer;
