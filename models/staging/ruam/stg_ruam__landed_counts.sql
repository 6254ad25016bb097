{{ config(materialized='incremental', unique_key='batch') }}

{#- Every row that landed, also one that another has replaced since: when a month came is told by what came first. -#}
{%- for file, date in dated_files().items() %}
select
    batch,
    delivery_id,
    hospcode,
    '{{ file | upper }}' as file,
    {{ month_start(date) }} as report_month,
    cast(count(*) as bigint) as n_rows
from {{ source('f43', file) }}
where {{ in_new_batches() }} and {{ date }} is not null
group by batch, delivery_id, hospcode, {{ month_start(date) }}
{%- if not loop.last %}
union all
{%- endif %}
{%- endfor %}
