{{ config(materialized='incremental', incremental_strategy='by_watched_person') }}
{{ whole_when_moves('first_day', 'last_month') }}
{%- set watched = affected_keys('watched') %}
{%- set sources = sources_of_dimensions(ref, watched) %}

{% if watched -%}
with {{ dimensions_of_persons(ref, watched) }}

{% endif -%}
{%- for measure_id, measure in measure_library().items() %}
select
    '{{ measure_id }}' as measure_id,
    '{{ measure.span }}' as span,
    events.variant,
    events.event_key,
    events.service_month,
    events.hospcode,
    events.province_code,
    events.person_key,
    cast(events.price as decimal(18, 2)) as price,
    {{ prefixed(dimensions(), 'events') }}
from (
    {{ events_with_dimensions(
        measure_id,
        "events.is_numerator and events.variant <> 'wide'",
        of_persons(ref(measure_model(measure_id)), watched),
        sources,
    ) }}
) as events
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
