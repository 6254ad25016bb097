{{ config(unique_key='delivery_id', incremental_strategy='delete+insert') }}

with landed as (
    select * from {{ source('f43', 'withdrawals') }}
    where {{ in_new_batches() }}
)

-- The key columns of the files that have a staging model, named as there.
select
    hospcode,
    file,
    pid,
    seq,
    an,
    date_serv,
    date_diag,
    datetime_admit,
    datetime_disch,
    datetime_serv,
    {{ bare_code('diagcode') }} as diagnosis_code,
    {{ bare_code('chronic') }} as chronic_code,
    didstd,
    procedcode,
    chargeitem,
    chargelist,
    instype,
    instype_new,
    addresstype,
    aptype,
    typedrug,
    timestart,
    labtest,
    referid,
    referid_source,
    hosp_source,
    provider,
    d_update,
    delivery_id,
    source_line,
    position
from landed
