select
    series,
    indicator_id,
    unit,
    label_th,
    label_en,
    feed_th,
    feed_en,
    sort_order
from {{ ref('indicator_series') }}
