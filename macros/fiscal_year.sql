{#- The fiscal year runs from October to September and bears the year in which it ends. -#}
{% macro fiscal_year_ce(date) -%}
    year({{ date }}) + case when month({{ date }}) >= 10 then 1 else 0 end
{%- endmacro %}

{% macro fiscal_year_start(date) -%}
    {{ add_months(month_start(date), '-((month(' ~ date ~ ') + 2) % 12)') }}
{%- endmacro %}
