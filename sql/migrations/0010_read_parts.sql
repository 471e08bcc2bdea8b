-- Parts that a read under way has committed, so that one which dies goes on behind them; and, planned, those of the last
-- complete read.
create table meta.read_parts (
    source_system text not null,
    entity_type text not null,
    planned boolean not null default false,
    part text collate "C" not null,
    records integer not null,
    keys text[] not null,
    stored_as text not null,
    finished_at timestamptz not null default clock_timestamp(),
    primary key (source_system, entity_type, planned, part)
);
comment on table meta.read_parts is 'Finished parts of a read under way, and the parts of the last complete one';
comment on column meta.read_parts.keys is 'Keys that the part brought; emptied when the read is complete';
comment on column meta.read_parts.stored_as is 'How the stream stored its records then';
grant delete on meta.read_parts to lsats_writer;
