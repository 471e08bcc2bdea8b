-- Rooms of the database. Everything is owned by lsats_owner; the writer runs the assets, the reader sees views.
create schema bronze;
create schema enriched;
create schema silver;
create schema curated;
create schema clean;

comment on schema bronze is 'Append-only log of what the sources said, its current state, and one view per list stream';
comment on schema enriched is 'One view per detail stream';
comment on schema silver is 'Typed tables of one source and tables merged over sources; views v_* for readers';
comment on schema curated is 'Data kept by people and reviewed in the repository; no refresh writes it';
comment on schema clean is 'Cleaning functions: a bad value becomes NULL, never an error';

grant usage on schema bronze, enriched, silver, curated, clean, meta to lsats_writer;
grant usage on schema silver, meta to lsats_reader;
grant select on meta.schema_migrations to lsats_writer;

alter default privileges in schema silver grant select, insert, update on tables to lsats_writer;
alter default privileges in schema bronze, enriched, curated grant select on tables to lsats_writer;
alter default privileges in schema meta grant select, insert, update on tables to lsats_writer;
alter default privileges in schema meta grant usage on sequences to lsats_writer;
alter default privileges in schema clean grant execute on functions to lsats_writer;
