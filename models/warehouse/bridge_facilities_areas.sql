select
    hospcode,
    'district' as area_level,
    province_code || coalesce(district_code, '00') as area_code
from {{ ref('dim_facilities') }}
where province_code <> '99'
union all
select
    hospcode,
    'facility' as area_level,
    hospcode as area_code
from {{ ref('dim_facilities') }}
