{#- Arithmetic that engines read differently. -#}

{#- A double; null when the divisor is 0. -#}
{% macro ratio(dividend, divisor) -%}
    (cast({{ dividend }} as double) / nullif(cast({{ divisor }} as double), 0))
{%- endmacro %}
