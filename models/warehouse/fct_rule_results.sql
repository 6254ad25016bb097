with
{%- for model in examined_models() %}
-- Few rows differ in what they break: those that do not are counted first.
{{ model }}_alike as (
    select
        hospcode,
        file,
        {{ month_start('event_date') }} as event_month,
        checked_rules,
        broken_rules,
        count(*) as n_rows
    from {{ ref(model) }}
    group by hospcode, file, {{ month_start('event_date') }}, checked_rules, broken_rules
),

{{ model }} as (
    select
        hospcode,
        file,
        event_month
        {%- for rule in rules_over(model) %}
        {%- set n = loop.index %}
        {%- for what in ['checked', 'broken'] %},
        sum(case when {{ has_rule(what ~ '_rules', n - 1) }} then n_rows else 0 end) as n_{{ what }}_{{ n }}
        {%- endfor %}
        {%- endfor %}
    from {{ model }}_alike
    group by hospcode, file, event_month
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
