-- Appointments that exist today, of people who are open: of others even the number of them would tell something.
select
    p.uniqname,
    p.full_name,
    e.empl_id,
    e.empl_rcd,
    e.is_primary,
    e.department_id,
    e.dept_description as department_name,
    e.jobcode as job_code,
    e.university_job_title,
    e.department_job_title,
    s.uniqname as supervisor_uniqname,
    e.work_address_line1,
    e.work_address_line2,
    e.work_city,
    e.work_state,
    e.work_postal_code,
    e.work_country,
    e.work_phone,
    e.data_quality_score,
    e.quality_flags,
    e.first_seen_at,
    e.updated_at
from silver.umapi_employees e
inner join silver.person_records r
    on e.empl_id || ':' || e.empl_rcd::text = r.record_key and r.source_table = 'umapi_employees'
inner join silver.v_people p on r.uniqname = p.uniqname
left join silver.employee_links s on e.supervisor_id = s.empl_id
where e.is_present and p.updated_at is not null
