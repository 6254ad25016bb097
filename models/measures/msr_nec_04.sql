{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set look_back = measure_parameter('NEC-04', 'look_back_days') | int -%}

with outpatient as (
    select * from {{ of_affected(ref('int_visits__qualified')) }}
    where visit_class = 'OP'
),

-- Few codes, many visits: each code is matched once.
codes as (
    select
        codes.principal_diagnosis,
        min(case when code_sets.set_id <> 'tracer_complicated' then code_sets.set_id end) as tracer,
        max(case when code_sets.set_id = 'tracer_complicated' then 1 else 0 end) as is_complicated
    from (select distinct principal_diagnosis from outpatient) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on
            substr(code_sets.set_id, 1, 7) = 'tracer_'
            and {{ matches_pattern('codes.principal_diagnosis', 'code_sets.pattern') }}
    group by codes.principal_diagnosis
),

visits as (
    select
        outpatient.*,
        codes.tracer,
        codes.is_complicated,
        facilities.level,
        {{ day_number('outpatient.date_serv') }} as day_number
    from outpatient
    inner join codes on outpatient.principal_diagnosis = codes.principal_diagnosis and codes.tracer is not null
    left join {{ ref('dim_facilities') }} as facilities on outpatient.hospcode = facilities.hospcode
),

bypassing as (
    select
        *,
        coalesce(typein, '') = '1'
        and coalesce(level, '') = 'tertiary'
        and hospcode <> coalesce(main_hospcode, '')
        and hospcode <> coalesce(sub_hospcode, '') as is_bypassing,
        max(case when level = 'primary' then day_number end) over (
            partition by person_key, tracer
            order by day_number
            range between {{ look_back }} preceding and 1 preceding
        ) is not null as had_primary_visit
    from visits
)

{% for variant, rule in {
    'main': {'where': 'true', 'numerator': 'is_bypassing'},
    'strict': {'where': 'is_complicated = 0', 'numerator': 'is_bypassing'},
    'no_primary': {'where': 'true', 'numerator': 'is_bypassing and not had_primary_visit'},
}.items() -%}
select
    'NEC-04' as measure_id,
    '{{ variant }}' as variant,
    visit_key as event_key,
    date_serv as event_date,
    {{ month_start('date_serv') }} as service_month,
    hospcode,
    treatment_province_code as province_code,
    person_key,
    {{ rule.numerator }} as is_numerator,
    person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    price
from bypassing
where {{ rule.where }}
{% if not loop.last %}union all
{% endif %}
{%- endfor %}
{{ clustered_by('person_key') }}
