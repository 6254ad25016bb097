{%- set record = ['hospcode', 'file', 'record', 'event_date', 'delivery_id', 'source_line'] -%}

with
{%- for model in examined_models() %}
{{ model }} as (
    select
        {{ record | join(',\n        ') }},
        broken_rules
    from {{ ref(model) }}
    where broken_rules <> 0
),
{% endfor %}
-- A month is judged when its report is due: until then rows of it are still to come.
drifts as (
    select
        drifts.hospcode,
        drifts.rule_code,
        drifts.service_month,
        {{ texts_in_order(
            "case drifts.verdict when 'above' then '↑' else '↓' end"
            ~ " || case when drifts.member = 'all' then '' else ' ' || drifts.member end"
            ~ " || ' ' || " ~ as_text(rounded('drifts.value', 3))
            ~ " || ' (' || " ~ as_text(rounded('drifts.lower_limit', 3))
            ~ " || '–' || " ~ as_text(rounded('drifts.upper_limit', 3)) ~ " || ')'"
        ) }} as detail
    from {{ ref('fct_facility_drifts') }} as drifts
    left join {{ ref('fct_reports') }} as reports
        on drifts.hospcode = reports.hospcode and drifts.service_month = reports.report_month
    where drifts.verdict in ('above', 'below') and coalesce(reports.as_of_date > reports.due_on, true)
    group by drifts.hospcode, drifts.rule_code, drifts.service_month
),

months_sent as (
    select
        counts.hospcode,
        counts.report_month,
        counts.delivery_id,
        row_number() over (
            partition by counts.hospcode, counts.report_month
            order by deliveries.came_at desc, counts.delivery_id desc
        ) as recency
    from {{ ref('stg_ruam__landed_counts') }} as counts
    inner join {{ ref('stg_ruam__deliveries') }} as deliveries on counts.delivery_id = deliveries.delivery_id
),

drifted as (
    select
        drifts.*,
        months_sent.delivery_id
    from drifts
    left join months_sent
        on
            drifts.hospcode = months_sent.hospcode
            and drifts.service_month = months_sent.report_month
            and months_sent.recency = 1
),

findings as (
    {%- for rule in rules_over('fct_facility_drifts') %}
    select
        hospcode,
        '{{ rule.get("file", "SERVICE") }}' as file,
        {{ as_text('service_month') }} as record,
        service_month as event_date,
        delivery_id,
        cast(null as integer) as source_line,
        detail,
        '{{ rule.code }}' as rule_code,
        '{{ rule.axis }}' as axis,
        '{{ rule.severity }}' as severity
    from drifted
    where rule_code = '{{ rule.code }}'
    union all
    {%- endfor %}
    {%- for model in examined_models() %}
    {%- set of_model = loop %}
    {%- for rule in rules_over(model) %}
    select
        {{ record | join(',\n        ') }},
        {{ null_text() }} as detail,
        '{{ rule.code }}' as rule_code,
        '{{ rule.axis }}' as axis,
        '{{ rule.severity }}' as severity
    from {{ model }}
    where {{ has_rule('broken_rules', loop.index0) }}
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
    source_line,
    detail
from findings
