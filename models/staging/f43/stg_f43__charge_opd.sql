{{ config(unique_key=['hospcode', 'seq', 'date_serv', 'chargeitem', 'chargelist', 'instype']) }}

with landed as (
    select * from {{ source('f43', 'charge_opd') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'CHARGE_OPD', ['hospcode', 'seq', 'date_serv', 'chargeitem', 'chargelist', 'instype']) }}
)

select
    hospcode,
    pid,
    seq,
    date_serv,
    clinic,
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
