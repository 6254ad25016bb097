{#- Text functions that engines read differently. -#}

{% macro as_text(expression) -%}
    cast({{ expression }} as varchar)
{%- endmacro %}

{#- A decimal from text. -#}
{% macro as_decimal(text) -%}
    cast({{ text }} as decimal(18, 4))
{%- endmacro %}

{#- One hashed key, 32 hex digits, from several columns; a null counts as empty text. -#}
{% macro surrogate_key(columns) -%}
    md5({% for column in columns %}coalesce({{ as_text(column) }}, ''){% if not loop.last %} || '|' || {% endif %}{% endfor %})
{%- endmacro %}

{% macro matches_pattern(text, pattern) -%}
    regexp_matches({{ text }}, {{ pattern }})
{%- endmacro %}
