{#-
  The distinct codes in `column` of `rows` that a set of `seeds/measures/code_sets.csv` holds. Few codes, many rows: each
  is matched once. `rows` is a CTE or, where that would be large and held in memory whole for being read twice, what the
  CTE is made of: with its filters, for DuckDB plans the join with the codes by how many rows these leave (decision 36).
-#}
{% macro codes_of_set(rows, column, set_id) -%}
    select distinct codes.{{ column }}
    from (select distinct {{ column }} from {{ rows }}) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on code_sets.set_id = '{{ set_id }}' and {{ matches_pattern('codes.' ~ column, 'code_sets.pattern') }}
{%- endmacro %}

{#- The same for several sets: each distinct code beside the id of every set that holds it. -#}
{% macro sets_of_codes(rows, column, sets) -%}
    select distinct
        codes.{{ column }},
        code_sets.set_id
    from (select distinct {{ column }} from {{ rows }}) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on
            code_sets.set_id in ('{{ sets | join("', '") }}')
            and {{ matches_pattern('codes.' ~ column, 'code_sets.pattern') }}
{%- endmacro %}

{#- The codes of several sets, each under the name that `sets` (name to set) gives it, in a column `name`. -#}
{% macro named_codes(rows, column, sets, name) -%}
    {%- for label, set_id in sets.items() %}
    select
        '{{ label }}' as {{ name }},
        of_set.{{ column }}
    from ({{ codes_of_set(rows, column, set_id) }}) as of_set
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
{%- endmacro %}

{#- A parameter's values, joined by `;`, as a list of lower-case texts to stand behind `in`. -#}
{% macro parameter_list(measure_id, parameter) -%}
    ('{{ measure_parameter(measure_id, parameter).split(';') | join("', '") }}')
{%- endmacro %}
