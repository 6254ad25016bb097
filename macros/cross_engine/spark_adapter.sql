{#- What dbt-spark does otherwise than these builds need: its own macros, replaced. They are called on Spark alone. -#}

{#-
  Each build of a table lies in a directory of its own: one that was killed leaves nothing that the next stumbles over,
  no file of an older build is read with those of a newer, and who still reads the older one may end.
-#}
{% macro spark__location_clause() -%}
    location '{{ env_var('RUAM_SPARK_TABLES') }}/{{ model['alias'] }}/{{ invocation_id }}'
{%- endmacro %}

{#- A type as contracts and seeds name it, by its name on Spark. -#}
{% macro spark_type(data_type) -%}
    {{ 'string' if data_type | lower | trim == 'varchar' else data_type }}
{%- endmacro %}

{#-
  The contract's columns, each of the type that the contract gives it: engines differ in the types of sums and parts of
  dates. That a model gives the type of itself is held by the build on DuckDB, of the same SQL.
-#}
{% macro spark__get_select_subquery(sql) %}
    select
        {%- for column in model['columns'].values() %}
        cast(model_subq.{{ column['name'] }} as {{ spark_type(column['data_type']) }}) as {{ column['name'] }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        {{ sql }}
    ) as model_subq
{%- endmacro %}

{% macro spark__get_assert_columns_equivalent(sql) -%}
{%- endmacro %}

{#- The adapter's own puts values into the statement as they are: a quote in one ends the text. -#}
{% macro spark__load_csv_rows(model, agate_table) %}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set names = agate_table.column_names -%}
    {%- set statements = [] -%}
    {%- for chunk in agate_table.rows | batch(get_batch_size()) %}
        {%- set sql -%}
            insert into {{ this.render() }}
            select
                {%- for name in names %}
                cast({{ name }} as {{ spark_type(types.get(name, adapter.convert_type(agate_table, loop.index0))) }}){{ ',' if not loop.last }}
                {%- endfor %}
            from values
            {%- for row in chunk %}
                ({% for value in row %}{{ spark_literal(value) }}{{ ', ' if not loop.last }}{% endfor %}){{ ',' if not loop.last }}
            {%- endfor %}
            as given ({{ names | join(', ') }})
        {%- endset -%}
        {%- do adapter.add_query(sql, abridge_sql_log=True) -%}
        {%- do statements.append(sql) -%}
    {%- endfor -%}
    {{ return(statements[0]) }}
{% endmacro %}

{% macro spark_literal(value) -%}
    {%- if value is none -%}cast(null as string)
    {%- else -%}'{{ value | string | replace('\\', '\\\\') | replace("'", "\\'") }}'
    {%- endif -%}
{%- endmacro %}

{% macro spark__create_csv_table(model, agate_table) %}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set sql -%}
        create table {{ this.render() }} (
            {%- for name in agate_table.column_names %}
            {{ name }} {{ spark_type(types.get(name, adapter.convert_type(agate_table, loop.index0))) }}{{ ',' if not loop.last }}
            {%- endfor %}
        )
        {{ location_clause() }}
    {%- endset -%}
    {%- call statement('_') -%}{{ sql }}{%- endcall -%}
    {{ return(sql) }}
{% endmacro %}

{#- The adapter's own gives null for timestamps without a zone. -#}
{% macro spark__dateadd(datepart, interval, from_date_or_timestamp) -%}
    timestampadd({{ datepart }}, {{ interval }}, cast({{ from_date_or_timestamp }} as timestamp))
{%- endmacro %}

{#- The boundaries between two moments, as DuckDB counts them; the adapter's own counts whole months and begun hours. -#}
{% macro spark__datediff(first_date, second_date, datepart) -%}
    {%- if datepart in ('year', 'quarter', 'month') -%}
        {%- set months = {'year': 12, 'quarter': 3, 'month': 1}[datepart] -%}
        (
            (year({{ second_date }}) * 12 + month({{ second_date }}) - 1) div {{ months }}
            - (year({{ first_date }}) * 12 + month({{ first_date }}) - 1) div {{ months }}
        )
    {%- else -%}
        timestampdiff(
            {{ datepart }},
            date_trunc('{{ datepart }}', cast({{ first_date }} as timestamp)),
            date_trunc('{{ datepart }}', cast({{ second_date }} as timestamp))
        )
    {%- endif -%}
{%- endmacro %}

{#- The adapter's own gives null for timestamps without a zone. -#}
{% macro spark__last_day(date, datepart) -%}
    {%- set months = {'year': 12, 'quarter': 3, 'month': 1}[datepart] -%}
    date_sub(add_months(trunc(cast({{ date }} as date), '{{ datepart }}'), {{ months }}), 1)
{%- endmacro %}

{#- A view would be known to Spark's catalogue alone: who reads the Parquet files finds it as a table. -#}
{% materialization view, adapter='spark' %}
    {{ return(materialization_table_spark()) }}
{% endmaterialization %}

{#-
  Builds on Spark are full. A model that takes changes in by what they reach (macros/incremental) deletes rows, which
  tables of plain Parquet cannot.
-#}
{% materialization incremental, adapter='spark' %}
    {%- if load_relation(this) is not none and not should_full_refresh() -%}
        {{ exceptions.raise_compiler_error(
            this ~ ' is there already, and on Spark every build is a full one: run it again with --full-refresh.'
        ) }}
    {%- endif -%}
    {{ return(materialization_table_spark()) }}
{% endmaterialization %}
