with spells as (
    select * from {{ ref('int_facilities__dated') }}
),

facility_types as (
    select * from {{ ref('facility_types') }}
),

affiliations as (
    select * from {{ ref('affiliations') }}
)

select
    spells.hospcode,
    spells.valid_from,
    spells.valid_to,
    spells.seen_from,
    spells.seen_to,
    spells.hospcode9,
    spells.name_th,
    spells.facility_type_code,
    coalesce(facility_types.group_code, 'unknown') as facility_type_group,
    spells.affiliation_code,
    coalesce(affiliations.group_code, 'unknown') as affiliation_group,
    spells.province_code,
    spells.district_code,
    spells.subdistrict_code,
    spells.n_beds,
    spells.status,
    spells.is_open,
    spells.registered_date,
    spells.closed_date
from spells
left join facility_types on spells.facility_type_code = facility_types.facility_type_code
left join affiliations on spells.affiliation_code = affiliations.affiliation_code
