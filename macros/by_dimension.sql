{#- The rows of `relation` once under each dimension of utilization, with its value; `columns` go along. -#}
{% macro by_dimension(relation, columns) -%}
    {%- set dimensions = {
        'all': "'all'",
        'facility_type': 'facility_type_group',
        'affiliation': 'affiliation_group',
        'right_group': 'right_group',
        'visit_class': 'visit_class',
    } -%}
    {%- for dimension, value in dimensions.items() %}
    select
        '{{ dimension }}' as dimension,
        {{ value }} as dimension_value,
        {{ columns | join(', ') }}
    from {{ relation }}
    {%- if dimension != 'all' %}
    where {{ value }} is not null
    {%- endif %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
{%- endmacro %}
