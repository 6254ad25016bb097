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
