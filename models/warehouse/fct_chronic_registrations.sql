{{ config(materialized='incremental', incremental_strategy='by_person') }}

with registrations as (
    select * from {{ of_affected(ref('stg_f43__chronic'), 'registration') }}
),

placed as (
    {{ with_person_and_place('registrations') }}
)

select
    {{ surrogate_key(['hospcode', 'pid', 'date_diag', 'chronic_code']) }} as chronic_registration_key,
    hospcode,
    person_key,
    person_tier,
    wide_person_key,
    treatment_province_code,
    date_diag as diagnosed_date,
    chronic_code as diagnosis_code,
    hosp_dx as diagnosing_hospcode,
    hosp_rx as treating_hospcode,
    date_disch as ended_date,
    typedisch as state,
    -- Under treatment, awaiting discharge, lost, back again, or nothing told: the disease is still there.
    date_disch is null and coalesce(typedisch, '04') in ('03', '04', '05', '06', '09', '11') as is_open,
    is_person_unknown as is_orphan,
    delivery_id
from placed
