-- The payload of each record that counts, where no history lies: who reads the newest state reads none of the versions
-- before it. The log keeps them all; current_entities stays narrow, for comparing is reading it whole.
create table bronze.live_payloads (
    source_system text not null,
    entity_type text not null,
    external_id text collate "C" not null,
    raw_id uuid not null,
    seq bigint not null,
    payload jsonb not null,
    primary key (source_system, entity_type, external_id)
);
comment on table bronze.live_payloads is 'The last payload of each record of each stream; of a removed one the last before';
comment on column bronze.live_payloads.seq is 'The version in bronze.raw_entities that brought the payload';

-- In the order in which the records came, as they stand in current_entities.
insert into bronze.live_payloads (source_system, entity_type, external_id, raw_id, seq, payload)
select
c.source_system,
c.entity_type,
c.external_id,
r.raw_id,
r.seq,
r.raw_data
from bronze.current_entities c
inner join bronze.raw_entities r on c.live_raw_id = r.raw_id
order by c.first_seq;

-- Said in one place: live_payloads.raw_id.
alter table bronze.current_entities drop column live_raw_id;
comment on column bronze.current_entities.raw_id is 'The newest version, which may be a tombstone';
comment on column bronze.current_entities.first_seq is 'The first version: stable over the record''s life';

-- As of the log: no query looks into payloads by value; the smallest sample gives their width.
alter table bronze.live_payloads alter column payload set statistics 1;

-- Schema bronze gives the writer SELECT by default.
grant insert (source_system, entity_type, external_id, raw_id, seq, payload), update (raw_id, seq, payload)
on bronze.live_payloads to lsats_writer;
create trigger never_emptied before delete or truncate on bronze.live_payloads
for each statement execute function bronze.refuse_rewrite();
