{{ config(materialized='incremental', incremental_strategy='by_person') }}

with appointments as (
    select * from {{ of_affected(ref('stg_f43__appointment'), 'registration') }}
),

placed as (
    {{ with_person_and_place('appointments') }}
),

services as (
    select * from {{ ref('stg_f43__service') }}
)

select
    {{ surrogate_key([
        'placed.hospcode', 'placed.pid', 'placed.seq', 'placed.date_serv', 'placed.aptype'
    ]) }} as appointment_key,
    placed.hospcode,
    {{ surrogate_key(['placed.hospcode', 'placed.seq', 'placed.date_serv']) }} as visit_key,
    placed.person_key,
    placed.person_tier,
    placed.wide_person_key,
    placed.date_serv as made_date,
    {{ month_start('placed.date_serv') }} as service_month,
    placed.treatment_province_code,
    placed.apdate as appointed_date,
    placed.aptype as appointment_type,
    placed.appointment_diagnosis_code as diagnosis_code,
    placed.clinic as clinic_code,
    {{ key_of_provider('placed.hospcode', 'placed.provider') }} as provider_key,
    services.hospcode is null or placed.is_person_unknown as is_orphan,
    placed.delivery_id
from placed
left join services
    on placed.hospcode = services.hospcode and placed.seq = services.seq and placed.date_serv = services.date_serv
