{{ config(unique_key=['hospcode', 'pid']) }}

with landed as (
    select
        landed.*,
        {{ bare_code('landed.cdeath') }} as underlying_cause_code
    from {{ source('f43', 'death') }} as landed
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'DEATH', ['hospcode', 'pid']) }}
)

select
    hospcode,
    pid,
    hospdeath,
    an,
    seq,
    ddeath,
    underlying_cause_code,
    pregdeath,
    pdeath,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
