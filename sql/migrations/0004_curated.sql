-- What each quality flag costs. The rows come from sql/curated/flag_deductions.csv, where they are reviewed.
create table curated.flag_deductions (
    table_name text not null,
    flag text not null check (flag ~ '^[a-z][a-z0-9_]*$'),
    deduction numeric(3, 2) not null check (deduction between 0 and 1),
    meaning text not null,
    primary key (table_name, flag)
);
comment on table curated.flag_deductions is 'Quality score = 1 minus the deductions of the row''s flags, at least 0';
grant select on curated.flag_deductions to lsats_writer, lsats_reader;
grant usage on schema curated to lsats_reader;
