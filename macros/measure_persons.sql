{#-
  The rows of fct_measure_persons, of some persons or of all (macros/incremental/contributions.sql).
-#}
{% macro measure_persons(read, persons=none) -%}
{%- set what = what_is_counted() -%}
{%- set kind = ['what_number', 'cut_number', 'is_main'] -%}
{%- set place = ['service_month', 'hospcode', 'province_code'] -%}
{%- set target = ['what_number', 'area_number', 'period_number'] -%}
with {{ measure_lattice(read, read('int_data__bounded'), 'first_day', 'last_month') }},

flagged as (
    select
        *,
        {{ number_of_key('person_key') }} as person_number
    from {{ of_persons(read('fct_flagged_events'), persons) }} as events
),

flagged_cut as (
    {%- for name, members in [('all', [])] + dimension_sets().items() | list %}
    select
        measure_id,
        variant,
        '{{ name }}' as dimension_set,
        {{ members_of_set(members) }},
        {{ place | join(', ') }},
        person_number
    from flagged
    {%- if members %}
    where variant = 'main' and {{ members | join(' is not null and ') }} is not null
    {%- endif %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

flagged_whats as (
    select
        whats.what_number,
        whats.cut_number,
        whats.variant = 'main' as is_main,
        {{ prefixed(place, 'flagged_cut') }},
        flagged_cut.person_number
    from flagged_cut
    inner join whats
        on {{ agreeing(what, 'flagged_cut', 'whats') }}
),

-- Who has one flagged event of a kind counts wherever it does: only the others must be told apart, cell by cell.
flagged_people as (
    select
        {{ kind | join(', ') }},
        person_number,
        {%- for column in place %}
        min({{ column }}) as {{ column }},
        {%- endfor %}
        count(*) as n_events
    from flagged_whats
    group by {{ kind | join(', ') }}, person_number
),

flagged_once as (
    select
        {{ kind | join(', ') }},
        {{ place | join(', ') }},
        count(*) as n_persons
    from flagged_people
    where n_events = 1
    group by {{ (kind + place) | join(', ') }}
),

flagged_often as (
    select flagged_whats.*
    from flagged_whats
    inner join flagged_people
        on
            flagged_whats.what_number = flagged_people.what_number
            and flagged_whats.person_number = flagged_people.person_number
    where flagged_people.n_events > 1
),

{% for source, column in {'once': 'n_persons', 'often': 'person_number'}.items() -%}
{{ source }}_in_areas as (
    {{ in_areas_and_periods('flagged_' ~ source, column) }}
),

{% endfor -%}
people as (
    select
        {{ target | join(', ') }},
        sum(n_persons) as n_persons
    from (
        select
            {{ target | join(', ') }},
            n_persons
        from once_in_areas
        union all
        select
            {{ target | join(', ') }},
            count(distinct person_number) as n_persons
        from often_in_areas
        group by {{ target | join(', ') }}
    ) as counted
    group by {{ target | join(', ') }}
)

select
    {{ prefixed(what, 'whats') }},
    areas.area_level,
    areas.area_code,
    periods.period_type,
    periods.period_start,
    cast(people.n_persons as bigint) as n_persons
from people
inner join whats on people.what_number = whats.what_number
inner join areas on people.area_number = areas.area_number
inner join periods on people.period_number = periods.period_number
{%- endmacro %}
