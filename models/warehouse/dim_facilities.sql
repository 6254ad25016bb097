with facilities as (
    select * from {{ ref('int_facilities__classified') }}
),

facility_types as (
    select * from {{ ref('facility_types') }}
),

current_affiliations as (
    select * from {{ ref('int_facilities__affiliated') }}
    where valid_to = {{ date_literal('9999-12-31') }}
),

affiliations as (
    select * from {{ ref('affiliations') }}
)

select
    facilities.hospcode,
    facilities.hospcode9,
    facilities.name_th,
    facilities.facility_type_code,
    facilities.facility_type_group,
    coalesce(facility_types.group_th, 'ไม่ทราบประเภท') as facility_type_group_th,
    coalesce(facility_types.group_en, 'Unknown type') as facility_type_group_en,
    facilities.level,
    facilities.affiliation_code,
    coalesce(current_affiliations.affiliation_group, 'unknown') as affiliation_group,
    coalesce(affiliations.group_th, 'ไม่ทราบสังกัด') as affiliation_group_th,
    coalesce(affiliations.group_en, 'Unknown affiliation') as affiliation_group_en,
    facilities.province_code,
    facilities.district_code,
    facilities.subdistrict_code,
    facilities.region_code,
    facilities.n_beds,
    facilities.is_open,
    facilities.registered_date,
    facilities.closed_date,
    facilities.is_open and facilities.is_expected_to_send as is_expected_to_send
from facilities
left join facility_types on facilities.facility_type_code = facility_types.facility_type_code
left join current_affiliations on facilities.hospcode = current_affiliations.hospcode
left join affiliations on facilities.affiliation_code = affiliations.affiliation_code
where facilities.hospcode <> '00000'
union all
select
    '00000' as hospcode,
    null as hospcode9,
    'ไม่ทราบหน่วยบริการ' as name_th,
    null as facility_type_code,
    'unknown' as facility_type_group,
    'ไม่ทราบประเภท' as facility_type_group_th,
    'Unknown type' as facility_type_group_en,
    'other' as level,
    null as affiliation_code,
    'unknown' as affiliation_group,
    'ไม่ทราบสังกัด' as affiliation_group_th,
    'Unknown affiliation' as affiliation_group_en,
    '99' as province_code,
    null as district_code,
    null as subdistrict_code,
    '00' as region_code,
    null as n_beds,
    false as is_open,
    null as registered_date,
    null as closed_date,
    false as is_expected_to_send
