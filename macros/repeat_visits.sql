{#-
  Repeat visits of one person, for one condition, at another facility, within the window that the measure's parameters
  set: one row for each visit of the denominator and variant. Windows, not pairs: a person with 150,000 visits costs
  150,000 steps (min or max over the frame differs from the own facility only if another is in it).
  A window of 0 days orders the day by time, facility and SEQ; any other compares whole days before the visit.

  Variants: `main` (3 characters of ICD-10, people with a number), `group` (condition groups, and 3 characters where a
  code has no group), `wide` (everybody, by the key of the lower linkage threshold), `<n>_days` with a window of n days
  for each of `other_windows`, and with `by_clinic` `clinic` (the department that gave the principal diagnosis in place
  of the diagnosis; departments that are no specialty are compared with none).
-#}
{% macro repeat_visits(measure_id, other_windows=[], by_clinic=false) -%}
{%- set first_day = measure_parameter(measure_id, 'window_min_days') | int -%}
{%- set last_day = measure_parameter(measure_id, 'window_max_days') | int -%}
{%- set population = measure_parameter(measure_id, 'population') -%}
{%- set three_characters = 'condition_code' -%}
{%- set variants = {
    'main': {'person': 'person_key', 'condition': three_characters, 'population': population, 'last_day': last_day},
    'group': {
        'person': 'person_key', 'condition': 'coalesce(condition_group, condition_code)', 'population': population,
        'last_day': last_day,
    },
    'wide': {'person': 'wide_person_key', 'condition': three_characters, 'population': 'all', 'last_day': last_day},
} -%}
{%- if by_clinic -%}
    {%- do variants.update({
        'clinic': {
            'person': 'person_key', 'condition': 'specialty_code', 'population': population, 'last_day': last_day
        }
    }) -%}
{%- endif -%}
{%- for days in other_windows -%}
    {%- do variants.update({
        days ~ '_days': {
            'person': 'person_key', 'condition': three_characters, 'population': population,
            'last_day': measure_parameter(measure_id, 'window_max_days_' ~ days) | int,
        }
    }) -%}
{%- endfor -%}
{%- if execute and last_day > 0 and first_day < 1 -%}
    {{ exceptions.raise_compiler_error(measure_id ~ ': a window is either 0 days or begins after day 0') }}
{%- endif -%}
with visits as (
    select
        visit_key,
        hospcode,
        seq,
        date_serv,
        time_serv,
        {{ day_number('date_serv') }} as day_number,
        person_key,
        wide_person_key,
        person_tier,
        treatment_province_code,
        condition_code,
        condition_group,
        {%- if by_clinic %}
        case when department_code not in {{ parameter_list(measure_id, 'departments_without_specialty') }} then department_code end
            as specialty_code,
        {%- endif %}
        price,
        {{ in_scope(measure_parameter(measure_id, 'visit_scope')) }}
        {%- if measure_parameter(measure_id, 'require_diagnosis') == 'true' %} and condition_code is not null{% endif %} as is_denominator,
        {{ in_scope(measure_parameter(measure_id, 'index_scope')) }}
        and {{ allows_typeout(measure_parameter(measure_id, 'index_typeout'), measure_parameter(measure_id, 'index_typeout_excluded')) }} as is_index
    from {{ of_affected(ref('int_visits__qualified')) }}
    where visit_class in ('OP', 'TELE')
),

{% for variant, rule in variants.items() -%}
{%- set group = 'person, condition' ~ (', date_serv' if last_day == 0 else '') -%}
comparable_{{ variant }} as (
    select
        visit_key,
        hospcode,
        seq,
        date_serv,
        time_serv,
        day_number,
        is_denominator,
        is_index,
        {{ rule.person }} as person,
        {{ rule.condition }} as condition
    from visits
    where
        {{ rule.condition }} is not null
        and (is_denominator or is_index)
        {%- if rule.population == 'tier_a' %}
        and person_tier = 'A'
        {%- endif %}
),

at_several_facilities_{{ variant }} as (
    select {{ group }}
    from comparable_{{ variant }}
    group by {{ group }}
    having min(hospcode) <> max(hospcode)
),

compared_{{ variant }} as (
    select
        visit_key,
        hospcode,
        is_denominator,
        min(case when is_index then hospcode end) over earlier as lowest_hospcode,
        max(case when is_index then hospcode end) over earlier as highest_hospcode
    from comparable_{{ variant }}
    inner join at_several_facilities_{{ variant }} using ({{ group }})
    window earlier as (
        partition by {{ group }}
        {% if last_day == 0 -%}
        order by time_serv nulls last, hospcode, seq
        rows between unbounded preceding and 1 preceding
        {%- else -%}
        order by day_number
        range between {{ rule.last_day }} preceding and {{ first_day }} preceding
        {%- endif %}
    )
),

{% endfor -%}
repeats as (
    {%- for variant in variants %}
    select
        '{{ variant }}' as variant,
        visit_key
    from compared_{{ variant }}
    where is_denominator and (lowest_hospcode <> hospcode or highest_hospcode <> hospcode)
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

variants as (
    {%- for variant in variants %}
    select '{{ variant }}' as variant
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    '{{ measure_id }}' as measure_id,
    variants.variant,
    visits.visit_key as event_key,
    visits.date_serv as event_date,
    {{ month_start('visits.date_serv') }} as service_month,
    visits.hospcode,
    visits.treatment_province_code as province_code,
    case when variants.variant = 'wide' then visits.wide_person_key else visits.person_key end as person_key,
    repeats.visit_key is not null as is_numerator,
    visits.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    visits.price
from visits
cross join variants
left join repeats on visits.visit_key = repeats.visit_key and variants.variant = repeats.variant
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
