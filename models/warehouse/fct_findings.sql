{%- set record = ['hospcode', 'file', 'record', 'event_date', 'delivery_id', 'source_line'] -%}

with
{%- for model in examined_models() %}
{{ model }} as (
    select
        {{ record | join(',\n        ') }}
        {%- for rule in rules_over(model) %},
        {{ rule_is_broken(rule) }} as {{ rule.code }}
        {%- endfor %}
    from {{ ref(model) }}
),
{% endfor %}
findings as (
    {%- for model in examined_models() %}
    {%- set of_model = loop %}
    {%- for rule in rules_over(model) %}
    select
        {{ record | join(',\n        ') }},
        '{{ rule.code }}' as rule_code,
        '{{ rule.axis }}' as axis,
        '{{ rule.severity }}' as severity
    from {{ model }}
    where {{ rule.code }}
    {%- if not (loop.last and of_model.last) %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- endfor %}
)

select
    {{ surrogate_key(['rule_code', 'hospcode', 'file', 'record']) }} as finding_key,
    rule_code,
    axis,
    severity,
    hospcode,
    file,
    record,
    event_date,
    delivery_id,
    source_line
from findings
