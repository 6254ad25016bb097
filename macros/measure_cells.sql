{#-
  The rows of fct_measure_cells, of some persons or of all (macros/incremental/contributions.sql).
-#}
{% macro measure_cells(read, persons=none) -%}
{%- set library = measure_library() -%}
{%- set sources = sources_of_dimensions(read, persons) -%}
{%- set events = {} -%}
with
{%- if persons %}
{{ dimensions_of_persons(read, persons) }},
{%- endif %}
{%- for measure_id in library %}
{%- set model = measure_model(measure_id) %}
{%- do events.update({measure_id: model ~ '_rows' if persons else read(model)}) %}
{%- if persons %}
{{ model }}_rows as (
    select * from {{ of_persons(read(model), persons) }} as events
),
{%- endif %}
{{ model }}_events as (
    {{ events_with_dimensions(measure_id, "events.variant = 'main'", events[measure_id], sources) }}
),
{% endfor %}
-- Every variant without dimensions, by facility. Values are added as decimals: a sum of doubles tells in which order
-- they came, and a build made twice would differ in its last bit.
whole as (
    {%- for measure_id, measure in library.items() %}
    select
        '{{ measure_id }}' as measure_id,
        variant,
        service_month,
        {{ 'hospcode' if measure.place == 'facility' else null_text() }} as hospcode,
        province_code,
        count(case when is_numerator then 1 end) as numerator,
        count(*) as denominator,
        count(case when is_linkable then 1 end) as n_linkable,
        coalesce(sum(cast(value as decimal(18, 9))), 0) as total_value,
        count(value) as n_values,
        coalesce(sum(case when is_numerator then price end), 0) as total_price,
        count(case when is_numerator then price end) as n_priced
    from {{ events[measure_id] }} as events
    group by variant, service_month, {% if measure.place == 'facility' %}hospcode, {% endif %}province_code
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- The main variant by each set of dimensions, by province: one pass over the events for all sets.
cut as (
    {%- for measure_id, measure in library.items() %}
    select
        '{{ measure_id }}' as measure_id,
        service_month,
        province_code,
        {%- for dimension in dimensions() %}
        {{ dimension if dimension in dimensions_of(measure) else null_text() ~ ' as ' ~ dimension }},
        {%- endfor %}
        count(case when is_numerator then 1 end) as numerator,
        count(*) as denominator,
        coalesce(sum(case when is_numerator then price end), 0) as total_price,
        count(case when is_numerator then price end) as n_priced
    from {{ measure_model(measure_id) }}_events
    group by grouping sets (
        {%- for members in dimension_sets_of(measure).values() %}
        (service_month, province_code, {{ members | join(', ') }}){% if not loop.last %},{% endif %}
        {%- endfor %}
    )
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    measure_id,
    variant,
    service_month,
    hospcode,
    province_code,
    coalesce(hospcode, province_code) as place,
    'all' as dimension_set,
    'all' as member_1,
    'all' as member_2,
    'all' as member_3,
    numerator,
    denominator,
    n_linkable,
    cast(total_value as decimal(28, 9)) as total_value,
    n_values,
    cast(total_price as decimal(18, 2)) as total_price,
    n_priced
from whole
union all
select
    measure_id,
    'main' as variant,
    service_month,
    {{ null_text() }} as hospcode,
    province_code,
    province_code as place,
    {{ dimension_set_of_row() }} as dimension_set,
    {%- for position in range(3) %}
    {{ member_of_row(position) }} as member_{{ position + 1 }},
    {%- endfor %}
    numerator,
    denominator,
    cast(0 as bigint) as n_linkable,
    cast(0 as decimal(28, 9)) as total_value,
    cast(0 as bigint) as n_values,
    cast(total_price as decimal(18, 2)) as total_price,
    n_priced
from cut
{%- endmacro %}
