-- What a run renews right after it filled a table only has to do until Postgres looks for itself, some minutes later, as its
-- counters are not reset by this. A fifth of the sample says enough until then, and reads a fifth of the pages.
alter function meta.renew_statistics(regclass, text[]) set default_statistics_target = 20;

-- The smallest sample gives the width of a payload; without it the planner takes payloads for small, and builds hash tables
-- of them where it could build them of keys.
alter table bronze.raw_entities alter column raw_data set statistics 1;
