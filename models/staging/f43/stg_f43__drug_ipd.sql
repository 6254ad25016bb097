{{ config(unique_key=['hospcode', 'pid', 'an', 'datetime_admit', 'typedrug', 'didstd']) }}

with landed as (
    select * from {{ source('f43', 'drug_ipd') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'DRUG_IPD', ['hospcode', 'pid', 'an', 'datetime_admit', 'typedrug', 'didstd']) }}
)

select
    hospcode,
    pid,
    an,
    datetime_admit,
    wardstay,
    typedrug,
    didstd,
    datestart,
    datefinish,
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
