{{ config(unique_key=['hospcode', 'pid', 'date_serv', 'labtest']) }}

with landed as (
    select * from {{ source('f43', 'labfu') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'LABFU', ['hospcode', 'pid', 'date_serv', 'labtest']) }}
)

select
    hospcode,
    pid,
    seq,
    date_serv,
    labtest,
    labresult,
    labplace,
    provider,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
