{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set look_back = measure_parameter('NEC-04', 'look_back_days') | int -%}

{%- set qualified_visits = of_affected(ref('int_visits__qualified')) -%}

-- Few codes, many visits: each code is matched once. Visits are read anew: with all that is known of them they would
-- have to be held.
with codes as (
    select
        codes.principal_diagnosis,
        min(case when code_sets.set_id <> 'tracer_complicated' then code_sets.set_id end) as tracer,
        max(case when code_sets.set_id = 'tracer_complicated' then 1 else 0 end) as is_complicated
    from (
        select distinct principal_diagnosis
        from {{ qualified_visits }} as qualified
        where visit_class = 'OP'
    ) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on
            substr(code_sets.set_id, 1, 7) = 'tracer_'
            and {{ matches_pattern('codes.principal_diagnosis', 'code_sets.pattern') }}
    group by codes.principal_diagnosis
),

visits as (
    select
        {{ prefixed([
            'visit_key', 'date_serv', 'hospcode', 'treatment_province_code', 'person_key', 'person_tier', 'price', 'typein', 'main_hospcode',
            'sub_hospcode'
        ], 'qualified') }},
        codes.tracer,
        codes.is_complicated,
        facilities.level,
        {{ day_number('qualified.date_serv') }} as day_number
    from {{ qualified_visits }} as qualified
    inner join codes on qualified.principal_diagnosis = codes.principal_diagnosis and codes.tracer is not null
    left join {{ ref('dim_facilities') }} as facilities on qualified.hospcode = facilities.hospcode
    where qualified.visit_class = 'OP'
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
),

-- Of complicated cases none counts strictly; where the patient was at a primary unit before, it is no bypassing by
-- `no_primary`.
variants as (
    {%- for variant in ['main', 'strict', 'no_primary'] %}
    select '{{ variant }}' as variant
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    'NEC-04' as measure_id,
    variants.variant,
    bypassing.visit_key as event_key,
    bypassing.date_serv as event_date,
    {{ month_start('bypassing.date_serv') }} as service_month,
    bypassing.hospcode,
    bypassing.treatment_province_code as province_code,
    bypassing.person_key,
    bypassing.is_bypassing and (variants.variant <> 'no_primary' or not bypassing.had_primary_visit) as is_numerator,
    bypassing.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    bypassing.price
from bypassing
cross join variants
where variants.variant <> 'strict' or bypassing.is_complicated = 0
{{ clustered_by('person_key') }}
