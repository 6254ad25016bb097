{{ config(materialized='incremental', incremental_strategy='by_person') }}

with letters as (
    select
        *,
        {{ date_of('datetime_serv') }} as date_serv
    from {{ of_affected(ref('stg_f43__refer_history'), 'registration') }}
),

placed as (
    {{ with_person_and_place('letters') }}
),

services as (
    select * from {{ ref('stg_f43__service') }}
),

answers as (
    select * from {{ ref('stg_f43__refer_result') }}
),

destinations as (
    select * from {{ ref('int_facilities__classified') }}
)

select
    {{ surrogate_key(['placed.hospcode', 'placed.referid']) }} as referral_key,
    placed.hospcode,
    {{ surrogate_key(['placed.hospcode', 'placed.seq', 'placed.date_serv']) }} as visit_key,
    case when placed.an <> '' then {{ surrogate_key(['placed.hospcode', 'placed.an']) }} end as admission_key,
    placed.person_key,
    placed.person_tier,
    placed.wide_person_key,
    placed.datetime_refer as referred_at,
    {{ month_start('placed.datetime_refer') }} as service_month,
    placed.treatment_province_code,
    placed.hosp_destination as destination_hospcode,
    coalesce(destinations.province_code, '99') as destination_province_code,
    placed.clinic_refer as clinic_code,
    placed.ptype as patient_type,
    placed.emergency as urgency,
    placed.ptypedis as disease_group,
    placed.causeout as cause,
    coalesce(placed.causeout, '') = '6' as is_return,
    coalesce(placed.causeout, '') <> '7' as is_patient_sent,
    answers.refer_result as result,
    answers.datetime_in as received_at,
    case
        when answers.an_in <> '' then {{ surrogate_key(['answers.hospcode', 'answers.an_in']) }}
    end as received_admission_key,
    {{ key_of_provider('placed.hospcode', 'placed.provider') }} as provider_key,
    services.hospcode is null or placed.is_person_unknown as is_orphan,
    placed.delivery_id
from placed
left join services
    on placed.hospcode = services.hospcode and placed.seq = services.seq and placed.date_serv = services.date_serv
left join answers
    on
        placed.hosp_destination = answers.hospcode
        and placed.hospcode = answers.hosp_source
        and placed.referid = answers.referid_source
left join destinations on placed.hosp_destination = destinations.hospcode
