{{ config(materialized='incremental', incremental_strategy='by_person') }}
{{ whole_when_moves('first_day') }}

{%- set window = measure_parameter('RED-04', 'window_days') | int -%}
{%- set scan_window = measure_parameter('RED-04', 'scan_window_days') | int -%}
{%- set post_operative = measure_parameter('RED-04', 'post_operative_days') | int -%}
{%- set variants = ['main', 'elsewhere', '28_days'] -%}
with data as (
    select min(date_serv) as first_day
    from {{ ref('int_visits__enriched') }}
),

procedures as (
    select * from {{ of_affected(ref('fct_procedures')) }}
),

diagnoses as (
    select * from {{ of_affected(ref('int_diagnoses__grouped')) }}
),

excluded as (
    select distinct
        person_key,
        hospcode,
        diagnosis_date
    from diagnoses
    where set_id = 'CS_IMAGING_EXCLUDED'
),

screened as (
    select distinct
        person_key,
        hospcode,
        diagnosis_date
    from diagnoses
    where set_id = 'CS_SCREENING_BREAST'
),

images as (
    select
        procedures.*,
        {{ day_number('procedures.procedure_date') }} as day_number,
        visits.time_serv,
        visits.seq
    from procedures
    left join {{ of_affected(ref('int_visits__enriched')) }} as visits on procedures.visit_key = visits.visit_key
    left join excluded
        on
            procedures.person_key = excluded.person_key
            and procedures.hospcode = excluded.hospcode
            and procedures.procedure_date = excluded.diagnosis_date
    left join screened
        on
            procedures.person_key = screened.person_key
            and procedures.hospcode = screened.hospcode
            and procedures.procedure_date = screened.diagnosis_date
    where
        procedures.setting = 'opd'
        and procedures.modality is not null
        and not (procedures.modality = 'us' and procedures.body_region = 'pregnancy')
        and not (procedures.modality = 'mammography' and screened.person_key is not null)
        and excluded.person_key is null
),

operation_codes as (
    {{ codes_of_set('procedures', 'procedure_code', 'CS_OPERATION') }}
),

operations as (
    select
        procedures.person_key,
        {{ day_number('procedures.procedure_date') }} as day_number,
        cast(null as decimal(18, 4)) as amount
    from procedures
    inner join operation_codes on procedures.procedure_code = operation_codes.procedure_code
    where procedures.setting = 'ipd'
),

{{ near_events('after_operations', 'images', 'procedure_key', 'operations', -post_operative, 0) }},

-- What is taken twice on one day is one study; it is its first facility's.
ranked as (
    select
        images.*,
        row_number() over (
            partition by images.person_key, images.modality, images.body_region, images.procedure_date
            order by images.time_serv nulls last, images.hospcode, images.seq, images.procedure_key
        ) as rank_of_day
    from images
    left join after_operations on images.procedure_key = after_operations.procedure_key
    where after_operations.procedure_key is null
),

studies as (
    select
        *,
        lag(day_number) over (
            partition by person_key, modality, body_region order by day_number
        ) as previous_day_number,
        lag(hospcode) over (
            partition by person_key, modality, body_region order by day_number
        ) as previous_hospcode
    from ranked
    where rank_of_day = 1
),

variants as (
    {%- for variant in variants %}
    select '{{ variant }}' as variant
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    'RED-04' as measure_id,
    variants.variant,
    studies.procedure_key as event_key,
    studies.procedure_date as event_date,
    studies.service_month,
    studies.hospcode,
    studies.treatment_province_code as province_code,
    studies.person_key,
    coalesce(
        studies.day_number - studies.previous_day_number
        <= case when variants.variant = '28_days' then {{ scan_window }} else {{ window }} end
        and (variants.variant <> 'elsewhere' or studies.hospcode <> studies.previous_hospcode),
        false
    ) as is_numerator,
    studies.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    cast(studies.price as decimal(18, 2)) as price
from studies
cross join variants
inner join data on {{ add_days('data.first_day', window) }} <= studies.procedure_date
where variants.variant <> '28_days' or studies.modality in ('ct', 'mri')
