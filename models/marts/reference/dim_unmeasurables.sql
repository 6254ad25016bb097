select
    measure_id,
    rule,
    name_th,
    name_en,
    wanting_th,
    wanting_en
from {{ ref('unmeasured_rules') }}
