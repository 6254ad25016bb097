{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set min_age = measure_parameter('NEC-03', 'min_age_years') | int -%}
{%- set low_urgency = "('" ~ measure_parameter('NEC-03', 'triage').split(';') | join("', '") ~ "')" -%}
{%- set went_home = "('" ~ measure_parameter('NEC-03', 'typeout').split(';') | join("', '") ~ "')" -%}

with visits as (
    select * from {{ of_affected(ref('int_visits__qualified')) }}
    where visit_class = 'ED' and coalesce(typein, '') <> '2'
),

-- By facility, person and day, as visits are merged.
triaged as (
    select
        hospcode,
        person_key,
        {{ date_of('served_at') }} as date_serv,
        min(triage_level) as triage_level
    from {{ of_affected(ref('fct_accidents')) }}
    group by hospcode, person_key, {{ date_of('served_at') }}
),

procedures as (
    select
        hospcode,
        person_key,
        procedure_date,
        procedure_code
    from {{ of_affected(ref('fct_procedures')) }}
    where setting = 'opd' and not is_orphan
),

dental_codes as (
    {{ codes_of_set('procedures', 'procedure_code', 'dental_procedure') }}
),

treated as (
    select distinct
        procedures.hospcode,
        procedures.person_key,
        procedures.procedure_date
    from procedures
    left join dental_codes on procedures.procedure_code = dental_codes.procedure_code
    where dental_codes.procedure_code is null
),

attendances as (
    select
        visits.visit_key,
        visits.date_serv,
        visits.hospcode,
        visits.treatment_province_code,
        visits.person_key,
        visits.person_tier,
        visits.price,
        visits.is_in_hours,
        coalesce(visits.typein, '') = '1'
        and coalesce(visits.typeout, '') in {{ went_home }}
        and coalesce(triaged.triage_level, '') in {{ low_urgency }}
        and treated.hospcode is null as is_not_urgent
    from visits
    left join {{ ref('dim_persons') }} as persons on visits.person_key = persons.person_key
    left join triaged
        on
            visits.hospcode = triaged.hospcode
            and visits.person_key = triaged.person_key
            and visits.date_serv = triaged.date_serv
    left join treated
        on
            visits.hospcode = treated.hospcode
            and visits.person_key = treated.person_key
            and visits.date_serv = treated.procedure_date
    where coalesce({{ age_years('persons.birth_month', 'visits.date_serv') }} >= {{ min_age }}, true)
)

{% for variant, condition in {
    'main': 'true', 'in_hours': 'is_in_hours', 'out_of_hours': 'not is_in_hours'
}.items() -%}
select
    'NEC-03' as measure_id,
    '{{ variant }}' as variant,
    visit_key as event_key,
    date_serv as event_date,
    {{ month_start('date_serv') }} as service_month,
    hospcode,
    treatment_province_code as province_code,
    person_key,
    is_not_urgent as is_numerator,
    person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    price
from attendances
where {{ condition }}
{% if not loop.last %}union all
{% endif %}
{%- endfor %}
