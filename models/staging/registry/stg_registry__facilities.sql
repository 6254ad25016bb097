select
    hoscode as hospcode,
    hosname as name_th,
    hostype as facility_type_code,
    provcode as province_code,
    distcode as district_code,
    subdistcode as subdistrict_code,
    hoscodenew as hospcode9,
    bed as n_beds,
    mcode as affiliation_code,
    status,
    register_date as registered_date,
    close_date as closed_date,
    version,
    as_of_date
from {{ source('registry', 'facilities') }}
