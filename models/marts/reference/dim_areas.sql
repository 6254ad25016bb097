select
    'nation' as area_level,
    'TH' as area_code,
    null as parent_code,
    'ประเทศไทย' as name_th,
    'Thailand' as name_en,
    null as tile_row,
    null as tile_column
union all
select
    'region' as area_level,
    region_code as area_code,
    'TH' as parent_code,
    name_th,
    name_en,
    tile_row,
    tile_column
from {{ ref('dim_health_regions') }}
union all
select
    'province' as area_level,
    province_code as area_code,
    region_code as parent_code,
    name_th,
    name_en,
    null as tile_row,
    null as tile_column
from {{ ref('dim_provinces') }}
union all
select
    'district' as area_level,
    found.area_code,
    found.province_code as parent_code,
    coalesce(districts.name_th, 'ไม่ทราบอำเภอ') as name_th,
    coalesce(districts.name_en, 'Unknown district') as name_en,
    null as tile_row,
    null as tile_column
from (
    select distinct
        area_code,
        substr(area_code, 1, 2) as province_code
    from {{ ref('bridge_facilities_areas') }}
    where area_level = 'district'
) as found
left join {{ ref('districts') }} as districts on found.area_code = districts.district_code
union all
-- The registry has no English names.
select
    'facility' as area_level,
    facilities.hospcode as area_code,
    districts.area_code as parent_code,
    facilities.name_th,
    facilities.name_th as name_en,
    null as tile_row,
    null as tile_column
from {{ ref('dim_facilities') }} as facilities
left join {{ ref('bridge_facilities_areas') }} as districts
    on facilities.hospcode = districts.hospcode and districts.area_level = 'district'
