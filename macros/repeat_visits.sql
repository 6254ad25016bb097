{#-
  Repeat visits of one person, for one condition (3 characters of ICD-10), at another facility, within the window that
  the measure's parameters set: one row for each visit of the denominator. Windows, not pairs: a person with
  150,000 visits costs 150,000 steps (min or max over the frame differs from the own facility only if another is in it).
  A window of 0 days orders the day by time, facility and SEQ; any other compares whole days before the visit.
-#}
{% macro repeat_visits(measure_id) -%}
{%- set first_day = measure_parameter(measure_id, 'window_min_days') | int -%}
{%- set last_day = measure_parameter(measure_id, 'window_max_days') | int -%}
{%- set is_same_day = last_day == 0 -%}
{%- if execute and not is_same_day and first_day < 1 -%}
    {{ exceptions.raise_compiler_error(measure_id ~ ': a window is either 0 days or begins after day 0') }}
{%- endif -%}
{%- set group = 'person_key, condition_code' ~ (', date_serv' if is_same_day else '') -%}
with visits as (
    select
        visit_key,
        hospcode,
        seq,
        date_serv,
        time_serv,
        {{ day_number('date_serv') }} as day_number,
        person_key,
        person_tier,
        treatment_province_code,
        condition_code,
        {{ in_scope(measure_parameter(measure_id, 'visit_scope')) }}
        {%- if measure_parameter(measure_id, 'require_diagnosis') == 'true' %} and condition_code is not null{% endif %} as is_denominator,
        {{ in_scope(measure_parameter(measure_id, 'index_scope')) }}
        and {{ allows_typeout(measure_parameter(measure_id, 'index_typeout'), measure_parameter(measure_id, 'index_typeout_excluded')) }} as is_index
    from {{ ref('int_visits__qualified') }}
    where visit_class in ('OP', 'TELE')
),

comparable as (
    select * from visits
    where
        condition_code is not null
        and (is_denominator or is_index)
        {%- if measure_parameter(measure_id, 'population') == 'tier_a' %}
        and person_tier = 'A'
        {%- endif %}
),

at_several_facilities as (
    select {{ group }}
    from comparable
    group by {{ group }}
    having min(hospcode) <> max(hospcode)
),

compared as (
    select
        visit_key,
        hospcode,
        is_denominator,
        min(case when is_index then hospcode end) over earlier as lowest_hospcode,
        max(case when is_index then hospcode end) over earlier as highest_hospcode
    from comparable
    inner join at_several_facilities using ({{ group }})
    window earlier as (
        partition by {{ group }}
        {% if is_same_day -%}
        order by time_serv nulls last, hospcode, seq
        rows between unbounded preceding and 1 preceding
        {%- else -%}
        order by day_number
        range between {{ last_day }} preceding and {{ first_day }} preceding
        {%- endif %}
    )
),

repeats as (
    select visit_key from compared
    where is_denominator and (lowest_hospcode <> hospcode or highest_hospcode <> hospcode)
)

select
    '{{ measure_id }}' as measure_id,
    visits.visit_key,
    visits.hospcode,
    visits.date_serv,
    {{ month_start('visits.date_serv') }} as service_month,
    visits.treatment_province_code,
    visits.is_denominator,
    repeats.visit_key is not null as is_numerator,
    visits.person_tier in ('A', 'B') as is_linkable
from visits
left join repeats on visits.visit_key = repeats.visit_key
where visits.is_denominator
{%- endmacro %}

{% macro in_scope(scope) -%}
    {{ 'true' if scope == 'all' else 'is_eligible' }}
{%- endmacro %}

{#- `allowed` and `excluded` are TYPEOUT codes joined by `;`, or `any` and `none`. -#}
{% macro allows_typeout(allowed, excluded) -%}
    coalesce(typeout, '') {{ "not in ('" ~ excluded.split(';') | join("', '") ~ "')" }}
    {%- if allowed != 'any' %} and coalesce(typeout, '') {{ "in ('" ~ allowed.split(';') | join("', '") ~ "')" }}{% endif %}
{%- endmacro %}
