{{ config(materialized='incremental', incremental_strategy='by_person') }}

with stays as (
    select
        *,
        row_number() over (partition by episode_key order by discharged_at desc, stay_number desc) as rank_from_end
    from {{ of_affected(ref('fct_admissions')) }}
),

counted as (
    select
        episode_key,
        min(admitted_at) as admitted_at,
        max(discharged_at) as discharged_at,
        cast(count(*) as integer) as n_stays,
        cast(count(distinct hospcode) as integer) as n_facilities,
        sum(price) as price
    from stays
    group by episode_key
)

select
    counted.episode_key,
    first_stays.person_key,
    first_stays.person_tier,
    counted.admitted_at,
    counted.discharged_at,
    {{ month_start('counted.discharged_at') }} as discharge_month,
    case
        when {{ days_between(date_of('counted.admitted_at'), date_of('counted.discharged_at')) }} > 1
            then {{ days_between(date_of('counted.admitted_at'), date_of('counted.discharged_at')) }}
        else 1
    end as bed_days,
    counted.n_stays,
    counted.n_facilities,
    first_stays.hospcode as first_hospcode,
    first_stays.treatment_province_code as first_province_code,
    first_stays.typein,
    first_stays.principal_diagnosis as first_principal_diagnosis,
    last_stays.hospcode as last_hospcode,
    last_stays.treatment_province_code as last_province_code,
    last_stays.discharge_type,
    last_stays.discharge_status,
    last_stays.principal_diagnosis as last_principal_diagnosis,
    cast(counted.price as decimal(18, 4)) as price
from counted
inner join stays as first_stays on counted.episode_key = first_stays.episode_key and first_stays.stay_number = 1
inner join stays as last_stays on counted.episode_key = last_stays.episode_key and last_stays.rank_from_end = 1
