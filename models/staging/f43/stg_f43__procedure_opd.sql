{{ config(unique_key=['hospcode', 'seq', 'date_serv', 'procedcode']) }}

with landed as (
    select * from {{ source('f43', 'procedure_opd') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'PROCEDURE_OPD', ['hospcode', 'seq', 'date_serv', 'procedcode']) }}
)

select
    hospcode,
    pid,
    seq,
    date_serv,
    clinic,
    procedcode,
    serviceprice,
    provider,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
