{{ config(unique_key=['hospcode', 'referid']) }}

with landed as (
    select * from {{ source('f43', 'refer_history') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'REFER_HISTORY', ['hospcode', 'referid']) }}
)

select
    hospcode,
    referid,
    referid_province,
    pid,
    seq,
    an,
    referid_origin,
    hospcode_origin,
    datetime_serv,
    datetime_admit,
    datetime_refer,
    clinic_refer,
    hosp_destination,
    ptype,
    emergency,
    ptypedis,
    causeout,
    provider,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
