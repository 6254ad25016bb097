{{ config(materialized='incremental', incremental_strategy='by_person') }}

with registrations as (
    select
        persons.*,
        addresses.changwat,
        addresses.ampur,
        addresses.tambon,
        case
            when coalesce(persons.discharge, '9') = '9' then {{ date_literal('9999-12-31') }}
            -- Left on a day that nobody told: by the day on which the register said so.
            else coalesce(persons.ddischarge, {{ date_of('persons.d_update') }})
        end as valid_to
    from {{ of_affected(ref('stg_f43__person'), 'registration') }} as persons
    left join {{ ref('stg_f43__address') }} as addresses
        on
            persons.hospcode = addresses.hospcode
            and persons.pid = addresses.pid
            and addresses.addresstype = '1'
    where persons.typearea in ('1', '3', '5')
),

placed as (
    {{ with_person_and_place('registrations') }}
)

select
    hospcode,
    pid,
    person_key,
    person_tier,
    wide_person_key,
    typearea,
    treatment_province_code as province_code,
    changwat as civil_province_code,
    changwat || ampur as civil_district_code,
    changwat || ampur || tambon as civil_subdistrict_code,
    -- Who moved in after leaving has a slip in one of the days: living there since ever is the better guess.
    case when movein <= valid_to then movein else {{ date_literal('1900-01-01') }} end as valid_from,
    coalesce(valid_to, {{ date_literal('9999-12-31') }}) as valid_to,
    delivery_id
from placed
