{{ config(materialized='incremental', incremental_strategy='by_affected_registration') }}

with outpatient as (
    select
        hospcode,
        pid,
        'DIAGNOSIS_OPD' as file,
        seq as care_number,
        {{ record_of(['date_serv', 'seq', 'diagnosis_code']) }} as record,
        date_serv as event_date,
        diagtype,
        diagnosis_code,
        delivery_id,
        source_line
    from {{ of_affected(ref('stg_f43__diagnosis_opd'), 'visit') }}
),

inpatient as (
    select
        hospcode,
        pid,
        'DIAGNOSIS_IPD' as file,
        an as care_number,
        {{ record_of(['an', 'pid', 'datetime_admit', 'diagnosis_code']) }} as record,
        {{ date_of('datetime_admit') }} as event_date,
        diagtype,
        diagnosis_code,
        delivery_id,
        source_line
    from {{ of_affected(ref('stg_f43__diagnosis_ipd'), 'stay') }}
),

diagnoses as (
    select * from outpatient
    union all
    select * from inpatient
),

cares as (
    {{ cares_of_lines('DIAGNOSIS_OPD', 'DIAGNOSIS_IPD') }}
),

sides as (
    select
        hospcode,
        file,
        care_number,
        event_date,
        sum(case when diagtype = '1' then 1 else 0 end) as n_principal,
        sum(case when diagtype = '5' then 1 else 0 end) as n_external
    from diagnoses
    group by hospcode, file, care_number, event_date
),

persons as (
    select * from {{ ref('stg_f43__person') }}
)

select
    diagnoses.hospcode,
    diagnoses.pid,
    diagnoses.file,
    diagnoses.record,
    diagnoses.event_date,
    diagnoses.delivery_id,
    diagnoses.source_line,
    diagnoses.diagnosis_code,
    {{ matches_pattern('diagnoses.diagnosis_code', "'^[A-Z][0-9]{2}[0-9A-Z]{0,3}$'") }} as has_icd10_form,
    diagnoses.diagtype as diagnosis_type,
    persons.sex,
    {{ age_years('persons.birth_month', 'diagnoses.event_date') }} as age,
    cares.care_number is not null as has_care,
    cast(sides.n_principal as integer) as n_principal,
    cast(sides.n_external as integer) as n_external
from diagnoses
inner join sides
    on
        diagnoses.hospcode = sides.hospcode
        and diagnoses.file = sides.file
        and diagnoses.care_number = sides.care_number
        and diagnoses.event_date = sides.event_date
left join cares
    on
        diagnoses.hospcode = cares.hospcode
        and diagnoses.file = cares.file
        and diagnoses.care_number = cares.care_number
        and diagnoses.event_date = cares.care_date
left join persons on diagnoses.hospcode = persons.hospcode and diagnoses.pid = persons.pid
