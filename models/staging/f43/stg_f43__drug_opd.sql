{{ config(unique_key=['hospcode', 'seq', 'date_serv', 'didstd']) }}

with landed as (
    select * from {{ source('f43', 'drug_opd') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'DRUG_OPD', ['hospcode', 'seq', 'date_serv', 'didstd']) }}
)

select
    hospcode,
    pid,
    seq,
    date_serv,
    clinic,
    didstd,
    amount,
    unit,
    drugprice,
    drugcost,
    provider,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
