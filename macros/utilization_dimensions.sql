{#- The dimensions of utilization, each with what has it: a stay has no class of visit nor hours, a bed is nobody's. -#}
{% macro utilization_dimensions() -%}
    {%- set beds = ['visits', 'stays', 'wards'] -%}
    {{ return({
        'facility_type': beds,
        'affiliation': beds,
        'right_group': beds[:2],
        'age_band': beds[:2],
        'condition_group': beds[:2],
        'visit_class': beds[:1],
        'office_hours': beds[:1],
    }) }}
{%- endmacro %}

{#- Those that `source` has. -#}
{% macro utilization_dimensions_of(source) -%}
    {%- set found = [] -%}
    {%- for dimension, sources in utilization_dimensions().items() if source in sources -%}
        {%- do found.append(dimension) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#- The columns `dimension` and `dimension_value` of rows of grouping sets of at most one of `dimensions`, of which none is null. -#}
{% macro dimension_and_value(dimensions) -%}
    case
        {%- for dimension in dimensions %}
        when {{ dimension }} is not null then '{{ dimension }}'
        {%- endfor %}
        else 'all'
    end as dimension,
    coalesce({{ dimensions | join(', ') }}, 'all') as dimension_value
{%- endmacro %}

{#- `group by` the columns, as a whole and once under each of the dimensions. -#}
{% macro group_by_dimension(columns, dimensions) -%}
    group by grouping sets (
        ({{ columns | join(', ') }}),
        {%- for dimension in dimensions %}
        ({{ columns | join(', ') }}, {{ dimension }}){% if not loop.last %},{% endif %}
        {%- endfor %}
    )
{%- endmacro %}
