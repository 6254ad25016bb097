with facilities as (
    select * from {{ ref('stg_registry__facilities') }}
    where is_in_force
),

facility_types as (
    select * from {{ ref('facility_types') }}
),

provinces as (
    select * from {{ ref('provinces') }}
)

select
    facilities.hospcode,
    facilities.hospcode9,
    facilities.name_th,
    facilities.facility_type_code,
    coalesce(facility_types.group_code, 'unknown') as facility_type_group,
    coalesce(facility_types.level, 'other') as level,
    facilities.affiliation_code,
    coalesce(provinces.province_code, '99') as province_code,
    coalesce(provinces.region_code, '00') as region_code,
    facilities.district_code,
    facilities.subdistrict_code,
    facilities.n_beds,
    facilities.is_open,
    coalesce(facility_types.is_expected_to_send, false) as is_expected_to_send,
    facilities.registered_date,
    facilities.closed_date
from facilities
left join facility_types on facilities.facility_type_code = facility_types.facility_type_code
left join provinces on facilities.province_code = provinces.province_code
