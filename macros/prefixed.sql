{#- Columns of one relation, joined by commas. -#}
{% macro prefixed(columns, relation) -%}
    {%- for column in columns %}{{ relation }}.{{ column }}{% if not loop.last %}, {% endif %}{% endfor %}
{%- endmacro %}

{#- Whether two relations agree in each of the columns. -#}
{% macro agreeing(columns, left, right) -%}
    {%- for column in columns %}{{ left }}.{{ column }} = {{ right }}.{{ column }}{% if not loop.last %} and {% endif %}{% endfor %}
{%- endmacro %}
