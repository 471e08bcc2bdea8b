-- People who have a login today. Of somebody who asks for privacy the login name stands and nothing else: all other columns
-- come from `p`, which then has no row. An id of another person stands where that one is here and open, too. Whatever view
-- shows people takes them from this one; who is open there has an updated_at.
with open_people as not materialized (
    select * from silver.users
    where is_present and is_private is false
)

select
    u.uniqname,
    p.tdx_user_uid,
    p.umich_empl_id,
    p.umich_empl_ids,
    p.ldap_uid_number,
    p.ldap_gid_number,
    p.ad_object_guid,
    p.ad_sam_account_name,
    p.ad_object_sid,
    p.ad_account_locked,
    p.ad_last_logon,
    p.ad_last_logon_timestamp,
    p.ad_pwd_last_set,
    p.ou_department_ids,
    p.ad_parent_ou_dn,
    p.ad_primary_group_id,
    p.tdx_security_role_id,
    p.tdx_is_confidential,
    p.first_name,
    p.last_name,
    p.full_name,
    p.preferred_name,
    p.primary_email,
    p.work_phone,
    p.work_phone_extension,
    p.work_address_line1,
    p.work_address_line2,
    p.work_address_line3,
    p.work_city,
    p.work_state,
    p.work_postal_code,
    p.work_country,
    p.mobile_phone,
    p.department_id,
    p.department_name,
    p.department_ids,
    p.job_title,
    p.department_job_title,
    p.primary_job_code,
    p.job_codes,
    (
        select p.primary_supervisor_id from open_people s
        where s.uniqname = p.primary_supervisor_uniqname
    ) as primary_supervisor_id,
    p.primary_supervisor_uniqname,
    (
        select jsonb_agg(case when s.uniqname is not null then i.item else i.item - 'empl_id' end order by i.place)
        from jsonb_array_elements(p.supervisor_ids) with ordinality i (item, place)
        left join open_people s on i.item ->> 'uniqname' = s.uniqname
    ) as supervisor_ids,
    (
        select m.tdx_user_uid from open_people m
        where m.tdx_user_uid = p.reports_to_uid
    ) as reports_to_uid,
    p.is_pi,
    p.pi_source,
    p.is_active,
    p.is_employee,
    p.person_type,
    p.account_type,
    p.ad_account_disabled,
    p.mcommunity_ou_affiliations,
    p.ad_ou_root,
    p.ad_ou_organization,
    p.ad_ou_department,
    p.ad_ou_full_path,
    p.ad_group_memberships,
    p.tdx_group_ids,
    p.tdx_external_id,
    p.tdx_beid,
    p.tdx_security_role_name,
    p.home_directory,
    p.login_shell,
    p.tdx_is_employee,
    p.source_entity_id,
    p.source_systems,
    p.field_sources,
    p.data_quality_score,
    p.quality_flags,
    p.first_seen_at,
    p.updated_at
from silver.users u
left join open_people p on u.uniqname = p.uniqname
where u.is_present
