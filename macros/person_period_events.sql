{#-
  The events of a measure of persons from the CTE `periods`: one row for each person and period (`start`), with
  is_numerator and price, and `variant` where there are several. They count where the person lives.
-#}
{% macro person_period_events(measure_id, periods, start, variant="'main'") -%}
select
    '{{ measure_id }}' as measure_id,
    {{ variant }} as variant,
    {{ surrogate_key([periods ~ '.person_key', periods ~ '.' ~ start]) }} as event_key,
    {{ periods }}.{{ start }} as event_date,
    {{ month_start(periods ~ '.' ~ start) }} as service_month,
    {{ null_text() }} as hospcode,
    coalesce(persons.home_province_code, '99') as province_code,
    {{ periods }}.person_key,
    {{ periods }}.is_numerator,
    coalesce(persons.person_tier in ('A', 'B'), false) as is_linkable,
    cast(null as double) as value,
    cast({{ periods }}.price as decimal(18, 2)) as price
from {{ periods }}
left join {{ ref('dim_persons') }} as persons on {{ periods }}.person_key = persons.person_key
{%- endmacro %}
