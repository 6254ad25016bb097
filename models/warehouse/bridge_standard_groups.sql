select
    age_band,
    sex,
    weight
from {{ ref('standard_population') }}
