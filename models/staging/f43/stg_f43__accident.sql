{{ config(unique_key=['hospcode', 'seq', 'datetime_serv']) }}

with landed as (
    select * from {{ source('f43', 'accident') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'ACCIDENT', ['hospcode', 'seq', 'datetime_serv']) }}
)

select
    hospcode,
    pid,
    seq,
    datetime_serv,
    datetime_ae,
    aetype,
    aeplace,
    typein_ae,
    traffic,
    vehicle,
    alcohol,
    urgency,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
