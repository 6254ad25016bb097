{#-
  The rows of those whom a build of changes reaches, beside everybody's (schema `reached`): what a strategy takes into a
  model, and the lines of the 43 files that several models read. To find few people's rows, every block of a table is
  looked through; so each table is looked through once, and whoever needs them reads these (`of_affected`). They are of
  one run, which begins by forgetting them.
-#}
{% macro reached_rows(model) -%}
    {{ return(api.Relation.create(database=target.database, schema='reached', identifier=model)) }}
{%- endmacro %}

{#- At the start of each run. -#}
{% macro forget_reached() -%}
    drop schema if exists {{ target.database }}.reached cascade;
    create schema {{ target.database }}.reached;
{%- endmacro %}

{#- Lines that several models read, by the unit of which they are kept. -#}
{% macro lines_of_reached() -%}
    {{ return({
        'registration': ['person', 'chronic'],
        'visit': ['service', 'diagnosis_opd', 'drug_opd'],
        'stay': ['admission', 'diagnosis_ipd', 'drug_ipd'],
    }) }}
{%- endmacro %}

{#- Hook after the relation of the units. -#}
{% macro keep_reached(unit) -%}
    {%- set units = units_of_changes()[unit] -%}
    {%- for file in lines_of_reached()[unit] if execute and not flags.FULL_REFRESH %}
    {%- set lines = made('stg_f43__' ~ file) %}
    create or replace table {{ reached_rows(lines.identifier) }} as
    select * from {{ lines }} where {{ of_units(units.key, made(units.model)) }};
    {%- endfor %}
{%- endmacro %}

{#-
  The relation in which this run has all rows of `relation` that are of a unit; none where they are to be looked for among
  everybody's.
-#}
{% macro kept_beside(relation, unit) -%}
    {%- set rows = reached_rows(relation.identifier) -%}
    {%- if unit not in units_beside(relation.identifier) -%}{{ return(none) }}{%- endif -%}
    {%- set found = run_query(
        "select 1 from duckdb_tables() where database_name = '" ~ rows.database ~ "' and schema_name = '" ~ rows.schema
        ~ "' and table_name = '" ~ rows.identifier ~ "'"
    ) -%}
    {{ return(rows if found.rows else none) }}
{%- endmacro %}

{#-
  The units of which all rows are kept beside a model. Lines by visit or stay hold those by registration, for each visit
  or stay of which a registration has a line is one of them; the watched hold the persons.
-#}
{% macro units_beside(model) -%}
    {%- for unit, files in lines_of_reached().items() if model.startswith('stg_f43__') and model[9:] in files -%}
        {{ return(['registration', unit]) }}
    {%- endfor -%}
    {%- set strategy = graph.nodes['model.' ~ project_name ~ '.' ~ model].config.incremental_strategy -%}
    {{ return({
        'by_person': ['person'],
        'by_watched_person': ['person', 'watched'],
        'by_parent': ['admission'],
        'by_registration': ['changed'],
    }.get(strategy, [])) }}
{%- endmacro %}
