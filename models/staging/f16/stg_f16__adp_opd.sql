{{ config(unique_key=['hospcode', 'seq', 'date_serv', 'adp_type', 'adp_code']) }}

with landed as (
    select
        landed.*,
        {{ without_leading('landed.type', '0') }} as adp_type,
        upper(landed.code) as adp_code
    from {{ source('f16', 'adp_opd') }} as landed
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', none, ['hospcode', 'seq', 'date_serv', 'adp_type', 'adp_code']) }}
)

select
    hospcode,
    pid,
    seq,
    date_serv,
    adp_type,
    adp_code,
    qty,
    rate,
    total,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
