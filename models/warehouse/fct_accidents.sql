{{ config(materialized='incremental', incremental_strategy='by_person') }}

with accidents as (
    select
        *,
        {{ date_of('datetime_serv') }} as date_serv
    from {{ of_affected(ref('stg_f43__accident'), 'registration') }}
),

placed as (
    {{ with_person_and_place('accidents') }}
),

services as (
    select * from {{ ref('stg_f43__service') }}
)

select
    {{ surrogate_key(['placed.hospcode', 'placed.seq', 'placed.datetime_serv']) }} as accident_key,
    placed.hospcode,
    {{ surrogate_key(['placed.hospcode', 'placed.seq', 'placed.date_serv']) }} as visit_key,
    placed.person_key,
    placed.person_tier,
    placed.wide_person_key,
    placed.datetime_serv as served_at,
    {{ month_start('placed.date_serv') }} as service_month,
    placed.treatment_province_code,
    placed.datetime_ae as happened_at,
    placed.aetype as accident_type,
    placed.aeplace as place,
    placed.typein_ae as arrival,
    placed.traffic as road_user,
    placed.vehicle,
    case placed.alcohol when '1' then true when '2' then false end as is_drunk,
    placed.urgency as triage_level,
    services.hospcode is null or placed.is_person_unknown as is_orphan,
    placed.delivery_id
from placed
left join services
    on placed.hospcode = services.hospcode and placed.seq = services.seq and placed.date_serv = services.date_serv
