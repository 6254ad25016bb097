{#- Files of the standard that have a staging model: only of these is it known which rows stand. -#}
{%- set staged = [
    'accident', 'address', 'admission', 'appointment', 'card', 'charge_opd', 'chronic', 'death', 'diagnosis_ipd',
    'diagnosis_opd', 'drug_opd', 'person', 'procedure_opd', 'service',
] -%}
with standing as (
    {%- for file in staged %}
    select
        '{{ file | upper }}' as file,
        delivery_id,
        count(*) as n_standing
    from {{ ref('stg_f43__' ~ file) }}
    group by delivery_id
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
),

staged_files as (
    {%- for file in staged %}
    select '{{ file | upper }}' as file
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
),

-- Several members may hold one file, and one content may have come from two senders.
sent as (
    select
        delivery_id,
        file,
        sum(n_rows) as n_rows,
        sum(n_rejected) as n_rejected,
        sum(n_landed) as n_landed
    from {{ ref('stg_ruam__receipt_files') }}
    group by delivery_id, file
),

counted as (
    select
        sent.*,
        case when staged_files.file is not null then coalesce(standing.n_standing, 0) end as n_standing
    from sent
    left join staged_files on sent.file = staged_files.file
    left join standing
        on
            sent.delivery_id = standing.delivery_id
            and sent.file = standing.file
)

select
    delivery_id,
    file,
    cast(n_rows as bigint) as n_rows,
    cast(n_rejected as bigint) as n_rejected,
    cast(n_landed as bigint) as n_landed,
    n_standing,
    cast(n_landed - n_standing as bigint) as n_replaced
from counted
