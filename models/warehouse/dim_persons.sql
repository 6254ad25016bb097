{{ config(materialized='incremental', incremental_strategy='by_person') }}

with registrations as (
    select
        identified.person_key,
        min(identified.person_tier) over (partition by identified.person_key) as person_tier,
        persons.sex,
        persons.birth_month,
        persons.nation,
        persons.discharge,
        persons.typearea,
        addresses.changwat,
        facilities.province_code,
        persons.typearea in ('1', '3') and coalesce(persons.discharge, '9') = '9' as is_resident,
        row_number() over (
            partition by identified.person_key
            order by persons.d_update desc nulls last, identified.hospcode, identified.pid
        ) as recency,
        row_number() over (
            partition by identified.person_key
            order by
                case
                    when persons.typearea in ('1', '3') and coalesce(persons.discharge, '9') = '9' then 0 else 1
                end,
                persons.d_update desc nulls last,
                identified.hospcode,
                identified.pid
        ) as residence_rank
    from {{ of_affected(ref('int_persons__identified')) }} as identified
    left join {{ ref('stg_f43__person') }} as persons
        on identified.hospcode = persons.hospcode and identified.pid = persons.pid
    left join {{ ref('stg_f43__address') }} as addresses
        on identified.hospcode = addresses.hospcode and identified.pid = addresses.pid and addresses.addresstype = '1'
    left join {{ ref('int_facilities__classified') }} as facilities on identified.hospcode = facilities.hospcode
),

dead as (
    select distinct identified.person_key
    from {{ ref('stg_f43__death') }} as deaths
    inner join {{ of_affected(ref('int_persons__identified')) }} as identified
        on deaths.hospcode = identified.hospcode and deaths.pid = identified.pid
    union distinct
    select distinct person_key
    from registrations
    where discharge = '1'
),

residences as (
    select
        person_key,
        province_code
    from registrations
    where residence_rank = 1 and is_resident
)

select
    registrations.person_key,
    registrations.person_tier,
    registrations.sex,
    registrations.birth_month,
    {{ nationality_group('registrations.nation') }} as nationality_group,
    coalesce(provinces.province_code, '99') as home_province_code,
    dead.person_key is not null as is_dead,
    residences.person_key is not null and dead.person_key is null as is_registered_resident,
    case when dead.person_key is null then residences.province_code end as registered_province_code
from registrations
left join {{ ref('provinces') }} as provinces on registrations.changwat = provinces.province_code
left join dead on registrations.person_key = dead.person_key
left join residences on registrations.person_key = residences.person_key
where registrations.recency = 1
