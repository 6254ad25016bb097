{#-
  How a model takes in what it was recomputed for: the rows that it holds of the units go, those of the temporary
  relation come, in one transaction. The units are tables made before, so that both sides are the same set. Making
  it again changes nothing, so that a build that failed half-way is simply run again.
-#}
{% macro get_incremental_by_person_sql(arguments) -%}
    {{ replace_units(arguments, of_units(['person_key'], made('int_persons__affected'))) }}
{%- endmacro %}

{% macro get_incremental_by_watched_person_sql(arguments) -%}
    {{ replace_units(arguments, of_units(['person_key'], made('int_persons__watched'))) }}
{%- endmacro %}

{#- Lines that bear no person: by their visit or stay. -#}
{% macro get_incremental_by_parent_sql(arguments) -%}
    {{ replace_units(arguments, of_parents()) }}
{%- endmacro %}

{% macro of_parents() -%}
    {{ of_units(['visit_key'], made('int_visits__affected')) }} or {{ of_units(['admission_key'], made('int_stays__affected')) }}
{%- endmacro %}

{#- Rows of a register or of a file that rules are put to: by the registrations of affected persons. -#}
{% macro get_incremental_by_affected_registration_sql(arguments) -%}
    {{ replace_units(arguments, of_units(['hospcode', 'pid'], made('int_registrations__affected'))) }}
{%- endmacro %}

{#- By registration; where rows bear persons, the ledger is told of those that they had and those that they have. -#}
{% macro get_incremental_by_registration_sql(arguments) -%}
    {%- set condition = of_units(['hospcode', 'pid'], made('int_registrations__changed')) -%}
    {%- if 'person_key' in arguments.dest_columns | map(attribute='name') -%}
        {%- for relation in [arguments.target_relation, arguments.temp_relation] %}
        insert into {{ ledger('changed_persons') }}
        select distinct person_key, wide_person_key from {{ relation }} where {{ condition }};
        {%- endfor %}
    {%- endif %}
    {{ replace_units(arguments, condition) }}
{%- endmacro %}

{#- Staging: by key, as `delete+insert` does; the ledger is told of the rows that go and of those that come. -#}
{% macro get_incremental_by_key_sql(arguments) -%}
    {%- set columns = arguments.dest_columns | map(attribute='name') | list -%}
    {%- set quoted = arguments.dest_columns | map(attribute='quoted') | join(', ') -%}
    {%- set replaced -%}
    from {{ arguments.target_relation }} as held
    where {{ of_units(arguments.unique_key, arguments.temp_relation) }}
    {%- endset -%}
    {{ delete_and_remember(arguments.target_relation, columns, replaced) }}
    {{ remember_rows(arguments.temp_relation, columns, 'true') }}
    insert into {{ arguments.target_relation }} ({{ quoted }}) select {{ quoted }} from {{ arguments.temp_relation }};
{%- endmacro %}

{#- Whole relations that come anew each time: the ledger is told of the rows that differ. -#}
{% macro get_incremental_by_difference_sql(arguments) -%}
    {%- set columns = arguments.dest_columns | map(attribute='name') | list -%}
    {%- set pairs = [(arguments.target_relation, arguments.temp_relation), (arguments.temp_relation, arguments.target_relation)] -%}
    {%- for one, other in pairs %}
    {%- set differing = '(select ' ~ columns | join(', ') ~ ' from ' ~ one ~ ' except select ' ~ columns | join(', ') ~ ' from ' ~ other ~ ')' %}
    {{ remember_rows(differing, columns, 'true') }}
    {%- endfor %}
    {{ replace_all(arguments) }}
{%- endmacro %}

{% macro replace_units(arguments, condition) -%}
    {%- set columns = arguments.dest_columns | map(attribute='quoted') | join(', ') -%}
    {%- if is_made_whole() -%}
    {{ replace_all(arguments) }}
    {%- else -%}
    {%- set rows = reached_rows(arguments.target_relation.identifier) %}
    create or replace table {{ rows }} as select {{ columns }} from {{ arguments.temp_relation }} where {{ condition }};
    delete from {{ arguments.target_relation }} where {{ condition }};
    insert into {{ arguments.target_relation }} ({{ columns }}) select {{ columns }} from {{ rows }};
    {%- endif %}
{%- endmacro %}

{% macro replace_all(arguments) -%}
    {%- set columns = arguments.dest_columns | map(attribute='quoted') | join(', ') -%}
    delete from {{ arguments.target_relation }};
    insert into {{ arguments.target_relation }} ({{ columns }}) select {{ columns }} from {{ arguments.temp_relation }};
{%- endmacro %}
