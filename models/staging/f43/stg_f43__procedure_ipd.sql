{%- set key = ['hospcode', 'pid', 'an', 'datetime_admit', 'procedcode', 'timestart'] -%}

{{ config(unique_key=key) }}

with landed as (
    select * from {{ source('f43', 'procedure_ipd') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'PROCEDURE_IPD', key) }}
)

select
    hospcode,
    pid,
    an,
    datetime_admit,
    wardstay,
    procedcode,
    timestart,
    timefinish,
    serviceprice,
    provider,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
