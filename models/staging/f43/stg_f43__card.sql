{{ config(unique_key=['hospcode', 'pid', 'instype_new']) }}

with landed as (
    select * from {{ source('f43', 'card') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'CARD', ['hospcode', 'pid', 'instype_new']) }}
)

select
    hospcode,
    pid,
    instype_old,
    instype_new,
    startdate,
    expiredate,
    main,
    sub,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
