{%- set sets = [
    'CS_OTHER_INFECTION', 'CS_IMMUNE', 'CS_CKD3', 'CS_LBP', 'CS_LBP_EXCLUDED', 'CS_HEADACHE_EXCLUDED',
    'CS_SYNCOPE_EXCLUDED', 'CS_SINUS', 'CS_SINUS_EXCLUDED', 'CS_IMAGING_EXCLUDED', 'CS_SCREENING_BREAST',
    'CS_PREGNANCY', 'CS_LAB_EXCLUDED'
] -%}
with diagnoses as (
    select
        hospcode,
        pid,
        date_serv as diagnosis_date,
        diagnosis_code
    from {{ of_affected(ref('stg_f43__diagnosis_opd'), 'registration') }}
    union all
    select
        hospcode,
        pid,
        {{ date_of('datetime_admit') }} as diagnosis_date,
        diagnosis_code
    from {{ of_affected(ref('stg_f43__diagnosis_ipd'), 'registration') }}
),

-- Not from the lines above: read twice, they would be held in memory whole.
coded as (
    select diagnosis_code from {{ of_affected(ref('stg_f43__diagnosis_opd'), 'registration') }}
    union all
    select diagnosis_code from {{ of_affected(ref('stg_f43__diagnosis_ipd'), 'registration') }}
),

grouped as (
    {{ sets_of_codes('coded', 'diagnosis_code', sets) }}
)

select distinct
    grouped.set_id,
    persons.person_key,
    diagnoses.hospcode,
    diagnoses.diagnosis_date,
    {{ day_number('diagnoses.diagnosis_date') }} as day_number
from diagnoses
inner join grouped on diagnoses.diagnosis_code = grouped.diagnosis_code
inner join {{ ref('int_persons__identified') }} as persons
    on diagnoses.hospcode = persons.hospcode and diagnoses.pid = persons.pid
