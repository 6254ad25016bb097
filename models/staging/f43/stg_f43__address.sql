{{ config(unique_key=['hospcode', 'pid', 'addresstype']) }}

with landed as (
    select * from {{ source('f43', 'address') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'ADDRESS', ['hospcode', 'pid', 'addresstype']) }}
)

select
    hospcode,
    pid,
    addresstype,
    housetype,
    village,
    tambon,
    ampur,
    changwat,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
