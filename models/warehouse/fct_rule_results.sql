with
{%- for model in examined_models() %}
{{ model }} as (
    select
        hospcode,
        file,
        {{ month_start('event_date') }} as event_month
        {%- for rule in rules_over(model) %},
        sum(case when {{ rule_applies(rule) }} then 1 else 0 end) as n_checked_{{ loop.index }},
        sum(case when {{ rule_is_broken(rule) }} then 1 else 0 end) as n_broken_{{ loop.index }}
        {%- endfor %}
    from {{ ref(model) }}
    group by hospcode, file, {{ month_start('event_date') }}
),
{% endfor %}
results as (
    {%- for model in examined_models() %}
    {%- set of_model = loop %}
    {%- for rule in rules_over(model) %}
    select
        hospcode,
        file,
        event_month,
        '{{ rule.code }}' as rule_code,
        '{{ rule.axis }}' as axis,
        '{{ rule.severity }}' as severity,
        n_checked_{{ loop.index }} as n_checked,
        n_broken_{{ loop.index }} as n_broken
    from {{ model }}
    {%- if not (loop.last and of_model.last) %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- endfor %}
)

select
    rule_code,
    axis,
    severity,
    hospcode,
    file,
    event_month,
    cast(n_checked as bigint) as n_checked,
    cast(n_broken as bigint) as n_broken
from results
where n_checked > 0
