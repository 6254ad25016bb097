{%- set sets = ['CS_URI', 'CS_AD', 'CS_FTW', 'CS_HT', 'CS_LBP', 'CS_HEADACHE', 'CS_SYNCOPE', 'CS_SINUS'] -%}
with visits as (
    select * from {{ ref('int_visits__merged') }}
    where principal_diagnosis is not null
),

-- Few codes, many visits: each code is matched once.
conditions as (
    select distinct
        code_sets.set_id,
        codes.principal_diagnosis
    from (select distinct principal_diagnosis from visits) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on
            code_sets.set_id in ('{{ sets | join("', '") }}')
            and {{ matches_pattern('codes.principal_diagnosis', 'code_sets.pattern') }}
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
