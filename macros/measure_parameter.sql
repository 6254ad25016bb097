{#-
  The newest value of a measure's parameter in `seeds/measures/measure_parameters.csv`, as text. It is read when the
  model is compiled, because a window frame takes no column; by its own name, because a
  unit test puts fixtures in the place of refs.
-#}
{% macro measure_parameter(measure_id, parameter) -%}
    {%- do ref('measure_parameters') -%}
    {%- if not execute -%}{{ return('') }}{%- endif -%}
    {%- set seed = api.Relation.create(database=target.database, schema=target.schema, identifier='measure_parameters') -%}
    {%- set found = run_query(
        "select value from " ~ seed ~ " where measure_id = '" ~ measure_id ~ "' and parameter = '" ~ parameter
        ~ "' order by valid_from desc limit 1"
    ) -%}
    {%- if not found.rows -%}
        {{ exceptions.raise_compiler_error(measure_id ~ ' has no parameter ' ~ parameter) }}
    {%- endif -%}
    {#- The driver may read `true` or `7` as more than text. -#}
    {{ return(found.columns[0].values()[0] | string | lower | trim) }}
{%- endmacro %}
