{{ config(unique_key=['hospcode', 'pid', 'date_diag', 'chronic_code']) }}

with landed as (
    select
        landed.*,
        {{ bare_code('landed.chronic') }} as chronic_code
    from {{ source('f43', 'chronic') }} as landed
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'CHRONIC', ['hospcode', 'pid', 'date_diag', 'chronic_code']) }}
)

select
    hospcode,
    pid,
    date_diag,
    chronic_code,
    hosp_dx,
    hosp_rx,
    date_disch,
    typedisch,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
