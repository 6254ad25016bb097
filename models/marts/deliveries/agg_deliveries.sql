with areas as (
    select * from {{ ref('bridge_provinces_areas') }}
),

periods as (
    select * from {{ ref('bridge_months_periods') }}
)

select
    periods.period_type,
    periods.period_start,
    periods.period_end,
    areas.area_level,
    areas.area_code,
    deliveries.outcome,
    count(*) as n_deliveries,
    cast(sum(deliveries.n_rows) as bigint) as n_rows,
    cast(sum(deliveries.n_rejected) as bigint) as n_rejected_rows
from {{ ref('fct_deliveries') }} as deliveries
inner join periods on deliveries.received_month = periods.month_start
inner join areas on deliveries.province_code = areas.province_code
group by
    periods.period_type,
    periods.period_start,
    periods.period_end,
    areas.area_level,
    areas.area_code,
    deliveries.outcome
