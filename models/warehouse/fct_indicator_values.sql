select
    indicator_id,
    series,
    unit,
    period_start,
    period_end,
    case substr(area, 1, 1) when 'R' then 'region' when 'P' then 'province' else 'nation' end as area_level,
    case when area = 'TH' then area else substr(area, 2) end as area_code,
    value,
    source,
    known_on,
    given_by,
    version
from {{ ref('stg_indicators__given') }}
