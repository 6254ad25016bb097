{{ config(materialized='view') }}

select
    admissions.admission_key,
    admissions.hospcode,
    admissions.pid,
    admissions.an,
    admissions.seq,
    admissions.person_key,
    admissions.person_tier,
    episodes.episode_key,
    episodes.stay_number,
    admissions.admitted_at,
    admissions.discharged_at,
    admissions.discharge_month,
    admissions.bed_days,
    admissions.typein,
    admissions.discharge_type,
    admissions.discharge_status,
    admissions.principal_diagnosis,
    admissions.instype,
    admissions.right_group,
    admissions.facility_type_group,
    admissions.affiliation_group,
    admissions.treatment_province_code,
    admissions.treatment_region_code,
    admissions.drg,
    admissions.relative_weight,
    admissions.adjusted_relative_weight,
    admissions.cost,
    admissions.price,
    admissions.pay_price,
    admissions.actual_pay,
    admissions.updated_at,
    admissions.delivery_id,
    admissions.row_flags
from {{ in_own_database(ref('int_admissions__enriched')) }} as admissions
left join {{ in_own_database(ref('int_admissions__merged_to_episodes')) }} as episodes
    on admissions.admission_key = episodes.admission_key
