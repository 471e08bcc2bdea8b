-- Every quality flag of every silver table: what it means and costs, and how many present rows carry it, after the newest run and
-- after the newest of those that are at least seven days old.
with tables as (
    select distinct table_name
    from curated.flag_deductions
)

select
    d.table_name,
    d.flag,
    d.meaning,
    d.deduction,
    n.present_rows,
    n.quality_mean,
    coalesce(cast(n.flags ->> d.flag as bigint), 0) as flagged_rows,
    round(coalesce(cast(n.flags ->> d.flag as numeric), 0) / nullif(n.present_rows, 0), 4) as flagged_share,
    case when w.flags is not null then coalesce(cast(w.flags ->> d.flag as bigint), 0) end as flagged_rows_before,
    n.completed_at as counted_at,
    w.completed_at as counted_before_at
from tables t
inner join curated.flag_deductions d on t.table_name = d.table_name
cross join lateral (
    select
        r.completed_at,
        cast(r.metadata ->> 'row_count' as bigint) as present_rows,
        cast(r.metadata ->> 'quality_mean' as numeric) as quality_mean,
        r.metadata -> 'flags' as flags
    from meta.ingestion_runs r
    where r.source_system = 'silver_transformation' and r.entity_type = t.table_name and r.status = 'completed'
    order by r.run_seq desc
    limit 1
) n
left join lateral (
    select
        r.completed_at,
        r.metadata -> 'flags' as flags
    from meta.ingestion_runs r
    where
        r.source_system = 'silver_transformation' and r.entity_type = t.table_name and r.status = 'completed'
        and r.completed_at <= now() - interval '7 days'
    order by r.run_seq desc
    limit 1
) w on true
