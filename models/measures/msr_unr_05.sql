{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set subgroups = {'acei': 'CS_RAS_ACEI', 'arb': 'CS_RAS_ARB', 'renin': 'CS_RAS_RENIN'} -%}
{%- set pairs = [('acei', 'arb'), ('acei', 'renin'), ('arb', 'renin')] -%}
{%- set refill_days = measure_parameter('UNR-05', 'refill_days') | int -%}
with covered as (
    select * from {{ of_affected(ref('int_dispensings__covered')) }}
),

blockers as (
    {{ named_codes('covered', 'substance', subgroups, 'subgroup') }}
),

dispensings as (
    select
        covered.person_key,
        blockers.subgroup,
        {{ day_number('covered.dispensed_date') }} as day_number,
        {{ day_number('covered.cover_end') }} as end_number
    from covered
    inner join blockers on covered.substance = blockers.substance
),

visits as (
    select * from {{ of_affected(ref('int_visits__indexed')) }}
    where set_id = 'CS_HT'
),

-- For each visit and subgroup: when it was last dispensed, how far it reaches, and when it is dispensed next.
lined as (
    select
        visit_key,
        person_key,
        day_number,
        {{ null_text() }} as subgroup,
        cast(null as integer) as end_number
    from visits
    where person_key in (select person_key from dispensings)
    union all
    select
        {{ null_text() }} as visit_key,
        person_key,
        day_number,
        subgroup,
        end_number
    from dispensings
),

framed as (
    select
        visit_key,
        day_number
        {%- for name in subgroups %},
        max(case when subgroup = '{{ name }}' then day_number end) over until_now as {{ name }}_last,
        max(case when subgroup = '{{ name }}' then end_number end) over until_now as {{ name }}_end,
        min(case when subgroup = '{{ name }}' then day_number end) over from_tomorrow as {{ name }}_next
        {%- endfor %}
    from lined
    window
        until_now as (
            partition by person_key
            order by day_number
            range between unbounded preceding and current row
        ),
        from_tomorrow as (
            partition by person_key
            order by day_number
            range between 1 following and unbounded following
        )
),

judged as (
    select
        visit_key,
        {%- for name in subgroups %}
        coalesce({{ name }}_end >= day_number, false){% if not loop.last %} or{% endif %}
        {%- endfor %} as has_blocker,
        -- A switch is no double blockade: what was given earlier must be given again.
        {%- for first, second in pairs %}
        coalesce(
            {{ first }}_end >= day_number
            and {{ second }}_end >= day_number
            and (
                {{ first }}_last = {{ second }}_last
                or ({{ first }}_last < {{ second }}_last and {{ first }}_next <= {{ first }}_end + {{ refill_days }})
                or ({{ first }}_last > {{ second }}_last and {{ second }}_next <= {{ second }}_end + {{ refill_days }})
            ),
            false
        ){% if not loop.last %} or{% endif %}
        {%- endfor %} as has_two
    from framed
    where visit_key is not null
)

select
    'UNR-05' as measure_id,
    'main' as variant,
    visits.visit_key as event_key,
    visits.date_serv as event_date,
    visits.service_month,
    visits.hospcode,
    visits.treatment_province_code as province_code,
    visits.person_key,
    judged.has_two as is_numerator,
    visits.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    cast(null as decimal(18, 2)) as price
from visits
inner join judged on visits.visit_key = judged.visit_key
where judged.has_blocker
