{%- set gap_days = measure_parameter('RED-03', 'gap_days') | int -%}
{%- set cap_days = measure_parameter('RED-03', 'cap_days') | int -%}

{#- Written twice, for its rows and for its codes: a CTE that is read twice is held in memory whole (decision 36). -#}
{%- set unplanned -%}
    select * from {{ of_affected(ref('int_visits__qualified')) }}
    where coalesce(typein, '') not in ('2', '3')
{%- endset -%}
with visits as (
    {{ unplanned }}
),

-- Few codes, many visits: each code is matched once.
illnesses as (
    select distinct
        codes.principal_diagnosis,
        substr(code_sets.set_id, 9) as illness
    from (select distinct principal_diagnosis from ({{ unplanned }}) as coded) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on
            substr(code_sets.set_id, 1, 8) = 'illness_'
            and {{ matches_pattern('codes.principal_diagnosis', 'code_sets.pattern') }}
),

ordered as (
    select
        visits.visit_key,
        visits.hospcode,
        visits.date_serv,
        visits.person_key,
        visits.person_tier,
        visits.typeout,
        visits.price,
        illnesses.illness,
        {{ day_number('visits.date_serv') }} as day_number,
        row_number() over (
            partition by visits.person_key, illnesses.illness
            order by visits.date_serv, visits.time_serv nulls last, visits.hospcode, visits.seq
        ) as visit_number
    from visits
    inner join illnesses on visits.principal_diagnosis = illnesses.principal_diagnosis
),

compared as (
    select
        *,
        day_number - lag(day_number) over (partition by person_key, illness order by visit_number) as days_since
    from ordered
),

numbered as (
    select
        *,
        sum(case when days_since is null or days_since > {{ gap_days }} then 1 else 0 end) over (
            partition by person_key, illness
            order by visit_number
            rows unbounded preceding
        ) as illness_number
    from compared
),

begun as (
    select
        *,
        first_value(visit_key) over (
            partition by person_key, illness, illness_number
            order by visit_number
        ) as first_visit_key,
        min(day_number) over (partition by person_key, illness, illness_number) as first_day_number
    from numbered
)

select
    visit_key,
    illness,
    {{ surrogate_key(['illness', 'first_visit_key']) }} as illness_key,
    visit_key = first_visit_key as is_first_visit,
    hospcode,
    date_serv,
    person_key,
    person_tier,
    typeout,
    price
from begun
where day_number - first_day_number <= {{ cap_days }}
