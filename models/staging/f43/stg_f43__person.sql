{{ config(unique_key=['hospcode', 'pid']) }}

with landed as (
    select * from {{ source('f43', 'person') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'PERSON', ['hospcode', 'pid']) }}
)

select
    hospcode,
    pid,
    cid_pseudonym,
    cid_class,
    sex,
    birth_month,
    mstatus,
    occupation_new,
    race,
    nation,
    education,
    movein,
    discharge,
    ddischarge,
    labor,
    typearea,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
