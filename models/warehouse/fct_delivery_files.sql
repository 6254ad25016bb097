{#- Files of the standard that have a staging model: only of these is it known which rows stand. -#}
{%- set staged = [
    'accident', 'address', 'admission', 'appointment', 'card', 'charge_opd', 'chronic', 'death', 'diagnosis_ipd',
    'diagnosis_opd', 'drug_opd', 'person', 'procedure_opd', 'service',
] -%}
with standing as (
    {%- for file in staged %}
    select
        '{{ file | upper }}' as file,
        hospcode,
        delivery_id,
        count(*) as n_standing
    from {{ ref('stg_f43__' ~ file) }}
    group by hospcode, delivery_id
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
),

staged_files as (
    {%- for file in staged %}
    select '{{ file | upper }}' as file
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
),

counted as (
    select
        files.*,
        case when staged_files.file is not null then coalesce(standing.n_standing, 0) end as n_standing
    from {{ ref('stg_ruam__receipt_files') }} as files
    left join staged_files on files.file = staged_files.file
    left join standing
        on
            files.delivery_id = standing.delivery_id
            and files.hospcode = standing.hospcode
            and files.file = standing.file
)

select
    batch,
    delivery_id,
    hospcode,
    file,
    n_rows,
    n_rejected,
    n_landed,
    n_standing,
    n_landed - n_standing as n_replaced
from counted
