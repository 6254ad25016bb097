{%- set sets = ['CS_URI', 'CS_AD', 'CS_FTW', 'CS_HT', 'CS_LBP', 'CS_HEADACHE', 'CS_SYNCOPE', 'CS_SINUS'] -%}
with visits as (
    select * from {{ of_affected(ref('int_visits__qualified')) }}
    where principal_diagnosis is not null
),

conditions as (
    {{ sets_of_codes('visits', 'principal_diagnosis', sets) }}
)

select
    conditions.set_id,
    visits.visit_key,
    visits.hospcode,
    visits.pid,
    visits.seq,
    visits.date_serv,
    {{ day_number('visits.date_serv') }} as day_number,
    {{ month_start('visits.date_serv') }} as service_month,
    visits.time_serv,
    visits.person_key,
    visits.person_tier,
    visits.visit_class,
    visits.typeout,
    visits.treatment_province_code,
    visits.principal_diagnosis
from visits
inner join conditions on visits.principal_diagnosis = conditions.principal_diagnosis
