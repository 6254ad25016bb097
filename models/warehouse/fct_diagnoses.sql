{{ config(materialized='incremental', incremental_strategy='by_parent') }}

with visit_diagnoses as (
    select
        'opd' as setting,
        {{ surrogate_key(['diagnoses.hospcode', 'diagnoses.seq', 'diagnoses.date_serv']) }} as parent_key,
        diagnoses.hospcode,
        diagnoses.date_serv as diagnosis_date,
        diagnoses.diagnosis_code,
        diagnoses.diagtype,
        diagnoses.clinic as clinic_code,
        services.hospcode is null as is_orphan,
        diagnoses.delivery_id
    from {{ of_affected(ref('stg_f43__diagnosis_opd'), 'visit') }} as diagnoses
    left join {{ ref('stg_f43__service') }} as services
        on
            diagnoses.hospcode = services.hospcode
            and diagnoses.seq = services.seq
            and diagnoses.date_serv = services.date_serv
),

inpatient_rows as (
    {{ newest_by(of_affected(ref('stg_f43__diagnosis_ipd'), 'stay'), ['hospcode', 'an', 'diagnosis_code']) }}
),

admission_diagnoses as (
    select
        'ipd' as setting,
        {{ surrogate_key(['diagnoses.hospcode', 'diagnoses.an']) }} as parent_key,
        diagnoses.hospcode,
        {{ date_of('diagnoses.datetime_admit') }} as diagnosis_date,
        diagnoses.diagnosis_code,
        diagnoses.diagtype,
        diagnoses.warddiag as clinic_code,
        admissions.admission_key is null as is_orphan,
        diagnoses.delivery_id
    from inpatient_rows as diagnoses
    left join {{ ref('int_admissions__enriched') }} as admissions
        on diagnoses.hospcode = admissions.hospcode and diagnoses.an = admissions.an
),

diagnoses as (
    select * from visit_diagnoses
    union all
    select * from admission_diagnoses
)

select
    setting,
    case when setting = 'opd' then parent_key end as visit_key,
    case when setting = 'ipd' then parent_key end as admission_key,
    hospcode,
    diagnosis_date,
    diagnosis_code,
    diagtype as diagnosis_type,
    coalesce(diagtype = '1', false) as is_principal,
    clinic_code,
    is_orphan,
    delivery_id
from diagnoses
{{ clustered_by('visit_key') }}
