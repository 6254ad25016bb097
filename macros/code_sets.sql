{#- The distinct codes in `column` of the CTE `rows` that a set of `seeds/measures/code_sets.csv` holds. Few codes, many rows: each is matched once. -#}
{% macro codes_of_set(rows, column, set_id) -%}
    select distinct codes.{{ column }}
    from (select distinct {{ column }} from {{ rows }}) as codes
    inner join {{ ref('code_sets') }} as code_sets
        on code_sets.set_id = '{{ set_id }}' and {{ matches_pattern('codes.' ~ column, 'code_sets.pattern') }}
{%- endmacro %}

{#- A parameter's values, joined by `;`, as a list of lower-case texts to stand behind `in`. -#}
{% macro parameter_list(measure_id, parameter) -%}
    ('{{ measure_parameter(measure_id, parameter).split(';') | join("', '") }}')
{%- endmacro %}
