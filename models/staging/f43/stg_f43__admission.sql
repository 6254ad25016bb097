{{ config(unique_key=['hospcode', 'pid', 'an', 'datetime_disch']) }}

with landed as (
    select * from {{ source('f43', 'admission') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'ADMISSION', ['hospcode', 'pid', 'an', 'datetime_disch']) }}
)

select
    hospcode,
    pid,
    seq,
    an,
    datetime_admit,
    wardadmit,
    instype,
    typein,
    referinhosp,
    causein,
    datetime_disch,
    warddisch,
    dischstatus,
    dischtype,
    referouthosp,
    causeout,
    cost,
    price,
    payprice,
    actualpay,
    drg,
    rw,
    adjrw,
    actlos,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
