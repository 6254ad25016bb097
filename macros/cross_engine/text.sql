{#- Text functions that engines read differently. -#}

{% macro as_text(expression) -%}
    cast({{ expression }} as varchar)
{%- endmacro %}

{#- No text, with the type of text. -#}
{% macro null_text() -%}
    cast(null as varchar)
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

{#- A number written as text; null when it is none, or too large. -#}
{% macro number_or_null(text) -%}
    try_cast(replace(trim({{ text }}), ',', '') as decimal(18, 4))
{%- endmacro %}

{#- The part of `text` that group `group` of `pattern` finds; null when the pattern does not fit. -#}
{% macro part_of(text, pattern, group) -%}
    nullif(regexp_extract({{ text }}, {{ pattern }}, {{ group }}), '')
{%- endmacro %}

{#-
  A whole number for a key of 32 hex digits, the same in every build: 63 bits of its MD5. Of a nation's 66 million keys,
  two share a number with a chance of 1 in 4,000.
-#}
{% macro number_of_key(key) -%}
    cast(md5_number_lower({{ key }}) >> 1 as bigint)
{%- endmacro %}

{#- The texts of a group in their order, between commas; null when there is none. -#}
{% macro texts_in_order(text) -%}
    string_agg({{ text }}, ',' order by {{ text }})
{%- endmacro %}
