{{ config(unique_key=['hospcode', 'pid', 'an', 'datetime_admit', 'diagnosis_code']) }}

with landed as (
    select
        landed.*,
        {{ bare_code('landed.diagcode') }} as diagnosis_code
    from {{ source('f43', 'diagnosis_ipd') }} as landed
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'DIAGNOSIS_IPD', ['hospcode', 'pid', 'an', 'datetime_admit', 'diagnosis_code']) }}
)

select
    hospcode,
    pid,
    an,
    datetime_admit,
    warddiag,
    diagtype,
    diagnosis_code,
    provider,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
