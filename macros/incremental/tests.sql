{#-
  What a data test reads. In a build of changes the rows of the units that were recomputed, which are all that can have
  gone wrong; in any other, and of models that are made whole, every row. A ledger without an entry says that nothing is
  being recomputed, so that a test never reads nothing for want of one.
-#}
{% macro duckdb__get_where_subquery(relation) -%}
    {%- set condition = tested_units(relation) if execute and not flags.FULL_REFRESH and not config.get('where') -%}
    {%- if condition and load_relation(ledger('changed_rows')) and run_query('select 1 from ' ~ ledger('changed_rows') ~ ' limit 1').rows -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ condition ~ ') dbt_subquery') }}
    {%- endif -%}
    {{ return(default__get_where_subquery(relation)) }}
{%- endmacro %}

{% macro tested_units(relation) -%}
    {%- set model = graph.nodes.get('model.' ~ project_name ~ '.' ~ relation.identifier) -%}
    {%- if model is none or model.config.materialized not in ['incremental', 'view'] -%}{{ return(none) }}{%- endif -%}
    {%- set strategy = model.config.incremental_strategy -%}
    {%- if strategy == 'by_person' -%}
        {{ return(of_units(['person_key'], made('int_persons__affected'))) }}
    {%- elif strategy == 'by_watched_person' -%}
        {{ return(of_units(['person_key'], made('int_persons__watched'))) }}
    {%- elif strategy == 'by_affected_registration' -%}
        {{ return(of_units(['hospcode', 'pid'], made('int_registrations__affected'))) }}
    {%- elif strategy == 'by_registration' -%}
        {{ return(of_units(['hospcode', 'pid'], made('int_registrations__changed'))) }}
    {%- elif strategy == 'by_parent' -%}
        {{ return(of_parents()) }}
    {%- elif strategy == 'by_key' and 'date_serv' in model.config.unique_key -%}
        {{ return(of_units(['hospcode', 'seq', 'date_serv'] if 'seq' in model.config.unique_key else ['hospcode', 'pid'], ledger('changed_rows'))) }}
    {%- elif strategy == 'by_key' and 'pid' in model.config.unique_key -%}
        {{ return(of_units(['hospcode', 'pid'], ledger('changed_rows'))) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}
