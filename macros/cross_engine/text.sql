{#- Text functions that engines read differently. -#}

{% macro as_text(expression) -%}
    {{ adapter.dispatch('as_text', 'ruam')(expression) }}
{%- endmacro %}

{% macro default__as_text(expression) -%}
    cast({{ expression }} as varchar)
{%- endmacro %}

{% macro spark__as_text(expression) -%}
    cast({{ expression }} as string)
{%- endmacro %}

{#- No text, with the type of text. -#}
{% macro null_text() -%}
    {{ adapter.dispatch('null_text', 'ruam')() }}
{%- endmacro %}

{% macro default__null_text() -%}
    cast(null as varchar)
{%- endmacro %}

{% macro spark__null_text() -%}
    cast(null as string)
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
    {{ adapter.dispatch('matches_pattern', 'ruam')(text, pattern) }}
{%- endmacro %}

{% macro default__matches_pattern(text, pattern) -%}
    regexp_matches({{ text }}, {{ pattern }})
{%- endmacro %}

{% macro spark__matches_pattern(text, pattern) -%}
    regexp_like({{ text }}, {{ pattern }})
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
    {{ adapter.dispatch('number_of_key', 'ruam')(key) }}
{%- endmacro %}

{% macro default__number_of_key(key) -%}
    cast(md5_number_lower({{ key }}) >> 1 as bigint)
{%- endmacro %}

{% macro spark__number_of_key(key) -%}
    {#- Bytes 9 to 16 of the hash, the last the highest, as DuckDB reads them. -#}
    {%- set bytes = [] -%}
    {%- for position in range(31, 16, -2) -%}{%- do bytes.append('substr(md5(' ~ key ~ '), ' ~ position ~ ', 2)') -%}{%- endfor -%}
    cast(cast(conv({{ bytes | join(' || ') }}, 16, 10) as decimal(20, 0)) div 2 as bigint)
{%- endmacro %}

{#- The texts of a group in their order, between commas; null when there is none. -#}
{% macro texts_in_order(text) -%}
    {{ adapter.dispatch('texts_in_order', 'ruam')(text) }}
{%- endmacro %}

{% macro default__texts_in_order(text) -%}
    string_agg({{ text }}, ',' order by {{ text }})
{%- endmacro %}

{% macro spark__texts_in_order(text) -%}
    listagg({{ text }}, ',') within group (order by {{ text }})
{%- endmacro %}

{#- `text` without the characters `character` that it begins with. -#}
{% macro without_leading(text, character) -%}
    {{ adapter.dispatch('without_leading', 'ruam')(text, character) }}
{%- endmacro %}

{% macro default__without_leading(text, character) -%}
    ltrim({{ text }}, '{{ character }}')
{%- endmacro %}

{#- Spark's `ltrim` takes the two the other way round. -#}
{% macro spark__without_leading(text, character) -%}
    trim(leading '{{ character }}' from {{ text }})
{%- endmacro %}
