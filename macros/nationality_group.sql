{#- thai, other or unknown, by PERSON.NATION. -#}
{% macro nationality_group(nation) -%}
    case
        when {{ nation }} = '099' then 'thai'
        when {{ nation }} is null or {{ nation }} = '999' then 'unknown'
        else 'other'
    end
{%- endmacro %}
