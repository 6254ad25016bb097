select
    measure_id,
    weakness_id,
    area_level,
    area_code,
    unit,
    name_th,
    name_en,
    n_affected,
    n_asked
from {{ ref('fct_measure_weaknesses') }}
