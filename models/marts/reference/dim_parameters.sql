select
    measure_id,
    parameter,
    value,
    valid_from,
    source
from {{ ref('measure_parameters') }}
