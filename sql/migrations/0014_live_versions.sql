-- The last payload of a record is looked up in the log, by its number: each costs one entry of an index, whatever the
-- history. Keeping all of them a second time made a first load a fifth dearer.
alter table bronze.current_entities add column live_seq bigint;
update bronze.current_entities c
set live_seq = p.seq
from bronze.live_payloads p
where
    p.source_system = c.source_system
    and p.entity_type = c.entity_type
    and p.external_id = c.external_id;
alter table bronze.current_entities alter column live_seq set not null;
comment on column bronze.current_entities.live_seq is 'The last version with a payload; seq may be that of a tombstone';

drop table bronze.live_payloads;
