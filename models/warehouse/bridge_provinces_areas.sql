select
    province_code,
    'nation' as area_level,
    'TH' as area_code
from {{ ref('dim_provinces') }}
union all
select
    province_code,
    'region' as area_level,
    region_code as area_code
from {{ ref('dim_provinces') }}
union all
select
    province_code,
    'province' as area_level,
    province_code as area_code
from {{ ref('dim_provinces') }}
