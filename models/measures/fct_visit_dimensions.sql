{{ config(materialized='incremental', incremental_strategy='by_person') }}

select
    visits.visit_key,
    visits.person_key,
    coalesce(visits.right_group, 'unknown') as right_group,
    coalesce(diseases.condition_group, 'unknown') as condition_group,
    coalesce({{ hour_of('visits.time_serv') }}, 'unknown') as hour
from {{ of_affected(ref('int_visits__enriched')) }} as visits
left join {{ of_affected(ref('int_visits__qualified')) }} as conditions on visits.visit_key = conditions.visit_key
left join {{ ref('dim_diseases') }} as diseases on conditions.principal_diagnosis = diseases.diagnosis_code
