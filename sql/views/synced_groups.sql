-- Copies of groups of MCommunity in Active Directory.
select
    group_id,
    group_name,
    sam_account_name,
    cn,
    group_email,
    description,
    data_quality_score
from silver.groups
where is_present and is_mcomm_adsync
