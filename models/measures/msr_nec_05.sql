{{ config(materialized='incremental', incremental_strategy='by_person') }}
{{ whole_when_moves('last_month') }}

{%- set min_age = measure_parameter('NEC-05', 'min_age_years') | int -%}
{%- set min_share = measure_parameter('NEC-05', 'min_share_percent') | int -%}
{%- set run_in = measure_parameter('NEC-05', 'run_in_days') | int -%}

with years as (
    {{ months_of_years() }}
),

diagnosed as (
    select * from {{ of_affected(ref('int_persons__diagnosed')) }}
),

-- Exactly one of the diseases in the year, and nothing that makes it complicated.
single_diseases as (
    select
        years.period_end,
        diagnosed.person_key,
        min(diagnosed.diagnosis_class) as disease
    from diagnosed
    inner join years on diagnosed.diagnosis_month = years.month_start
    group by years.period_end, diagnosed.person_key
    having
        min(diagnosed.diagnosis_class) = max(diagnosed.diagnosis_class)
        and substr(min(diagnosed.diagnosis_class), 1, 7) = 'single_'
),

begun as (
    select
        person_key,
        diagnosis_class as disease,
        min(first_diagnosed_on) as diagnosed_on
    from diagnosed
    group by person_key, diagnosis_class
),

outpatient as (
    select
        person_key,
        person_tier,
        hospcode,
        date_serv,
        principal_diagnosis,
        price
    from {{ of_affected(ref('int_visits__qualified')) }}
    where visit_class = 'OP'
),

-- Few codes, many visits: each code is matched once.
codes as (
    select
        codes.principal_diagnosis,
        min(code_sets.set_id) as disease
    from (select distinct principal_diagnosis from outpatient) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on
            substr(code_sets.set_id, 1, 7) = 'single_'
            and {{ matches_pattern('codes.principal_diagnosis', 'code_sets.pattern') }}
    group by codes.principal_diagnosis
),

-- A person's visits of a month first: the years overlap.
monthly as (
    select
        outpatient.person_key,
        codes.disease,
        {{ month_start('outpatient.date_serv') }} as service_month,
        min(outpatient.person_tier) as person_tier,
        count(*) as n_visits,
        count(case when facilities.level = 'tertiary' then 1 end) as n_tertiary_visits,
        sum(outpatient.price) as price
    from outpatient
    inner join codes on outpatient.principal_diagnosis = codes.principal_diagnosis
    inner join begun
        on
            outpatient.person_key = begun.person_key
            and codes.disease = begun.disease
            and {{ days_between('begun.diagnosed_on', 'outpatient.date_serv') }} >= {{ run_in }}
    left join {{ ref('dim_facilities') }} as facilities on outpatient.hospcode = facilities.hospcode
    group by outpatient.person_key, codes.disease, {{ month_start('outpatient.date_serv') }}
),

persons as (
    select
        single_diseases.period_end,
        single_diseases.person_key,
        min(monthly.person_tier) as person_tier,
        sum(monthly.n_visits) as n_visits,
        sum(monthly.n_tertiary_visits) as n_tertiary_visits,
        sum(monthly.price) as price
    from single_diseases
    inner join monthly
        on
            single_diseases.person_key = monthly.person_key
            and single_diseases.disease = monthly.disease
    inner join years
        on
            monthly.service_month = years.month_start
            and single_diseases.period_end = years.period_end
    group by single_diseases.period_end, single_diseases.person_key
)

select
    'NEC-05' as measure_id,
    'main' as variant,
    {{ surrogate_key(['persons.person_key', 'persons.period_end']) }} as event_key,
    persons.period_end as event_date,
    {{ month_start('persons.period_end') }} as service_month,
    {{ as_text('null') }} as hospcode,
    {{ home_province('homes') }} as province_code,
    persons.person_key,
    persons.n_tertiary_visits * 100 >= persons.n_visits * {{ min_share }} as is_numerator,
    persons.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    cast(persons.price as decimal(18, 2)) as price
from persons
inner join {{ ref('dim_persons') }} as homes on persons.person_key = homes.person_key
where {{ age_years('homes.birth_month', 'persons.period_end') }} >= {{ min_age }}
