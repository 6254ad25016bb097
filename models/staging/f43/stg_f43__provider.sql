{{ config(unique_key=['hospcode', 'provider']) }}

with landed as (
    select * from {{ source('f43', 'provider') }}
    where {{ in_new_batches() }}
),

latest as (
    {{ latest_by_key('landed', 'PROVIDER', ['hospcode', 'provider']) }}
)

select
    hospcode,
    provider,
    council,
    sex,
    providertype,
    startdate,
    outdate,
    d_update,
    delivery_id,
    source_line,
    row_flags
from latest
