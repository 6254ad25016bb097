{{ config(materialized='incremental', incremental_strategy='by_watched_person') }}

{%- set variants = {'main': 'uri', 'diarrhoea': 'diarrhoea', 'low_back_pain': 'low_back_pain'} -%}
{%- set min_facilities = measure_parameter('RED-03', 'min_facilities') | int -%}
{%- set cap_days = measure_parameter('RED-03', 'cap_days') | int -%}

with illnesses as (
    select
        illness_key,
        illness,
        person_key,
        min(person_tier) as person_tier,
        min(date_serv) as started_on,
        max(date_serv) as ended_on,
        count(distinct hospcode) as n_facilities,
        max(case when typeout = '2' then 1 else 0 end) as is_admitted,
        sum(price) as price
    from {{ of_affected(ref('int_visits__chained'), 'watched') }}
    group by illness_key, illness, person_key
),

-- Illnesses and admissions on one line, so that the next admission is found without pairs.
timeline as (
    select
        person_key,
        illness_key,
        {{ day_number('started_on') }} as day_number,
        cast(null as integer) as admission_day_number
    from illnesses
    union all
    select
        person_key,
        null as illness_key,
        {{ day_number(date_of('admitted_at')) }} as day_number,
        {{ day_number(date_of('admitted_at')) }} as admission_day_number
    from {{ of_affected(ref('int_admissions__enriched'), 'watched') }}
),

next_admissions as (
    select
        illness_key,
        min(admission_day_number) over (
            partition by person_key
            order by day_number
            range between current row and unbounded following
        ) as admission_day_number
    from timeline
),

data as (
    select max(date_serv) as last_day
    from {{ ref('int_visits__qualified') }}
),

watched as (
    select illnesses.*
    from illnesses
    inner join next_admissions on illnesses.illness_key = next_admissions.illness_key
    cross join data
    where
        illnesses.is_admitted = 0
        and coalesce(next_admissions.admission_day_number > {{ day_number('illnesses.ended_on') }}, true)
        and {{ days_between('illnesses.started_on', 'data.last_day') }} >= {{ cap_days }}
)

{% for variant, illness in variants.items() -%}
select
    'RED-03' as measure_id,
    '{{ variant }}' as variant,
    watched.illness_key as event_key,
    watched.started_on as event_date,
    {{ month_start('watched.started_on') }} as service_month,
    {{ as_text('null') }} as hospcode,
    {{ home_province('persons') }} as province_code,
    watched.person_key,
    watched.n_facilities >= {{ min_facilities }} as is_numerator,
    watched.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    cast(watched.price as decimal(18, 2)) as price
from watched
left join {{ ref('dim_persons') }} as persons on watched.person_key = persons.person_key
where watched.illness = '{{ illness }}'
{% if not loop.last %}union all
{% endif %}
{%- endfor %}
