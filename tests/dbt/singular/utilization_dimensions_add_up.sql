-- Visits of the members of each dimension add up to all visits of the area and period.
with sums as (
    select
        period_type,
        period_start,
        area_level,
        area_code,
        dimension,
        sum(n_visits) as n_visits
    from {{ ref('agg_utilization') }}
    group by period_type, period_start, area_level, area_code, dimension
)

select
    sums.*,
    totals.n_visits as n_all_visits
from sums
inner join sums as totals
    on
        totals.dimension = 'all'
        and sums.period_type = totals.period_type
        and sums.period_start = totals.period_start
        and sums.area_level = totals.area_level
        and sums.area_code = totals.area_code
where sums.n_visits <> totals.n_visits
