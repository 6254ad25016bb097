{#-
  The rows of fct_facility_cells, of some persons or of all (macros/incremental/contributions.sql).
-#}
{% macro facility_cells(read, persons=none) -%}
with visits as (
    select
        visit_key,
        hospcode,
        service_month,
        right_group,
        visit_class,
        principal_diagnosis
    from {{ of_persons(read('fct_visits'), persons) }} as visits
),

ill_defined as (
    select
        visits.hospcode,
        visits.service_month
    from visits
    left join {{ read('dim_diseases') }} as diseases on visits.principal_diagnosis = diseases.diagnosis_code
    left join {{ read('icd10_chapters') }} as chapters on chapters.code_from = 'R00'
    where
        visits.principal_diagnosis is not null
        and (not coalesce(diseases.is_known, false) or diseases.chapter_code = chapters.chapter_code)
),

departments as (
    select
        visits.visit_key,
        visits.hospcode,
        visits.service_month,
        min(clinics.department_code) as department_code
    from visits
    inner join {{ read('fct_diagnoses') }} as diagnoses on visits.visit_key = diagnoses.visit_key
    inner join {{ read('dim_clinics') }} as clinics on diagnoses.clinic_code = clinics.clinic_code
    where diagnoses.is_principal
    group by visits.visit_key, visits.hospcode, visits.service_month
)

{%- for series, counted, member in [
    ('visits', 'visits', none),
    ('without_principal', '(select * from visits where principal_diagnosis is null)', none),
    ('ill_defined', 'ill_defined', none),
    ('right', 'visits', 'right_group'),
    ('visit_class', 'visits', 'visit_class'),
    ('department', 'departments', 'department_code'),
] %}
select
    hospcode,
    service_month,
    '{{ series }}' as series,
    {{ member or "'all'" }} as member,
    count(*) as n_visits
from {{ counted }} as counted
group by hospcode, service_month{% if member %}, {{ member }}{% endif %}
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
{%- endmacro %}
