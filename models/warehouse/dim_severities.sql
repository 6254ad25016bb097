select
    severity,
    weight
from {{ ref('severity_weights') }}
