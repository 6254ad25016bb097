{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set min_age = measure_parameter('RED-08', 'delivery_min_age_years') | int -%}
{%- set first_day = measure_parameter('RED-08', 'delivery_min_gap_days') | int -%}
{%- set last_day = measure_parameter('RED-08', 'delivery_max_gap_days') | int -%}

with deaths as (
    select
        person_key,
        death_date
    from {{ of_affected(ref('fct_deaths')) }}
    where is_newest_of_person and death_date is not null
),

visits as (
    select
        visits.visit_key,
        visits.hospcode,
        visits.treatment_province_code,
        visits.date_serv,
        visits.person_key,
        visits.person_tier,
        visits.price,
        visits.principal_diagnosis is not null
        and coalesce(visits.price, 0) > 0
        and row_number() over (
            partition by
                visits.hospcode,
                visits.person_key,
                visits.date_serv,
                visits.visit_class,
                visits.principal_diagnosis,
                visits.price
            order by visits.time_serv nulls last, visits.seq
        ) > 1 as is_duplicate,
        coalesce(visits.date_serv > deaths.death_date, false) as is_after_death
    from {{ of_affected(ref('fct_visits')) }} as visits
    left join deaths on visits.person_key = deaths.person_key
),

stays as (
    select
        admission_key,
        hospcode,
        person_key,
        admitted_at,
        an,
        {{ day_number(date_of('admitted_at')) }} as first_day,
        {{ day_number(date_of('discharged_at')) }} as last_day
    from {{ of_affected(ref('fct_admissions')) }}
),

-- Stays of one facility that overlap become one span: of others, the latest end so far is then always another's.
compared as (
    select
        *,
        max(last_day) over (
            partition by person_key, hospcode
            order by admitted_at, an
            rows between unbounded preceding and 1 preceding
        ) as covered_until
    from stays
),

numbered as (
    select
        *,
        sum(case when covered_until is null or first_day >= covered_until then 1 else 0 end) over (
            partition by person_key, hospcode
            order by admitted_at, an
            rows unbounded preceding
        ) as span_number,
        row_number() over (partition by person_key, hospcode order by admitted_at, an) as stay_number
    from compared
),

begun as (
    select
        *,
        row_number() over (partition by person_key, hospcode, span_number order by stay_number) as number_in_span,
        max(last_day) over (partition by person_key, hospcode, span_number) as span_end
    from numbered
),

spans as (
    select
        admission_key,
        first_day,
        span_end,
        max(span_end) over (
            partition by person_key
            order by first_day
            range between unbounded preceding and 1 preceding
        ) as covered_from_before,
        max(span_end) over (
            partition by person_key
            order by first_day, admitted_at, hospcode
            rows between unbounded preceding and 1 preceding
        ) as covered
    from begun
    where number_in_span = 1
),

-- Days decide: a stay that begins on the day on which another ends is a handover.
overlapping as (
    select admission_key from spans
    where first_day < covered_from_before or (first_day < covered and first_day < span_end)
),

delivery_codes as (
    {{ codes_of_set(of_affected(ref('fct_admissions')), 'principal_diagnosis', 'delivery') }}
),

deliveries as (
    select
        admissions.admission_key,
        coalesce({{ age_years('persons.birth_month', 'admissions.admitted_at') }} < {{ min_age }}, false)
        or max({{ day_number(date_of('admissions.admitted_at')) }}) over (
            partition by admissions.person_key
            order by {{ day_number(date_of('admissions.admitted_at')) }}
            range between {{ last_day }} preceding and {{ first_day }} preceding
        ) is not null as is_impossible
    from {{ of_affected(ref('fct_admissions')) }} as admissions
    inner join delivery_codes on admissions.principal_diagnosis = delivery_codes.principal_diagnosis
    left join {{ ref('dim_persons') }} as persons on admissions.person_key = persons.person_key
),

admissions as (
    select
        admissions.admission_key,
        admissions.hospcode,
        admissions.treatment_province_code,
        {{ date_of('admissions.admitted_at') }} as admitted_on,
        admissions.person_key,
        admissions.person_tier,
        admissions.price,
        overlapping.admission_key is not null as is_overlapping,
        coalesce({{ date_of('admissions.admitted_at') }} > deaths.death_date, false) as is_after_death,
        deliveries.is_impossible as is_impossible_delivery
    from {{ of_affected(ref('fct_admissions')) }} as admissions
    left join overlapping on admissions.admission_key = overlapping.admission_key
    left join deliveries on admissions.admission_key = deliveries.admission_key
    left join deaths on admissions.person_key = deaths.person_key
),

events as (
    {%- for variant, flag in {
        'main': 'is_duplicate or is_after_death', 'duplicate': 'is_duplicate', 'after_death': 'is_after_death'
    }.items() %}
    select
        '{{ variant }}' as variant,
        visit_key as event_key,
        date_serv as event_date,
        hospcode,
        treatment_province_code,
        person_key,
        person_tier,
        {{ flag }} as is_numerator,
        price
    from visits
    union all
    {%- endfor %}
    {%- for variant, flag in {
        'main': 'is_overlapping or is_after_death or coalesce(is_impossible_delivery, false)',
        'after_death': 'is_after_death', 'overlap': 'is_overlapping', 'delivery': 'is_impossible_delivery',
    }.items() %}
    select
        '{{ variant }}' as variant,
        admission_key as event_key,
        admitted_on as event_date,
        hospcode,
        treatment_province_code,
        person_key,
        person_tier,
        {{ flag }} as is_numerator,
        price
    from admissions
    {%- if variant == 'delivery' %}
    where is_impossible_delivery is not null
    {%- endif %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    'RED-08' as measure_id,
    variant,
    event_key,
    event_date,
    {{ month_start('event_date') }} as service_month,
    hospcode,
    treatment_province_code as province_code,
    person_key,
    is_numerator,
    person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    cast(price as decimal(18, 2)) as price
from events
{{ clustered_by('person_key') }}
