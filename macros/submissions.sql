{#-
    Files of which a report of one month is made, with the column that says in which month a row falls: of a stay its
    discharge, for only then can it be sent; its lines know their admission alone. Files that are not here are
    registers: they belong to the month of the delivery that they came in.
-#}
{% macro dated_files() %}
    {%- do return({
        'service': 'date_serv', 'diagnosis_opd': 'date_serv', 'drug_opd': 'date_serv', 'procedure_opd': 'date_serv',
        'charge_opd': 'date_serv', 'accident': 'datetime_serv', 'appointment': 'date_serv', 'labfu': 'date_serv',
        'admission': 'datetime_disch', 'diagnosis_ipd': 'datetime_admit', 'drug_ipd': 'datetime_admit',
        'procedure_ipd': 'datetime_admit', 'charge_ipd': 'datetime_admit', 'refer_history': 'datetime_refer',
    }) -%}
{% endmacro %}

{% macro is_dated(file) -%}
    {{ file }} in ({% for name in dated_files() %}'{{ name | upper }}'{% if not loop.last %}, {% endif %}{% endfor %})
{%- endmacro %}

{#- The fewest rows that chance leaves of so many as usual: three standard deviations of a Poisson count below them. -#}
{% macro fewest_by_chance(usual) -%}
    ({{ usual }} - 3 * sqrt({{ usual }}))
{%- endmacro %}

{#- The window over the six months before a report's own, of the same facility (and file): its rhythm as known then. -#}
{% macro of_months_before(columns) -%}
    over (partition by {{ columns | join(', ') }} order by report_month rows between 6 preceding and 1 preceding)
{%- endmacro %}
