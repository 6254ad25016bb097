{{ config(unique_key=['hospcode', 'seq', 'date_serv']) }}

with landed as (
    select * from {{ source('f43', 'service') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'SERVICE', ['hospcode', 'seq', 'date_serv']) }}
)

select
    hospcode,
    pid,
    seq,
    date_serv,
    time_serv,
    location,
    intime,
    instype,
    main,
    hsub,
    typein,
    referinhosp,
    causein,
    servplace,
    btemp,
    sbp,
    dbp,
    pr,
    rr,
    typeout,
    referouthosp,
    causeout,
    cost,
    price,
    payprice,
    actualpay,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
