{{ config(materialized='incremental', incremental_strategy='by_person') }}
{{ whole_when_moves('last_month') }}

{%- set min_visits = measure_parameter('RED-09', 'min_visits') | int -%}
{%- set threshold = measure_parameter('RED-09', 'threshold') -%}

with years as (
    {{ months_of_years() }}
),

facilities as (
    select
        years.period_end,
        visits.person_key,
        visits.hospcode,
        min(visits.person_tier) as person_tier,
        count(*) as n_visits,
        sum(visits.price) as price
    from {{ of_affected(ref('int_visits__qualified')) }} as visits
    inner join years on {{ month_start('visits.date_serv') }} = years.month_start
    where visits.visit_class = 'OP'
    group by years.period_end, visits.person_key, visits.hospcode
),

persons as (
    select
        period_end,
        person_key,
        min(person_tier) in ('A', 'B') as is_linkable,
        {{ ratio('sum(n_visits * n_visits) - sum(n_visits)', 'sum(n_visits) * (sum(n_visits) - 1)') }} as coc,
        {{ ratio('max(n_visits)', 'sum(n_visits)') }} as upc,
        sum(price) as price
    from facilities
    group by period_end, person_key
    having sum(n_visits) >= {{ min_visits }}
)

{% for variant, index in {'main': 'coc', 'upc': 'upc'}.items() -%}
select
    'RED-09' as measure_id,
    '{{ variant }}' as variant,
    {{ surrogate_key(['persons.person_key', 'persons.period_end']) }} as event_key,
    persons.period_end as event_date,
    {{ month_start('persons.period_end') }} as service_month,
    {{ as_text('null') }} as hospcode,
    {{ home_province('homes') }} as province_code,
    persons.person_key,
    -- Who cannot be linked is known to one facility alone: an index of 1 would be no finding.
    persons.is_linkable and persons.{{ index }} < {{ threshold }} as is_numerator,
    persons.is_linkable,
    case when persons.is_linkable then persons.{{ index }} end as value,
    cast(persons.price as decimal(18, 2)) as price
from persons
left join {{ ref('dim_persons') }} as homes on persons.person_key = homes.person_key
{% if not loop.last %}union all
{% endif %}
{%- endfor %}
