{#-
    The end of a statement whose rows are stored in the order of a key: rows of one key lie together, and their keys take
    a third of the room (docs/decisions/0035). Nothing may rely on the order.
-#}
{% macro clustered_by(column) -%}
    {{ return(adapter.dispatch('clustered_by', 'ruam')(column)) }}
{%- endmacro %}

{% macro default__clustered_by(column) -%}
    {{ return('order by ' ~ column) }}
{%- endmacro %}

{#- Within each task: the order of all rows would need all of them to be sent round once more. -#}
{% macro spark__clustered_by(column) -%}
    {{ return('sort by ' ~ column) }}
{%- endmacro %}
