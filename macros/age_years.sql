{#- Whole years of age on a day, of a person of whom the month of birth is known. -#}
{% macro age_years(birth_month, date) -%}
    (year({{ date }}) - year({{ birth_month }}) - case when month({{ date }}) < month({{ birth_month }}) then 1 else 0 end)
{%- endmacro %}
