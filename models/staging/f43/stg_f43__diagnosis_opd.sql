{{ config(unique_key=['hospcode', 'seq', 'date_serv', 'diagnosis_code']) }}

with landed as (
    select
        landed.*,
        {{ bare_code('landed.diagcode') }} as diagnosis_code
    from {{ source('f43', 'diagnosis_opd') }} as landed
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'DIAGNOSIS_OPD', ['hospcode', 'seq', 'date_serv', 'diagnosis_code']) }}
)

select
    hospcode,
    pid,
    seq,
    date_serv,
    diagtype,
    diagnosis_code,
    clinic,
    provider,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
