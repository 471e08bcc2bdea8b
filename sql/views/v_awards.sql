-- Awards that run or ran, one row each: silver.lab_awards repeats their amounts for each person, role and department.
select distinct on (award_id)
    award_id,
    project_grant_id,
    award_title,
    award_class,
    award_total_dollars,
    award_direct_dollars,
    award_indirect_dollars,
    facilities_admin_rate,
    award_start_date,
    award_end_date,
    pre_nce_end_date,
    award_publish_date,
    direct_sponsor_name,
    direct_sponsor_category,
    direct_sponsor_subcategory,
    direct_sponsor_reference,
    prime_sponsor_name,
    prime_sponsor_category,
    prime_sponsor_subcategory,
    prime_sponsor_reference,
    award_admin_department,
    award_admin_school_college,
    data_quality_score,
    quality_flags,
    updated_at
from silver.lab_awards
where is_present and award_id is not null
order by award_id, not is_pi_role, award_record_id collate "C"
