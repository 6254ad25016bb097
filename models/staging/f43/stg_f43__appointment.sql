{{ config(unique_key=['hospcode', 'pid', 'seq', 'date_serv', 'aptype']) }}

with landed as (
    select
        landed.*,
        {{ bare_code('landed.apdiag') }} as appointment_diagnosis_code
    from {{ source('f43', 'appointment') }} as landed
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'APPOINTMENT', ['hospcode', 'pid', 'seq', 'date_serv', 'aptype']) }}
)

select
    hospcode,
    pid,
    an,
    seq,
    date_serv,
    clinic,
    apdate,
    aptype,
    appointment_diagnosis_code,
    provider,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
