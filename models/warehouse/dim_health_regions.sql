select
    region_code,
    name_th,
    name_en,
    tile_row,
    tile_column
from {{ ref('health_regions') }}
union all
select
    '00' as region_code,
    'ไม่ทราบเขตสุขภาพ' as name_th,
    'Unknown region' as name_en,
    null as tile_row,
    null as tile_column
