{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set min_age = measure_parameter('NEC-02', 'min_age_years') | int -%}
{%- set principal_sets = [
    'main', 'oecd_5', 'nhs_19', 'nhs_19_no_operation', 'nhs_19_no_heart_operation', 'bronchitis', 'asthma',
    'pregnancy_newborn'
] -%}
{%- set any_sets = ['nhs_19_any', 'pneumonia', 'sickle_cell', 'copd', 'respiratory_anomaly', 'pregnancy_newborn'] -%}

with admissions as (
    select * from {{ of_affected(ref('fct_admissions')) }}
),

diagnoses as (
    select
        admission_key,
        diagnosis_code
    from {{ of_affected(ref('fct_diagnoses'), 'admission') }}
    where setting = 'ipd'
    union all
    select
        admission_key,
        principal_diagnosis as diagnosis_code
    from admissions
    where principal_diagnosis is not null
),

-- Few codes, many diagnoses: each code is matched once.
code_classes as (
    select distinct
        codes.diagnosis_code,
        substr(code_sets.set_id, 6) as code_class
    from (select distinct diagnosis_code from diagnoses) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on
            substr(code_sets.set_id, 1, 5) = 'acsc_'
            and {{ matches_pattern('codes.diagnosis_code', 'code_sets.pattern') }}
),

principal_classes as (
    select
        diagnosis_code
        {%- for name in principal_sets %},
        max(case when code_class = '{{ name }}' then 1 else 0 end) as is_{{ name }}
        {%- endfor %}
    from code_classes
    group by diagnosis_code
),

any_classes as (
    select
        diagnoses.admission_key
        {%- for name in any_sets %},
        max(case when code_classes.code_class = '{{ name }}' then 1 else 0 end) as has_{{ name }}
        {%- endfor %}
    from diagnoses
    inner join code_classes on diagnoses.diagnosis_code = code_classes.diagnosis_code
    group by diagnoses.admission_key
),

procedures as (
    select
        admission_key,
        procedure_code
    from {{ of_affected(ref('fct_procedures')) }}
    where setting = 'ipd'
),

operation_codes as (
    {{ sets_of_codes('procedures', 'procedure_code', ['CS_OPERATION', 'heart_operation']) }}
),

operated as (
    select
        procedures.admission_key,
        max(case when operation_codes.set_id = 'heart_operation' then 1 else 0 end) as has_heart_operation
    from procedures
    inner join operation_codes on procedures.procedure_code = operation_codes.procedure_code
    group by procedures.admission_key
),

classified as (
    select
        admissions.admission_key,
        admissions.hospcode,
        admissions.person_key,
        admissions.person_tier,
        admissions.discharged_at,
        admissions.price,
        {{ home_province('persons') }} as province_code,
        coalesce({{ age_years('persons.birth_month', 'admissions.admitted_at') }} >= {{ min_age }}, false)
        and coalesce(admissions.discharge_type, '') not in ('8', '9')
        and coalesce(admissions.discharge_status, '') not in ('8', '9')
        and coalesce(admissions.typein, '') <> '3'
        and {{ date_of('admissions.admitted_at') }} < {{ date_of('admissions.discharged_at') }}
        and any_classes.has_pregnancy_newborn = 0 as is_of_oecd,
        coalesce(principal_classes.is_main, 0) = 1 as is_main,
        coalesce(principal_classes.is_oecd_5, 0) = 1
        and not (coalesce(principal_classes.is_asthma, 0) = 1 and any_classes.has_respiratory_anomaly = 1) as is_oecd_5,
        coalesce(principal_classes.is_nhs_19, 0) = 1
        or (coalesce(principal_classes.is_nhs_19_no_operation, 0) = 1 and operated.admission_key is null)
        or (
            coalesce(principal_classes.is_nhs_19_no_heart_operation, 0) = 1
            and coalesce(operated.has_heart_operation, 0) = 0
        )
        or any_classes.has_nhs_19_any = 1
        or (any_classes.has_pneumonia = 1 and any_classes.has_sickle_cell = 0)
        or (coalesce(principal_classes.is_bronchitis, 0) = 1 and any_classes.has_copd = 1) as is_nhs_19,
        coalesce(admissions.typein, '') <> '2' as is_unplanned
    from admissions
    inner join any_classes on admissions.admission_key = any_classes.admission_key
    left join principal_classes on admissions.principal_diagnosis = principal_classes.diagnosis_code
    left join operated on admissions.admission_key = operated.admission_key
    left join {{ ref('dim_persons') }} as persons on admissions.person_key = persons.person_key
)

-- The population is the denominator: a row is an admission that counts.
{% for variant, condition in {
    'main': 'is_main and is_of_oecd', 'oecd_5': 'is_oecd_5 and is_of_oecd', 'nhs_19': 'is_nhs_19 and is_unplanned'
}.items() -%}
select
    'NEC-02' as measure_id,
    '{{ variant }}' as variant,
    admission_key as event_key,
    {{ date_of('discharged_at') }} as event_date,
    {{ month_start('discharged_at') }} as service_month,
    hospcode,
    province_code,
    person_key,
    true as is_numerator,
    person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    cast(price as decimal(18, 2)) as price
from classified
where {{ condition }}
{% if not loop.last %}union all
{% endif %}
{%- endfor %}
