select
    axis,
    name_th,
    name_en,
    sort_order
from {{ ref('quality_axes') }}
