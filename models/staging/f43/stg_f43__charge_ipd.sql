{%- set key = ['hospcode', 'pid', 'an', 'datetime_admit', 'chargeitem', 'chargelist', 'instype'] -%}

{{ config(unique_key=key) }}

with landed as (
    select * from {{ source('f43', 'charge_ipd') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'CHARGE_IPD', key) }}
)

select
    hospcode,
    pid,
    an,
    datetime_admit,
    wardstay,
    chargeitem,
    chargelist,
    quantity,
    instype,
    cost,
    price,
    payprice,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
