{#- A relation without its database's name, so that a view still works in a copy of the file under another name. -#}
{% macro in_own_database(relation) -%}
    {{ relation.include(database=false) }}
{%- endmacro %}
