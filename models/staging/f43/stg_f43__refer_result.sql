{{ config(unique_key=['hospcode', 'referid_source', 'hosp_source']) }}

with landed as (
    select * from {{ source('f43', 'refer_result') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'REFER_RESULT', ['hospcode', 'referid_source', 'hosp_source']) }}
)

select
    hospcode,
    referid_source,
    hosp_source,
    refer_result,
    datetime_in,
    pid_in,
    an_in,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
