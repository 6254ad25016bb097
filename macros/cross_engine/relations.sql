{#-
    A relation without its database's name, so that a view still works in a copy of the file under another name; a
    database that is only attached (DuckLake) is not looked into without it.
-#}
{% macro in_own_database(relation) -%}
    {{ return(adapter.dispatch('in_own_database', 'ruam')(relation)) }}
{%- endmacro %}

{% macro default__in_own_database(relation) -%}
    {{ return(relation.include(database=adapter.is_ducklake(relation))) }}
{%- endmacro %}

{% macro spark__in_own_database(relation) -%}
    {{ return(relation.include(database=false)) }}
{%- endmacro %}

{#- Hook at the start of each run: what the engine needs to read the sources, which DuckDB finds by itself. -#}
{% macro make_sources() -%}
    {{ adapter.dispatch('make_sources', 'ruam')() }}
{%- endmacro %}

{% macro default__make_sources() -%}
{%- endmacro %}

{#- One view for each source, over the files that `external_location` names; it sees files that come later. -#}
{% macro spark__make_sources() -%}
    {%- if execute -%}
        {%- for source in graph.sources.values() -%}
            {%- set files = modules.re.search("'([^']+)'", source.config.meta.external_location).group(1) -%}
            {%- do run_query('create schema if not exists ' ~ source.schema) -%}
            {%- do run_query(
                'create or replace view ' ~ source.schema ~ '.' ~ source.identifier
                ~ ' as select * from parquet.`' ~ files.format(name=source.name) ~ '`'
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
