{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set adult_months = (measure_parameter('RED-05', 'min_age') | int) * 12 -%}
{%- set variants = ['main', 'elsewhere'] -%}
with excluded as (
    select distinct
        person_key,
        hospcode,
        diagnosis_date
    from {{ of_affected(ref('int_diagnoses__grouped')) }}
    where set_id in ('CS_PREGNANCY', 'CS_LAB_EXCLUDED')
),

-- Without a visit a result may be a copy of another facility's, or of an inpatient's.
tests as (
    select
        results.*,
        {{ day_number('results.test_date') }} as day_number,
        visits.time_serv,
        visits.seq,
        intervals.min_days,
        results.result_value is not null
        and coalesce(results.result_value >= intervals.critical_below, true)
        and coalesce(results.result_value <= intervals.critical_above, true) as is_settled
    from {{ of_affected(ref('fct_lab_results')) }} as results
    inner join {{ ref('retest_intervals') }} as intervals on results.test_group = intervals.test_group
    inner join {{ ref('int_visits__enriched') }} as visits on results.visit_key = visits.visit_key
    left join {{ ref('dim_persons') }} as persons on results.person_key = persons.person_key
    left join excluded
        on
            results.person_key = excluded.person_key
            and results.hospcode = excluded.hospcode
            and results.test_date = excluded.diagnosis_date
    where
        visits.visit_class in ('OP', 'TELE')
        and coalesce({{ add_months('persons.birth_month', adult_months) }} <= results.test_date, true)
        and excluded.person_key is null
),

ranked as (
    select
        *,
        min(case when is_settled then 1 else 0 end) over (
            partition by person_key, test_group, test_date
        ) = 1 as is_day_settled,
        row_number() over (
            partition by person_key, test_group, test_date
            order by time_serv nulls last, hospcode, seq, lab_result_key
        ) as rank_of_day
    from tests
),

days as (
    select
        *,
        lag(day_number) over (partition by person_key, test_group order by day_number) as previous_day_number,
        lag(hospcode) over (partition by person_key, test_group order by day_number) as previous_hospcode,
        lag(is_day_settled) over (partition by person_key, test_group order by day_number) as is_previous_settled
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
    'RED-05' as measure_id,
    variants.variant,
    days.lab_result_key as event_key,
    days.test_date as event_date,
    days.service_month,
    days.hospcode,
    days.treatment_province_code as province_code,
    days.person_key,
    coalesce(
        days.day_number - days.previous_day_number < days.min_days
        and days.is_previous_settled
        and (variants.variant = 'main' or days.hospcode <> days.previous_hospcode),
        false
    ) as is_numerator,
    days.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    cast(null as decimal(18, 2)) as price
from days
cross join variants
