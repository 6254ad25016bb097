{{ config(materialized='incremental', incremental_strategy='by_person') }}
{{ whole_when_moves('last_month') }}

{%- set min_age = measure_parameter('NEC-06', 'min_age_years') | int -%}
{%- set variants = {'main': measure_parameter('NEC-06', 'threshold')} -%}
{%- for threshold in measure_parameter('NEC-06', 'thresholds_of_variants').split(';') -%}
    {%- do variants.update({'over_' ~ threshold: threshold}) -%}
{%- endfor -%}

with years as (
    {{ months_of_years() }}
),

-- A person's visits of a month first: the years overlap.
monthly as (
    select
        person_key,
        {{ month_start('date_serv') }} as service_month,
        min(person_tier) as person_tier,
        count(*) as n_visits,
        sum(price) as price
    from {{ of_affected(ref('int_visits__qualified')) }}
    where visit_class = 'OP' and not is_necessary_repeat
    group by person_key, {{ month_start('date_serv') }}
),

persons as (
    select
        years.period_end,
        monthly.person_key,
        min(monthly.person_tier) as person_tier,
        sum(monthly.n_visits) as n_visits,
        sum(monthly.price) as price
    from monthly
    inner join years on monthly.service_month = years.month_start
    group by years.period_end, monthly.person_key
),

pregnant as (
    select distinct
        years.period_end,
        diagnosed.person_key
    from {{ of_affected(ref('int_persons__diagnosed')) }} as diagnosed
    inner join years on diagnosed.diagnosis_month = years.month_start
    where diagnosed.diagnosis_class = 'pregnancy'
),

counted as (
    select
        persons.*,
        {{ home_province('homes') }} as province_code
    from persons
    left join {{ ref('dim_persons') }} as homes on persons.person_key = homes.person_key
    left join pregnant
        on
            persons.person_key = pregnant.person_key
            and persons.period_end = pregnant.period_end
    where
        pregnant.person_key is null
        and coalesce({{ age_years('homes.birth_month', 'persons.period_end') }} >= {{ min_age }}, true)
),

variants as (
    {%- for variant, threshold in variants.items() %}
    select
        '{{ variant }}' as variant,
        {{ threshold }} as threshold
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    'NEC-06' as measure_id,
    variants.variant,
    {{ surrogate_key(['counted.person_key', 'counted.period_end']) }} as event_key,
    counted.period_end as event_date,
    {{ month_start('counted.period_end') }} as service_month,
    {{ as_text('null') }} as hospcode,
    counted.province_code,
    counted.person_key,
    counted.n_visits > variants.threshold as is_numerator,
    counted.person_tier in ('A', 'B') as is_linkable,
    cast(counted.n_visits as double) as value,
    cast(counted.price as decimal(18, 2)) as price
from counted
cross join variants
{{ clustered_by('person_key') }}
