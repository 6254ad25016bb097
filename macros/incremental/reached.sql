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
  What to read for the rows of `relation` that are of a unit: where this run has them beside, these. Those of a visit or
  stay hold all lines of the registrations, for whose lines' sake the visit is one of them; those of people and of the
  watched, the people's.
-#}
{% macro kept_beside(relation, unit) -%}
    {%- set rows = reached_rows(relation.identifier) -%}
    {%- set found = run_query(
        "select 1 from duckdb_tables() where database_name = '" ~ rows.database ~ "' and schema_name = '" ~ rows.schema
        ~ "' and table_name = '" ~ rows.identifier ~ "'"
    ) -%}
    {{ return(rows if found.rows and unit in units_within(relation.identifier) else none) }}
{%- endmacro %}

{#- The units whose rows are all among those that are kept of a model; none where a strategy keeps none. -#}
{% macro units_within(model) -%}
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
