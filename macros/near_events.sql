{#-
  CTEs that end in `name`: the key and `amount` (the sum of what those events cost) of each row of the CTE `index_rows`
  (`key`, person_key, day_number) whose person has a row in the CTE `events` (person_key, day_number, amount) from
  `first` to `last` days after it; negative days are before it. A window over both, no pairs.
-#}
{% macro near_events(name, index_rows, key, events, first, last) -%}
{{ name }}_lined as (
    select
        {{ key }},
        person_key,
        day_number,
        0 as is_event,
        cast(null as decimal(18, 4)) as amount
    from {{ index_rows }}
    union all
    select
        {{ null_text() }} as {{ key }},
        person_key,
        day_number,
        1 as is_event,
        amount
    from {{ events }}
    where person_key in (select person_key from {{ index_rows }})
),

{{ name }}_framed as (
    select
        {{ key }},
        max(is_event) over near as has_event,
        sum(amount) over near as amount
    from {{ name }}_lined
    window near as (
        partition by person_key
        order by day_number
        range between {{ frame_bound(first) }} and {{ frame_bound(last) }}
    )
),

{{ name }} as (
    select
        {{ key }},
        amount
    from {{ name }}_framed
    where {{ key }} is not null and has_event = 1
)
{%- endmacro %}

{% macro frame_bound(days) -%}
    {%- if days == 0 -%}current row
    {%- elif days < 0 -%}{{ -days }} preceding
    {%- else -%}{{ days }} following
    {%- endif -%}
{%- endmacro %}
