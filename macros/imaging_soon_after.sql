{#-
  One row for each visit whose principal diagnosis is in `set_id` and that has no reason for a picture: was one taken of
  the person within the days that the measure's parameters set, anywhere? Reasons are diagnoses in `excluded_set`, on
  the day or in the look-back before it; with `is_first_only`, an earlier diagnosis of `set_id` itself is one as well.
  Visits whose days have not all passed are not counted yet.
-#}
{% macro imaging_soon_after(measure_id, set_id, excluded_set, is_first_only=false, once_a_year=false) -%}
{%- set last_day = measure_parameter(measure_id, 'window_max_days') | int -%}
{%- set look_back = measure_parameter(measure_id, 'look_back_days') | int -%}
with data as (
    select max(date_serv) as last_day
    from {{ ref('int_visits__enriched') }}
),

visits as (
    select
        candidates.*,
        row_number() over (
            partition by candidates.person_key, {{ fiscal_year_start('candidates.date_serv') }}
            order by candidates.date_serv, candidates.time_serv nulls last, candidates.hospcode, candidates.seq
        ) as rank_in_year
    from {{ of_affected(ref('int_visits__indexed'), 'watched') }} as candidates
    where
        candidates.set_id = '{{ set_id }}'
        and lower(candidates.visit_class) in {{ parameter_list(measure_id, 'visit_classes') }}
),

index_visits as (
    select visits.*
    from visits
    inner join data on {{ add_days('visits.date_serv', last_day) }} <= data.last_day
    {%- if once_a_year %}
    where visits.rank_in_year = 1
    {%- endif %}
),

images as (
    select
        person_key,
        {{ day_number('procedure_date') }} as day_number,
        price as amount
    from {{ of_affected(ref('fct_procedures'), 'watched') }}
    where
        modality in {{ parameter_list(measure_id, 'modalities') }}
        and body_region in {{ parameter_list(measure_id, 'body_regions') }}
),

reasons as (
    select
        person_key,
        day_number,
        cast(null as decimal(18, 4)) as amount
    from {{ of_affected(ref('int_diagnoses__grouped'), 'watched') }}
    where set_id = '{{ excluded_set }}'
),
{% if is_first_only %}
earlier_diagnoses as (
    select
        person_key,
        day_number,
        cast(null as decimal(18, 4)) as amount
    from {{ of_affected(ref('int_diagnoses__grouped'), 'watched') }}
    where set_id = '{{ set_id }}'
),

{{ near_events('known_before', 'index_visits', 'visit_key', 'earlier_diagnoses', -look_back, -(measure_parameter(measure_id, 'known_before_days') | int)) }},
{% endif %}
{{ near_events('with_reason', 'index_visits', 'visit_key', 'reasons', -look_back, 0) }},

{{ near_events('imaged', 'index_visits', 'visit_key', 'images', 0, last_day) }}

select
    '{{ measure_id }}' as measure_id,
    'main' as variant,
    index_visits.visit_key as event_key,
    index_visits.date_serv as event_date,
    index_visits.service_month,
    index_visits.hospcode,
    index_visits.treatment_province_code as province_code,
    index_visits.person_key,
    imaged.visit_key is not null as is_numerator,
    index_visits.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    cast(imaged.amount as decimal(18, 2)) as price
from index_visits
left join imaged on index_visits.visit_key = imaged.visit_key
left join with_reason on index_visits.visit_key = with_reason.visit_key
{%- if is_first_only %}
left join known_before on index_visits.visit_key = known_before.visit_key
{%- endif %}
where
    with_reason.visit_key is null
    {%- if is_first_only %}
    and known_before.visit_key is null
    {%- endif %}
{%- endmacro %}
