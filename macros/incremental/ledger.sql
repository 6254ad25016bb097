{#-
  The ledger of what changed since the last good build, beside the build's own (schema `ruam`). It is written in the
  transaction that makes the change, and emptied by `ruam.build` when the whole build has succeeded: a build that stops
  half-way loses nothing of it.
-#}
{% macro ledger(table) -%}
    {{ return(api.Relation.create(database=target.database, schema='ruam', identifier=table)) }}
{%- endmacro %}

{#- Hook at the start of each run. -#}
{% macro make_ledger() -%}
    {{ adapter.dispatch('make_ledger', 'ruam')() }}
{%- endmacro %}

{% macro default__make_ledger() -%}
    create schema if not exists {{ target.database }}.ruam;
    create table if not exists {{ ledger('changed_rows') }} (
        hospcode varchar, pid varchar, seq varchar, date_serv date, an varchar, referid varchar, cid_pseudonym varchar,
        claim_month date
    );
    create table if not exists {{ ledger('changed_persons') }} (person_key varchar, wide_person_key varchar);
    {{ make_contributions() }}
    {{ forget_reached() }}
{%- endmacro %}

{#- Builds on Spark are full: nothing is ever written in it. -#}
{% macro spark__make_ledger() -%}
    {%- if execute -%}
        {%- do run_query('create schema if not exists ruam') -%}
        {%- do run_query(
            'create table if not exists ' ~ ledger('changed_rows') ~ ' (hospcode string, pid string, seq string, date_serv date, '
            ~ 'an string, referid string, cid_pseudonym string, claim_month date) using parquet'
        ) -%}
        {%- do run_query(
            'create table if not exists ' ~ ledger('changed_persons')
            ~ ' (person_key string, wide_person_key string) using parquet'
        ) -%}
    {%- endif -%}
{%- endmacro %}

{#-
  What the ledger is told of a row with `columns`, by its own columns: the registration, visit, stay, referral and number
  that the row names, as far as it names them.
-#}
{% macro remembered(columns) -%}
    {{ return({
        'hospcode': 'hosp_source' if 'hosp_source' in columns else 'hospcode',
        'pid': 'pid' if 'pid' in columns,
        'seq': 'seq' if 'seq' in columns,
        'date_serv': 'date_serv' if 'date_serv' in columns else (date_of('datetime_serv') if 'datetime_serv' in columns),
        'an': 'an' if 'an' in columns,
        'referid': 'referid_source' if 'referid_source' in columns,
        'cid_pseudonym': 'cid_pseudonym' if 'cid_pseudonym' in columns,
        'claim_month': 'claim_month' if 'claim_month' in columns,
    }) }}
{%- endmacro %}

{#- Write down whose rows of `relation` (with `columns`) are about to go or to come. -#}
{% macro remember_rows(relation, columns, condition) -%}
    insert into {{ ledger('changed_rows') }} by name
    select distinct
        {%- for name, expression in remembered(columns).items() if expression %}
        {{ expression }} as {{ name }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from {{ relation }}
    where {{ condition }};
{%- endmacro %}

{#-
  The rows of a relation with `columns` that `from_held` gives (a select from it, named `held`, after its list) go, and
  the ledger is told of them. They are looked for once: to find a few among millions by wide keys costs more than all
  else that a day does to a file.
-#}
{% macro delete_and_remember(relation, columns, from_held) -%}
    {%- set going = relation.identifier ~ '__going' -%}
    create or replace temporary table {{ going }} as
    select
        row_id
        {%- for name, expression in remembered(columns).items() if expression %},
        {{ expression }} as {{ name }}
        {%- endfor %}
    from (
        select held.rowid as row_id, held.*
        {{ from_held }}
    ) as found;
    insert into {{ ledger('changed_rows') }} by name
    select distinct
        {%- for name, expression in remembered(columns).items() if expression %}
        {{ name }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from {{ going }};
    delete from {{ relation }} where rowid in (select row_id from {{ going }});
    drop table {{ going }};
{%- endmacro %}
